import { scrub } from "../../internal/redact.ts";
import { type ErrorBody, parseErrorBody } from "./error-body.ts";
import { movedTo } from "./moved-to.ts";
import { MAYBE_CHARGED_HINT, type Refusal, type RefusedResponse, type Remedy } from "./refusal.ts";
import { readRequestFault } from "./request-fault.ts";

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
export function wantsApiKey(body: ErrorBody): boolean {
  return GATEWAY_KEY_WANTED.test(body.message);
}
