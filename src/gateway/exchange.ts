import { isAscii } from "node:buffer";
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { HeaderList, HeaderView } from "../base/header-fields.ts";
import {
  asObject,
  excessWords,
  type JsonExcess,
  type JsonLimits,
  type JsonObject,
  jsonScanner,
  parseForeignJson,
  plausibleTokens,
  SMALL_ANSWER_LIMITS,
} from "../base/json.ts";
import { scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { extractCostUsd } from "../brokers/records.ts";
import { ZephError } from "../errors.ts";
import { MAX_ENTRIES, tooMany } from "../rules/parameters.ts";

/** What the gateway looks at in a request, in a form that a server has at hand. */
export interface GatewayRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** What the caller calls us, with a port where it names one. */
  readonly host: string;
  readonly headers: HeaderView;
  /** Whether the caller has left. */
  readonly hasLeft: boolean;
  /** Calls back when the caller leaves, or at once when it has. */
  onLeave(leave: (reason: unknown) => void): void;
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  /** Gives the body's pieces to `take` as they come, until its end; what `take` throws ends it. */
  read(take: (piece: Uint8Array) => void): Promise<void>;
}

/** A web `Request` as the gateway looks at it. */
export function gatewayRequest(request: Request): GatewayRequest {
  const { method, headers, signal, body } = request;
  const { host, pathname, search } = new URL(request.url);
  return {
    method,
    target: pathname + search,
    host: headers.get("host") ?? host,
    headers,
    signal,
    get hasLeft() {
      return signal.aborted;
    },
    onLeave(leave) {
      if (signal.aborted) leave(signal.reason);
      else signal.addEventListener("abort", () => leave(signal.reason), { once: true });
    },
    async read(take) {
      for await (const piece of body ?? []) take(piece);
    },
  };
}

/** What answers cost, as far as the upstream told. */
export interface Usage {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly costUsd?: number;
}

/** One request and its answer, as a log or a metric may know them: no body, no key, no address of a caller. */
export interface ExchangeRecord {
  readonly requestId: string;
  readonly method: string;
  readonly route: Route["kind"];
  /** Who asked: the program behind the user agent, such as `curl`; `undefined` where it names none. */
  readonly client: string | undefined;
  /** Status answered with; 499 when the caller left before there was one. */
  readonly status: number;
  readonly outcome: "complete" | "failed" | "caller-left";
  readonly elapsedMs: number;
  /** Until the first byte of the answer was there to be sent. */
  readonly firstByteMs: number | undefined;
  readonly stream: boolean;
  /** As sent to the upstream, secrets masked. */
  readonly model: string | undefined;
  /** Fields that were taken out of the request, and fields that were changed. */
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly usage: Usage | undefined;
  /** Code of the error, where there was one. */
  readonly errorCode: string | undefined;
  readonly upstreamRequestId: string | undefined;
  /** Who answered in the place of the first provider, where somebody did. */
  readonly fallbackProvider: string | undefined;
}

type Open = { -readonly [Field in keyof ExchangeRecord]: ExchangeRecord[Field] };

/** A record while the request is being worked on. `end` may be called more than once; the first call counts. */
export interface Exchange {
  readonly record: Open;
  firstByte(): void;
  /** Counts bytes of the request that are held until its end. Throws `service_unavailable` when there are too many. */
  reserve(bytes: number): void;
  /** The model as it may be shown: somebody may paste a key into this field. */
  setModel(model: string): void;
  end(outcome: ExchangeRecord["outcome"]): void;
}

/** What a record shares with all others. */
interface ExchangeSurroundings {
  readonly clock: Clock;
  readonly onEnd: (record: ExchangeRecord) => void;
  /** Bytes of request bodies held by all requests together. */
  readonly held: { bytes: number };
}

/** A body is held several times over while it is cleaned up; this much of them fits into a small process. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;

export function openExchange(
  request: Pick<ExchangeRecord, "method" | "route" | "client">,
  { clock, onEnd, held }: ExchangeSurroundings,
): Exchange {
  const startedMs = clock.nowMs();
  let ended = false;
  let reservedBytes = 0;
  const record: Open = {
    requestId: `zeph-${randomUUID()}`,
    ...request,
    status: 499,
    outcome: "complete",
    elapsedMs: 0,
    firstByteMs: undefined,
    stream: false,
    model: undefined,
    removed: [],
    changed: [],
    usage: undefined,
    errorCode: undefined,
    upstreamRequestId: undefined,
    fallbackProvider: undefined,
  };
  return {
    record,
    firstByte() {
      record.firstByteMs ??= clock.nowMs() - startedMs;
    },
    reserve(bytes) {
      if (held.bytes + bytes > MAX_HELD_BYTES) {
        throw new ZephError("service_unavailable", {
          detail: "too many large requests at once",
          hint: "Send fewer large requests at the same time.",
          retryAfterMs: 1000,
        });
      }
      held.bytes += bytes;
      reservedBytes += bytes;
    },
    setModel(model) {
      record.model = scrub(model.slice(0, MAX_MODEL_CHARS));
    },
    end(outcome) {
      if (ended) return;
      ended = true;
      held.bytes -= reservedBytes;
      record.outcome = outcome;
      record.elapsedMs = clock.nowMs() - startedMs;
      onEnd(record);
    },
  };
}

const MAX_MODEL_CHARS = 128;

const MAX_CLIENT_CHARS = 32;

/**
 * The program behind a user agent: its first word without the version, such as `claude-cli`, `openai/python` or `curl`;
 * `browser` for all of them. `undefined` for none, and for what is no name: somebody may paste a key into this header.
 */
