import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../base/json.ts";
import { redactUrl, scrub } from "../base/secret.ts";
import { type Charged, isZephErrorCode, ZephError, type ZephErrorCode } from "../errors.ts";

/**
 * What the loop may do about a refusal:
 * `stop` no endpoint would answer differently · `again` wait and repeat, here or elsewhere · `elsewhere` another node
 * would answer differently, at once · `fix-clock` compare clocks, sign anew once · `sign-anew` at once, once.
 */
export type Remedy = "stop" | "again" | "elsewhere" | "fix-clock" | "sign-anew";

/** A non-2xx answer, understood. */
export interface Refusal {
  readonly code: ZephErrorCode;
  readonly remedy: Remedy;
  readonly charged: Charged;
  /** The server's own words, scrubbed; or what was recognised instead of words. */
  readonly detail?: string;
  readonly hint?: string;
  /** With `fix-clock`: which way our time seemed wrong. Only `future` can also mean that the chain stands still. */
  readonly timestamp?: "old" | "future";
}

/** For every failure after which nobody can say whether the network charges. */
export const MAYBE_CHARGED_HINT =
  "The endpoint may have the request already and charge for it. Try again if a second charge is acceptable; zeph does so by itself only with retryCharged.";

/** A response as the refusal tables see it. */
export interface RefusedResponse {
  readonly status: number;
  readonly contentType: string;
  readonly bodyText: string;
  /** Path below the base URL, e.g. `/chat/completions`. */
  readonly path: string;
  readonly location?: string;
}

interface NativeRow extends Pick<Refusal, "code" | "remedy" | "charged" | "hint" | "timestamp"> {
  readonly status: number;
  readonly text: RegExp;
}

function row(
  status: number,
  text: RegExp,
  code: ZephErrorCode,
  remedy: Remedy,
  charged: Charged = "no",
  more: Pick<NativeRow, "hint" | "timestamp"> = {},
): NativeRow {
  return { status, text, code, remedy, charged, ...more };
}

const NOT_SERVING = {
  hint: "This node does not serve the API: take it out of gonka_nodes, or see `zeph gonka doctor` for others.",
};

/** A web page where a node's answer was expected: the others may well be nodes. */
export const WEB_PAGE: Refusal = {
  code: "wrong_url",
  remedy: "elsewhere",
  charged: "no",
  detail: "an HTML page came back",
  ...NOT_SERVING,
};

/**
 * Refusals of a transfer agent, in the order it checks (gonka-ai/gonka at 8a35022b,
 * `decentralized-api/internal/server/public/post_chat_handler.go`; v0.2.13). "maybe" and "yes" rows come after
 * MsgStartInference was submitted: repeating them can cost a second time.
 */