export function clientFamily(userAgent: string | null): string | undefined {
  const text = (userAgent ?? "").slice(0, 128);
  if (!families.has(text)) {
    if (families.size >= MAX_FAMILIES) families.clear();
    families.set(text, familyOf(text));
  }
  return families.get(text);
}

/** A client sends the same with every request. */
const families = new Map<string, string | undefined>();
const MAX_FAMILIES = 64;

function familyOf(userAgent: string): string | undefined {
  const [word = ""] = userAgent.trim().split(/[\s(;,]/, 1);
  const name = word.replace(/\/v?\d.*$/i, "").toLowerCase();
  if (name === "mozilla") return "browser";
  const isName = name.length <= MAX_CLIENT_CHARS && /^[a-z][a-z0-9._+@/-]*$/.test(name) && !/\d{6}/.test(name);
  return isName && scrub(name) === name ? name : undefined;
}

/** Where a request goes inside the gateway. */
export type Route =
  | { readonly kind: Exclude<FixedKind, "health" | "ready"> }
  | { readonly kind: "health" | "ready" }
  | { readonly kind: "preflight" }
  | { readonly kind: "model" | "response"; readonly id: string }
  /** Answered with a refusal that says what to do. */
  | { readonly kind: "none"; readonly error: ZephError; readonly allow?: string };

type FixedKind =
  | "chat"
  | "responses"
  | "compact"
  | "input-tokens"
  | "messages"
  | "count-tokens"
  | "completions"
  | "embeddings"
  | "models"
  | "health"
  | "ready"
  | "metrics";

const FIXED: ReadonlyMap<string, { readonly kind: FixedKind; readonly method: "GET" | "POST" }> = new Map([
  ["/v1/chat/completions", { kind: "chat", method: "POST" }],
  ["/v1/responses", { kind: "responses", method: "POST" }],
  ["/v1/responses/compact", { kind: "compact", method: "POST" }],
  ["/v1/responses/input_tokens", { kind: "input-tokens", method: "POST" }],
  ["/v1/messages", { kind: "messages", method: "POST" }],
  ["/v1/messages/count_tokens", { kind: "count-tokens", method: "POST" }],
  ["/v1/completions", { kind: "completions", method: "POST" }],
  ["/v1/embeddings", { kind: "embeddings", method: "POST" }],
  ["/v1/models", { kind: "models", method: "GET" }],
  ["/health", { kind: "health", method: "GET" }],
  ["/ready", { kind: "ready", method: "GET" }],
  ["/metrics", { kind: "metrics", method: "GET" }],
]);

const MODEL_PREFIX = "/v1/models/";
const RESPONSE_PREFIX = "/v1/responses/";

/** Finds the route of a path as it stands in the request line, without its query. */
export function findRoute(method: string, path: string): Route {
  if (method === "OPTIONS") return { kind: "preflight" };
  // Some clients put a slash behind what they were given.
  const trimmed = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
  const fixed = FIXED.get(trimmed);
  if (fixed !== undefined)
    return hasMethod(method, fixed.method) ? { kind: fixed.kind } : wrongMethod(method, fixed.method);
  if (trimmed.startsWith(MODEL_PREFIX)) {
    return hasMethod(method, "GET") ? modelRoute(trimmed.slice(MODEL_PREFIX.length)) : wrongMethod(method, "GET");
  }
  const responseId = trimmed.startsWith(RESPONSE_PREFIX) ? trimmed.slice(RESPONSE_PREFIX.length) : "";
  if (/^\w[\w-]*$/.test(responseId)) {
    const isKnown = hasMethod(method, "GET") || method === "DELETE";
    return isKnown ? { kind: "response", id: responseId } : wrongMethod(method, "GET, DELETE");
  }
  return { kind: "none", error: new ZephError("route_not_found", notFoundHelp(trimmed)) };
}

function hasMethod(method: string, wanted: "GET" | "POST"): boolean {
  return method === wanted || (method === "HEAD" && wanted === "GET");
}

function wrongMethod(method: string, wanted: string): Route {
  const detail = /^[A-Z]{1,16}$/.test(method) ? `${method} where ${wanted} belongs` : `${wanted} belongs here`;
  return { kind: "none", error: new ZephError("method_not_allowed", { detail }), allow: wanted };
}

/** Ids hold slashes; clients send them as they are or percent-encoded. */
function modelRoute(encoded: string): Route {
  try {
    return { kind: "model", id: decodeURIComponent(encoded) };
  } catch {
    // A stray % cannot be decoded, and no model has one in its id.
    return {
      kind: "none",
      error: new ZephError("model_not_found", { detail: "the id is not valid percent-encoding" }),
    };
  }
}

/** What a wrong path most likely means. The path itself is not repeated: somebody may have put a key into it. */
function notFoundHelp(path: string): { readonly detail?: string; readonly hint?: string } {
  if (path.startsWith("/v1/v1/"))
    return { detail: "/v1 stands in it twice", hint: "Leave one /v1 out of the base URL." };
  if (FIXED.has(`/v1${path}`) || path.startsWith("/models/")) {
    return { detail: "/v1 is missing", hint: "Let the client's base URL end in /v1." };
  }
  if (/^\/v1(?:alpha|beta)?\d*\/models\/[^/]+:\w+$/.test(path)) {
    return {
      detail: "this is a path of Google's Gemini API",
      hint: "Let the client use an OpenAI-compatible or Anthropic endpoint, with the base URL that `zeph serve` prints.",
    };
  }
  if (/^\/api\/(?:tags|chat|generate|show|version)$/.test(path)) {
    return {
      detail: "this is a path of Ollama's API",
      hint: "Add the endpoint to the client as OpenAI-compatible, with the base URL that `zeph serve` prints.",
    };
  }
  if (/^\/v1\/(?:images|audio|files|batches|fine_tuning|moderations|assistants|threads)(?:\/|$)/.test(path)) {
    return {
      detail: "the Gonka network has text models only",
      hint: "Offered: chat completions, responses, messages, completions, models and, at some brokers, embeddings.",
    };
  }
  return {};
}

/** What an answer (or the last chunk of a stream) says about tokens and money; `undefined` when it says nothing. */
export function readUsage(body: unknown, headers?: HeaderList): Usage | undefined {
  const usage = asObject(asObject(body)?.usage);
  if (usage === undefined) return undefined;
  const costUsd = extractCostUsd(body, headers);
  return {
    ...count("promptTokens", usage.prompt_tokens),
    ...count("completionTokens", usage.completion_tokens),
    ...(costUsd === undefined ? {} : { costUsd }),
  };
}

function count(name: "promptTokens" | "completionTokens", value: unknown): Usage {
  const tokens = plausibleTokens(value);
  return tokens === undefined ? {} : { [name]: tokens };
}

const USAGE = Buffer.from('"usage":');
const SPACE = 0x20;
const BRACE = 0x7b;

/** The usage among lines of an event stream. Of the thousands of lines only those that hold one are parsed. */
export function usageInLines(lines: Buffer): Usage | undefined {
  let at = lines.lastIndexOf(USAGE);
  if (at === -1) return undefined;
  at += USAGE.length;
  while (lines[at] === SPACE) at += 1;
  // Many servers write `"usage":null` into every chunk.
  if (lines[at] !== BRACE) return undefined;
  const start = lines.lastIndexOf("data:", at);
  const end = lines.indexOf("\n", at);
  try {
    return readUsage(parseForeignJson(lines.toString("utf8", start + "data:".length, end), SMALL_ANSWER_LIMITS));
  } catch {
    // An event over several lines: its usage goes uncounted, its bytes go on all the same.
    return undefined;
  }
}

const MAX_NAME_CHARS = 64;
const MAX_CHARS = 1024;

/** Names beyond this are counted and not looked at: no header has room for them. */
const MAX_NAMES = 512;

/** Names of fields made fit for a header and a log: callers choose these names, and may paste a key into one. */
export function shownNames(names: readonly string[]): readonly string[] {
  return names.map((name, index) => (index < MAX_NAMES ? shownName(name) : "…"));
}

function shownName(name: string): string {
  return scrub(name.slice(0, MAX_NAME_CHARS)).replace(/[^\w.[\]-]/g, "?");
}

/** Shown names as one header value. */
export function joinNames(names: readonly string[]): string {
  let shown = "";
  for (const [index, name] of names.entries()) {
    const next = index === 0 ? name : `${shown}, ${name}`;
    if (next.length > MAX_CHARS) return `${shown}, and ${names.length - index} more`;
    shown = next;
  }
  return shown;
}

/** One request as a line of JSON: no body, no header, no key, no address of a caller. */
export function logLine(record: ExchangeRecord, nowMs: number): string {
  const { elapsedMs, firstByteMs, removed, changed, usage, ...rest } = record;
  return JSON.stringify({
    time: new Date(nowMs).toISOString(),
    event: "request",
    ...rest,
    elapsedMs: Math.round(elapsedMs),
    firstByteMs: firstByteMs === undefined ? undefined : Math.round(firstByteMs),
    removed: removed.length === 0 ? undefined : joinNames(removed),
    changed: changed.length === 0 ? undefined : joinNames(changed),
    ...usage,
  });
}

/** Lines are kept together for this long before they are written. */
const GATHER_MS = 25;
const MAX_GATHERED_CHARS = 64 * 1024;

/** A place for lines that come by the thousand: one write for many, because each write waits for whoever reads it. */
interface GatheredLines {
  /** The first line after a silence is written at once. */
  add(line: string): void;
  /** Writes what is still held. */
  flush(): void;
}

export function gatheredLines(write: (text: string) => void, clock: Pick<Clock, "schedule">): GatheredLines {
  let held = "";
  let isGathering = false;
  function flush(): void {
    if (held === "") return;
    const text = held;
    held = "";
    write(text);
  }
  function gather(): void {
    isGathering = true;
    clock.schedule(GATHER_MS, () => {
      isGathering = held !== "";
      flush();
      if (isGathering) gather();
    });
  }
  return {
    add(line) {
      held += `${line}\n`;
      if (!isGathering) {
        flush();
        gather();
      } else if (held.length > MAX_GATHERED_CHARS) flush();
    },
    flush,
  };
}

/** A request body: its text as it came, and what it means. */
export interface JsonBody {
  readonly text: string;
  readonly value: JsonObject;
  /** The same as bytes, where they are at hand. */
  readonly bytes?: Uint8Array | undefined;
  /** The bytes of its `tools`, where it is certain which they are. */
  readonly toolBytes?: Uint8Array | undefined;
}

/** What reading a body may cost. */
interface BodyLimits {
  readonly maxBytes: number;
  /** Called with bytes before they are held. Throws when all requests together hold too much. */
  readonly reserve: (bytes: number) => void;
}

/**
 * What a request may hold, far beyond what programs send. It is counted while the bytes arrive, so that a request that
 * goes beyond costs nothing but these bytes.
 */
const REQUEST_LIMITS: JsonLimits = {
  maxDepth: 512,
  maxFields: 100_000,
  maxFieldsOfOne: 10_000,
  maxContainers: 100_000,
  // Embeddings take lists of tokens: 300,000 in one request.
  maxValues: 500_000,
  maxEntries: MAX_ENTRIES,
};

/** Bodies beyond this are worked on in turns, so that other requests go on in between. */
const LARGE_BODY_CHARS = 64 * 1024;

/** Lets everything else of the process have its turn, when the body at hand is a large one. */
export async function takeTurns(text: string): Promise<void> {
  if (text.length > LARGE_BODY_CHARS) await setImmediate();
}

/** Reads a JSON object. Throws `request_too_large`, `invalid_request`, and what `reserve` throws. */
export async function readJsonBody(request: GatewayRequest, limits: BodyLimits): Promise<JsonBody> {
  const { bytes, toolBytes } = await readBytes(request, limits);
  const text = decode(bytes);
  await takeTurns(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words would repeat a piece of the body.
    throw new ZephError("invalid_request", { detail: "the body is not valid JSON" });
  }
  const object = asObject(value);
  if (object === undefined) throw new ZephError("invalid_request", { detail: "the body must be a JSON object" });
  await takeTurns(text);
  return { text, value: object, bytes, toolBytes };
}

async function readBytes(request: GatewayRequest, { maxBytes, reserve }: BodyLimits) {
  const scanner = jsonScanner(REQUEST_LIMITS);
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    reserve(Number(announced));
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  await request.read((piece) => {
    length += piece.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    if (announced === null) reserve(piece.byteLength);
    refuseExcess(scanner.push(piece));
    pieces.push(piece);
  });
  const [only] = pieces;
  const bytes = pieces.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(pieces, length);
  const place = scanner.placeOf("tools");
  return { bytes, toolBytes: place && bytes.subarray(place.start, place.end) };
}

function refuseExcess(excess: JsonExcess | undefined): void {
  if (excess === undefined) return;
  const { list } = excess;
  if (list === "messages" || list === "tools" || list === "functions") throw tooMany(list);
  throw new ZephError("request_too_large", {
    detail: `more than ${excessWords(excess)}`,
    hint: "Leave out what the model does not need; long texts may stay.",
  });
}

function tooLarge(maxBytes: number): ZephError {
  return new ZephError("request_too_large", { detail: `more than ${maxBytes} bytes` });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function decode(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString("latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    // The only complaint a fatal decoder has.
    throw new ZephError("invalid_request", { detail: "the body is not valid UTF-8" });
  }
}