const NATIVE_ROWS: readonly NativeRow[] = [
  row(410, /(?:)/, "native_closed", "stop"),
  row(408, /(?:)/, "timeout_headers", "again"),
  row(403, /transfer agent not allowed/i, "transfer_agent_not_allowed", "elsewhere"),
  row(403, /restricted until block height/i, "developer_not_allowed", "stop"),
  row(503, /unable to fetch (?:chain|current epoch)/i, "service_unavailable", "elsewhere"),
  row(500, /account not found/i, "account_not_found", "stop"),
  row(500, /account has no public key/i, "account_no_public_key", "stop"),
  row(500, /invalid address/i, "invalid_address", "stop"),
  row(401, /TransferSignature/i, "node_fault", "elsewhere", "maybe"),
  row(401, /requires an API key/i, "native_requires_api_key", "stop"),
  row(401, /(?:)/, "signature_invalid", "stop"),
  row(404, /model not found/i, "model_not_found", "stop"),
  row(404, /no executors available/i, "no_executor", "elsewhere"),
  row(503, /no executors available/i, "no_executor", "elsewhere"),
  row(402, /(?:)/, "insufficient_balance", "stop"),
  row(400, /signature is too old/i, "clock_skew", "fix-clock", "no", { timestamp: "old" }),
  row(400, /(?:signature|Request timestamp) is in the future/i, "clock_skew", "fix-clock", "no", {
    timestamp: "future",
  }),
  // The executor's own check, after the transfer agent's: the escrow was taken by then.
  row(400, /Request timestamp is too old/i, "clock_skew", "fix-clock", "maybe", { timestamp: "old" }),
  row(400, /already been used for a transfer request/i, "replayed", "sign-anew"),
  row(400, /already been used for an executor request/i, "replayed", "sign-anew", "maybe"),
  row(400, /prompt hash/i, "node_fault", "elsewhere", "maybe"),
  row(400, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(422, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(429, /(?:)/, "capacity_reached", "elsewhere"),
  row(503, /no inference nodes available/i, "executor_failed", "elsewhere", "maybe"),
  row(503, /does not support \/v1\/completions/i, "executor_failed", "stop", "maybe", {
    hint: "Send it to /chat/completions: the hosts that serve this model do not take /completions.",
  }),
  row(500, /Failed to process inference node response/i, "executor_failed", "elsewhere", "yes"),
  row(500, /(?:)/, "executor_failed", "elsewhere", "maybe"),
  // nginx in front of the node: over its own limits, or the node behind it is away. The node saw nothing.
  row(503, /(?:)/, "service_unavailable", "elsewhere"),
  row(502, /(?:)/, "upstream_error", "elsewhere"),
  // nginx gave up waiting for a node that did get the request.
  row(504, /(?:)/, "timeout_headers", "elsewhere", "maybe", { hint: MAYBE_CHARGED_HINT }),
  // The nginx of one host, configured to serve less than others do.
  row(404, /(?:API|RPC) Disabled/i, "wrong_url", "elsewhere", "no", NOT_SERVING),
  row(403, /Access Denied|route is currently blocked/i, "forbidden", "elsewhere", "no", {
    hint: "This node blocks the request; use another node.",
  }),
];

/** What a node's refusal means, and whether the network may have charged for it. */
export function readNativeRefusal(response: RefusedResponse): Refusal {
  const body = parseErrorBody(response.bodyText, response.contentType);
  const found = NATIVE_ROWS.find(({ status, text }) => status === response.status && text.test(body.message));
  const target = found === undefined && isRedirect(response.status) ? movedTo(response) : undefined;
  const detail = scrub(target === undefined ? body.message : `to ${target}`);
  return {
    ...(found === undefined ? otherNative(response, body) : pickRow(found, body)),
    ...(detail === "" ? {} : { detail }),
  };
}

function pickRow({ status: _status, text: _text, ...refusal }: NativeRow, body: ErrorBody): Refusal {
  // vLLM's own words are inside the node's sentence; a prompt that is too long is told apart there.
  return refusal.code === "invalid_request" ? { ...refusal, ...readRequestFault(400, body) } : refusal;
}

function otherNative(response: RefusedResponse, body: ErrorBody): Refusal {
  const { status } = response;
  if (wantsApiKey(body)) return { code: "native_requires_api_key", remedy: "stop", charged: "no" };
  if (isRedirect(status)) return { code: "endpoint_moved", remedy: "elsewhere", charged: "no" };
  // Nodes may ban an address that keeps sending what they refuse (fail2ban sidecar), so a plain 403 ends it. What a node's
  // own router does not know (404) or does not take by this method (405), the same program elsewhere does not either.
  if (status === 403) return { code: "forbidden", remedy: "stop", charged: "no" };
  if (status === 404 || status === 405) return noSuchRoute(response.path);
  if (status === 400 || status === 413 || status === 422) {
    return { ...readRequestFault(status, body), remedy: "stop", charged: "no" };
  }
  if (status >= 500) return { code: "upstream_error", remedy: "elsewhere", charged: "maybe" };
  return { code: "bad_response", remedy: "stop", charged: "no" };
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/** No node ever had a route for embeddings; asking for them is no mistake in the address. */
function noSuchRoute(path: string): Pick<Refusal, "code" | "remedy" | "charged" | "hint"> {
  if (path.startsWith("/embeddings")) return { code: "unsupported_capability", remedy: "stop", charged: "no" };
  return { code: "wrong_url", remedy: "stop", charged: "no", ...NOT_SERVING };
}

type Row = Pick<Refusal, "code" | "remedy"> & Partial<Pick<Refusal, "charged" | "hint">>;

/** Billing words. A 429 with these is not "slow down": waiting does not help. */
const BILLING =
  /insufficient[ _](?:quota|balance|funds|credit)|exceeded your current quota|out of credits?|balance (?:is )?too low|payment required|top[ -]?up/i;
const ACCOUNT_STATE = /deactivat|disabled|suspend|not verified|verify your e-?mail|unverified|expired|read-?only/i;
const CAPACITY = /capacity/i;

/** A node of the network since v0.2.14, reached with a broker's key. */
const CLASSIC_RETIRED = /devshard|classic inference/i;
const NODE_IS_NO_BROKER =
  "This address is a node of the network, not a broker: set base_url to a broker's address, or run `zeph init`.";
const GATEWAY_KEY_WANTED = /requires an API key/i;

/**
 * What a broker's refusal means. Status and `error.code` are read together; an unknown code is decided by its status,
 * an unknown status is final. (Broker tables: GonkaGate documentation and GonkaGate/gonkagate-doctor, 2026-02 to 2026-05.)
 */
export function readBrokerRefusal(response: RefusedResponse): Refusal {
  const body = parseErrorBody(response.bodyText, response.contentType);
  const row = brokerRow(response, body);
  const detail = scrub(row.code === "endpoint_moved" ? movedWords(response, body) : body.message);
  return { charged: "no", ...row, ...(detail === "" ? {} : { detail }) };
}

function brokerRow(response: RefusedResponse, body: ErrorBody): Row {
  const { status } = response;
  if (isBilling(status, body)) return { code: "insufficient_quota", remedy: "stop" };
  if (status >= 300 && status < 400) return { code: "endpoint_moved", remedy: "stop" };
  switch (status) {
    case 400:
    case 413:
    case 422:
      return { ...readRequestFault(status, body), remedy: "stop" };
    case 401:
      return { code: /management/i.test(body.message) ? "management_key" : "invalid_api_key", remedy: "stop" };
    case 403:
      return readForbidden(body);
    case 404:
      return readNotFound(response, body);
    case 405:
      return { code: "wrong_url", remedy: "stop" };
    case 408:
      return { code: "timeout_headers", remedy: "again" };
    case 409:
      return { code: "conflict", remedy: "stop" };
    case 410:
      return CLASSIC_RETIRED.test(body.message)
        ? { code: "native_closed", remedy: "stop", hint: NODE_IS_NO_BROKER }
        : { code: "endpoint_gone", remedy: "stop" };
    case 429:
      return { code: isCapacity(body) ? "capacity_reached" : "rate_limited", remedy: "again" };
    case 504:
    case 524:
      // A proxy lost its patience; the broker behind it has the request and may answer, and charge, all the same.
      return { code: "upstream_error", remedy: "again", charged: "maybe", hint: MAYBE_CHARGED_HINT };
    case 503:
      return { code: "service_unavailable", remedy: "again" };
    default:
      return readOther(status);
  }
}

function movedWords(response: RefusedResponse, { message, shape }: ErrorBody): string {
  const target = movedTo(response);
  // A server's standard text for a redirect repeats the whole target.
  const words = shape === "html" || (shape === "other" && target !== undefined) ? "" : message;
  return target === undefined ? words : [words, `to ${target}`].filter((part) => part !== "").join(" ");
}

function isBilling(status: number, body: ErrorBody): boolean {
  if (status === 402 || body.code === "insufficient_quota" || body.type === "insufficient_quota") return true;
  return (status === 429 || status === 403) && BILLING.test(body.message);
}

function isCapacity(body: ErrorBody): boolean {
  return body.code === "transfer_agent_capacity_reached" || CAPACITY.test(body.message);
}

function readForbidden(body: ErrorBody): Row {
  const isAccount = body.code === "account_deactivated" || ACCOUNT_STATE.test(body.message);
  return { code: isAccount ? "account_not_ready" : "forbidden", remedy: "stop" };
}

function readNotFound(response: RefusedResponse, body: ErrorBody): Row {
  if (body.code === "model_not_found") return { code: "model_not_found", remedy: "stop" };
  if (response.path.startsWith("/embeddings")) {
    return { code: "unsupported_capability", remedy: "stop", hint: "This broker offers no embeddings." };
  }
  const isJson = body.shape === "openai" || body.shape === "text";
  if (isJson && /model/i.test(body.message)) return { code: "model_not_found", remedy: "stop" };
  return { code: "wrong_url", remedy: "stop" };
}

function readOther(status: number): Row {
  const remedy: Remedy = status >= 500 ? "again" : "stop";
  return { code: status >= 500 ? "upstream_error" : "bad_response", remedy };
}

/** The answer a devshard gateway gives to a signed request (devshard/cmd/devshardctl/gateway.go, v0.2.14). */
function wantsApiKey(body: ErrorBody): boolean {
  return GATEWAY_KEY_WANTED.test(body.message);
}

/** Wordings of "too long" in use: OpenAI, vLLM, several brokers. Zeph (Rust) knew the first three only. */
const CONTEXT_LENGTH =
  /maximum context length|prompt is too long|maximum number of tokens|context[ _]length|context window|max_model_len|too many (?:input )?tokens|input (?:is )?too long/i;

/** The network's reject of a parameter (gonka-ai/gonka docs/chat-api, 2026-07-23); the name stands quoted before it. */
const PARAMETER_REJECTED = /["`]([^"`]+)["`] is currently rejected by the Gonka network/;

/** What a 400, 413 or 422 means, for brokers and nodes alike. */
function readRequestFault(status: number, body: ErrorBody): Pick<Refusal, "code" | "hint"> {
  if (body.code === "context_length_exceeded" || CONTEXT_LENGTH.test(body.message)) return { code: "context_length" };
  if (status === 413) return { code: "request_too_large" };
  const parameter = PARAMETER_REJECTED.exec(body.message)?.[1];
  if (parameter !== undefined) {
    return {
      code: "parameter_rejected",
      hint: `Leave ${parameter} out, or send the request through \`zeph serve\`, which removes what the network refuses.`,
    };
  }
  if (body.code === "model_not_found") return { code: "model_not_found" };
  return { code: "invalid_request" };
}

/**
 * Where an endpoint says it has moved, fit to show: without user, password and query. The target is told, never
 * followed with the key. (308 with `new_url`: network gateways.)
 */
function movedTo({ location, bodyText }: RefusedResponse): string | undefined {
  const target = location ?? /"new_url"\s*:\s*"([^"\\]{1,500})"/.exec(bodyText)?.[1];
  if (target === undefined) return undefined;
  const address = target.startsWith("//") ? `https:${target}` : target;
  if (URL.canParse(address)) return redactUrl(address);
  return target.startsWith("/") ? target.replace(/[?#].*$/s, "") : undefined;
}

/** What an error body says, whatever its shape. */
interface ErrorBody {
  /** `openai`: `{error:{message}}` · `text`: `{error:"…"}` · `html` · `other`: JSON of another shape, or plain text · `empty`. */
  readonly shape: "openai" | "text" | "html" | "other" | "empty";
  readonly message: string;
  readonly code: string | undefined;
  readonly type: string | undefined;
}

/** Reads the forms in use: OpenAI's, the brokers' `/api` form, a node's `{"error":"text"}`, vLLM's `detail`, HTML. */
export function parseErrorBody(bodyText: string, contentType = ""): ErrorBody {
  const text = bodyText.trim();
  if (text === "") return { shape: "empty", message: "", code: undefined, type: undefined };
  if (contentType.includes("text/html") || /^<(?:!doctype|html|head|body|center|h1)/i.test(text)) {
    return { shape: "html", message: htmlTitle(text), code: undefined, type: undefined };
  }
  let json: unknown;
  try {
    json = parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch {
    // Not JSON is one of the forms this function exists for: plain text.
    return { shape: "other", message: text, code: undefined, type: undefined };
  }
  return fromJson(json, text);
}

function fromJson(json: unknown, text: string): ErrorBody {
  const body = asObject(json);
  const error = body?.error;
  if (typeof error === "string") {
    // The retired path answers {"error":"deprecated","message":"…"}: both words matter.
    const message = asString(body?.message);
    return {
      shape: "text",
      message: message ?? error,
      code: message === undefined ? undefined : error,
      type: undefined,
    };
  }
  const inner = asObject(error);
  if (inner !== undefined) {
    return {
      shape: "openai",
      message: asString(inner.message) ?? JSON.stringify(error),
      code: asString(inner.code) ?? numberAsString(inner.code),
      type: asString(inner.type),
    };
  }
  const message = asString(body?.message) ?? asString(body?.detail) ?? text;
  return { shape: "other", message, code: asString(body?.code), type: asString(body?.type) };
}

function htmlTitle(html: string): string {
  const title = /<title[^>]*>([^<]*)<\/title>/i.exec(html)?.[1] ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(html)?.[1];
  return title === undefined ? "an HTML page" : `an HTML page: ${title.trim()}`;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function asString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberAsString(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : undefined;
}

/** What is left of a refused response when only an SDK's error about it is at hand. */
interface RefusedCall {
  readonly status: number;
  readonly headers: Headers;
  readonly bodyText: string;
  /** Path below the base URL; decides what a 404 means. */
  readonly path: string;
}

/** Names a refusal by the same tables as the loop does, for responses that did not pass through it. */
export function refusalError({ status, headers, bodyText, path }: RefusedCall): ZephError {
  const contentType = headers.get("content-type") ?? "";
  const location = headers.get("location");
  const refused = { status, contentType, bodyText, path, ...(location === null ? {} : { location }) };
  const { code, detail, hint, charged } = readBrokerRefusal(refused);
  // Our own mark knows more than the status: it was set by the tables of the right path.
  const marked = headers.get("x-zeph-error-code");
  const isMarked = isZephErrorCode(marked) && marked !== code;
  return new ZephError(isMarked ? marked : code, {
    status,
    detail,
    hint: isMarked ? undefined : hint,
    charged,
    requestId: requestIdOf(headers),
    retryAfterMs: retryAfterMs(headers, Date.parse(headers.get("date") ?? "")),
  });
}

/**
 * How long a response asks to wait, in milliseconds: `retry-after-ms`, then `Retry-After` as seconds or as an HTTP date.
 * Undefined when absent or unreadable; a date in the past is 0.
 */
export function retryAfterMs(headers: Pick<Headers, "get">, nowMs: number): number | undefined {
  const milliseconds = nonNegative(headers.get("retry-after-ms"));
  if (milliseconds !== undefined) return milliseconds;
  const text = headers.get("retry-after");
  const seconds = nonNegative(text);
  if (seconds !== undefined) return seconds * 1000;
  // Date.parse reads "12abc" as a date in some engines; a real HTTP date starts with the weekday.
  if (text === null || !/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date - nowMs) ? undefined : Math.max(0, date - nowMs);
}

function nonNegative(text: string | null): number | undefined {
  return text !== null && /^\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : undefined;
}

/** A failed `fetch`, understood. */
export interface NetworkFailure {
  readonly error: ZephError;
  /** False when it is certain that the endpoint never saw the request. */
  readonly requestLeft: boolean;
  /** Where it broke: finding and connecting to the host, TLS, or after the request may have been sent. */
  readonly stage: "connect" | "tls" | "sent";
}

/** Codes of undici and Node that mean: no connection came about, so nothing was sent. */
const CONNECT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "the host name is not known",
  EAI_AGAIN: "the host name could not be looked up now",
  EHOSTUNREACH: "no route to the host",
  EHOSTDOWN: "the host is down",
  ENETUNREACH: "no network",
  ENETDOWN: "no network",
  ETIMEDOUT: "no connection in time",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
};

const SENT: Readonly<Record<string, string>> = {
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  UND_ERR_SOCKET: "the connection was closed without an answer",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
  UND_ERR_BODY_TIMEOUT: "the answer stopped arriving",
};

interface Words {
  readonly detail: string;
  readonly hint: string;
}

const UNKNOWN_ISSUER: Words = {
  detail: "its TLS certificate is signed by an authority that Node does not know",
  hint:
    "Where a company's network or your own server signs with its own authority, name that authority's certificate and " +
    "run the command again: NODE_EXTRA_CA_CERTS=/path/to/ca.pem. Anywhere else, do not go on: somebody may be listening.",
};

const PLAIN_PORT: Words = {
  detail: "this port does not speak TLS",
  hint: "Correct base_url: the port of https, or, for a server on this computer, http:// instead of https://.",
};

/** Why TLS did not come about, by codes of Node and OpenSSL; nothing was sent. */
const TLS: Readonly<Record<string, Words>> = {
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  CERT_UNTRUSTED: UNKNOWN_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: { ...UNKNOWN_ISSUER, detail: "its TLS certificate is self-signed" },
  CERT_HAS_EXPIRED: {
    detail: "its TLS certificate has expired",
    hint: "Check this computer's date; where that is right, the server's operator has to renew the certificate.",
  },
  CERT_NOT_YET_VALID: {
    detail: "its TLS certificate is not valid yet",
    hint: "Check this computer's date; where that is right, the server's operator has to correct the certificate.",
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    detail: "its TLS certificate is for another host",
    hint: "Correct base_url: its host has to be one that the certificate names.",
  },
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN_PORT,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAIN_PORT,
  ERR_SSL_HTTP_REQUEST: PLAIN_PORT,
};

const OTHER_TLS = /^(?:ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|EPROTO$|UND_ERR_PRX_TLS$)/;

const NOT_HTTP: Words = {
  detail: "what came back is not HTTP",
  hint: "Correct base_url: scheme and port have to be those of the API; a port of https wants https://.",
};

/** Fetch does not connect to some ports at all (https://fetch.spec.whatwg.org/#port-blocking); undici says so without a code. */
const BAD_PORT = "bad port";

/**
 * Turns what `fetch` rejected with into `unreachable`, in words for each cause. An error of ours, which the fetch that was
 * given can throw (a proxy that does not answer), stays as it is. Signal reasons must have been told apart before.
 */
export function readNetworkFailure(thrown: unknown): NetworkFailure {
  if (ZephError.is(thrown)) return { error: thrown, requestLeft: false, stage: "connect" };
  const code = findCode(thrown);
  const { stage, ...words } = explain(code, thrown);
  return { error: new ZephError("unreachable", { ...words, cause: thrown }), requestLeft: stage === "sent", stage };
}

/** Whether a body could not be decoded: what came is not in the coding that its header names. */
export function isDecodingFailure(thrown: unknown): boolean {
  return /^(?:Z_|ERR_(?:_ERROR_FORMAT|BROTLI))/.test(findCode(thrown) ?? "");
}

function explain(code: string | undefined, thrown: unknown): Pick<NetworkFailure, "stage"> & Partial<Words> {
  if (code === undefined) {
    const detail = badPort(thrown);
    return detail === undefined ? { stage: "sent", detail: "no answer" } : { stage: "connect", detail };
  }
  const connect = CONNECT[code];
  if (connect !== undefined) return { stage: "connect", detail: connect };
  const tls = TLS[code] ?? (code === "EPROTO" && /wrong version number/i.test(textOf(thrown)) ? PLAIN_PORT : undefined);
  if (tls !== undefined) return { stage: "tls", ...tls };
  if (OTHER_TLS.test(code)) return { stage: "tls", detail: code === "EPROTO" ? "TLS failed" : `TLS failed (${code})` };
  if (code.startsWith("HPE_")) return { stage: "sent", ...NOT_HTTP };
  return { stage: "sent", detail: SENT[code] ?? code };
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.message} ${textOf(thrown.cause)}` : "";
}

function badPort(thrown: unknown): string | undefined {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return cause instanceof Error && cause.message === BAD_PORT ? "fetch refuses to connect to this port" : undefined;
}

/** Fetch wraps the cause, and a host with several addresses gives an AggregateError of causes. */
function findCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ("code" in thrown && typeof thrown.code === "string" && thrown.code !== "") return thrown.code;
  if (thrown instanceof AggregateError) {
    for (const inner of thrown.errors) {
      const code = findCode(inner);
      if (code !== undefined) return code;
    }
  }
  return findCode(thrown.cause);
}

/** Headers that name a request, best first (brokers' documentation, 2026). */
const REQUEST_ID_HEADERS = [
  "x-request-id",
  "request-id",
  "x-requestid",
  "x-gonkagate-request-id",
  "x-correlation-id",
  "cf-ray",
] as const;

/** Printable, without spaces, of a length a person can quote. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** The id to quote when reporting a problem to the operator. */
export function requestIdOf(headers: Pick<Headers, "get">): string | undefined {
  for (const name of REQUEST_ID_HEADERS) {
    const value = headers.get(name);
    if (value !== null && REQUEST_ID.test(value)) return value;
  }
  return undefined;
}
