import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/time.ts";
import type { AccountBook, ChainStandIn } from "../chain.ts";
import type { Engine } from "../engine.ts";
import { clientGone, writePiece } from "../server.ts";

/** What the whole network agrees on and a test may change while it runs. */
export interface NetworkState {
  /** Software version of all nodes, as `/v1/versions` tells it. From 0.2.14 on the classic path answers 410. */
  version: string;
  /** Which JSON shape the epoch endpoints answer in. */
  shape: "restored" | "v0.2.15";
  /** Which JSON shape `/v1/models` answers in. */
  modelsShape: "list" | "units";
  /** `data.delegate_ta` of `/v1/identity`: URL to address. No real node was seen to send it. */
  delegateTa: Readonly<Record<string, string>> | undefined;
  /** Makes every `/v1/identity` name this address instead of the node's own. */
  identityAddress: string | undefined;
}

/** What one node knows of itself and the world. */
export interface NodeSetting {
  readonly name: string;
  readonly address: string;
  /** Scheme, host and port, no trailing slash. Known once the node listens. */
  readonly origin: () => string;
  /** Addresses of the network's other nodes. */
  readonly otherAddresses: () => readonly string[];
  /** Base64 signature with the node's own key. */
  readonly sign: (message: Uint8Array) => string;
  readonly chain: ChainStandIn;
  readonly state: NetworkState;
  readonly engine: Engine;
  readonly replay: ReplayMemory;
  readonly log: RequestLog;
  readonly clock: Clock;
  readonly random: () => number;
}

/** True from v0.2.14 on, where the classic path is gone. */
export function isRetired(version: string): boolean {
  return isAtLeast(version, 14);
}

/** Whether a version such as `v0.2.13-post1` is 0.2.`patch` or later. */
export function isAtLeast(version: string, patch: number): boolean {
  const [, major = "0", minor = "0", small = "0"] = /(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  const differences = [Number(major), Number(minor) - 2, Number(small) - patch];
  return (differences.find((difference) => difference !== 0) ?? 0) >= 0;
}

/** One request being answered. */
export interface Exchange {
  readonly recorded: RecordedRequest;
  /** Aborted when the client goes away or the network stops. */
  readonly signal: AbortSignal;
  /** Sends a whole answer. */
  send(answer: StaticAnswer): void;
  /** Starts an answer that is written piece by piece. */
  begin(status: number, headers: readonly (readonly [string, string])[]): void;
  /** Resolves when the client can take more. */
  write(piece: string | Buffer): Promise<void>;
  end(): void;
  /** Closes the connection without another byte. */
  drop(): void;
}

/** Headers the nginx in front of a node adds to everything. */
const PROXY_HEADERS: readonly (readonly [string, string])[] = [
  ["X-Frame-Options", "SAMEORIGIN"],
  ["X-Content-Type-Options", "nosniff"],
  ["X-XSS-Protection", "1; mode=block"],
  ["Referrer-Policy", "no-referrer-when-downgrade"],
  ["Access-Control-Allow-Origin", "*"],
];

export function exchange(
  recorded: RecordedRequest,
  response: ServerResponse,
  options: { readonly nowMs: () => number; readonly stopped: AbortSignal },
): Exchange {
  const gone = clientGone(response);
  response.sendDate = false;
  const begin: Exchange["begin"] = (status, headers) => {
    recorded.status = status;
    const date = ["Date", new Date(options.nowMs()).toUTCString()] as const;
    response.writeHead(status, [date, ...PROXY_HEADERS, ...headers].flat());
  };
  return {
    recorded,
    signal: AbortSignal.any([gone, options.stopped]),
    send(answer) {
      const body = Buffer.from(answer.body);
      begin(answer.status, [
        ["Content-Type", answer.contentType],
        ["Content-Length", String(body.length)],
        ...Object.entries(answer.headers ?? {}),
      ]);
      response.end(body);
    },
    begin,
    write: (piece) => writePiece(response, piece),
    end: () => {
      response.end();
    },
    drop: () => {
      response.destroy();
    },
  };
}

/** One request as a node received it. Holds no key material, even if the client sent some. */
export interface RecordedRequest {
  /** Name of the node, as `node-1`. */
  readonly node: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** First value of each header, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** As it came; empty when newer ones have taken its room (8 MiB for all). */
  body: Buffer;
  /** Network time of arrival, milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** Status answered; undefined while there is none, and for good when the connection was dropped. */
  status?: number;
  /** Row of the refusal table, when refused. */
  row?: number;
  /** The fault that was played, if any. */
  fault?: string;
}

const NODE_TO_NODE_HEADERS: readonly string[] = [
  "x-transfer-address",
  "x-inference-id",
  "x-seed",
  "x-ta-signature",
  "x-prompt-hash",
  "x-validator-address",
  "x-epoch-id",
];
const SIGNING_HEADERS: readonly string[] = ["authorization", "x-requester-address", "x-timestamp"];
const WITHHELD = "[key material]";

/** A sandbox may run for days: the newest of each are kept. */
const MAX_REQUESTS = 20_000;
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_VIOLATIONS = 1_000;
const MAX_AUTHORIZATIONS = 40_000;

/** The newest requests of the network in order, and what no client may ever do. */
export class RequestLog {
  readonly requests: RecordedRequest[] = [];
  /** One sentence per offence; tests expect none. */
  readonly violations: string[] = [];
  readonly #accounts: AccountBook;
  readonly #leaks = new KeyLeakDetector();
  readonly #authorizations = new Set<string>();
  #heldBytes = 0;
  /** All before it have given their body up. */
  #firstWithBody = 0;

  constructor(accounts: AccountBook) {
    this.#accounts = accounts;
  }

  record(node: string, message: IncomingMessage, body: Buffer, atMs: number): RecordedRequest {
    this.#leaks.add(this.#accounts.privateKeysHex);
    const method = message.method ?? "";
    const [path = "", query = ""] = (message.url ?? "").split("?", 2);
    const headers = firstValues(message.rawHeaders);
    const where = `${method} ${path} at ${node}`;
    this.#judge(where, method, headers);
    const clean = (text: string, part: string) => {
      if (!this.#leaks.finds(text)) return text;
      this.violations.push(`${part} of ${where} holds part of a private key`);
      return WITHHELD;
    };
    const recorded: RecordedRequest = {
      node,
      method,
      path: clean(path, "the path"),
      query: clean(query, "the query"),
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, clean(value, `header ${name}`)]),
      ),
      body: clean(body.toString("latin1"), "the body") === WITHHELD ? Buffer.from(WITHHELD) : body,
      atMs,
    };
    this.requests.push(recorded);
    this.#heldBytes += recorded.body.length;
    this.#forget();
    return recorded;
  }

  #forget(): void {
    while (this.requests.length > MAX_REQUESTS) {
      this.#heldBytes -= this.requests.shift()?.body.length ?? 0;
      this.#firstWithBody = Math.max(this.#firstWithBody - 1, 0);
    }
    // The last one stays: whoever is at work on it reads it.
    while (this.#heldBytes > MAX_BODY_BYTES && this.#firstWithBody < this.requests.length - 1) {
      const oldest = this.requests[this.#firstWithBody];
      this.#firstWithBody += 1;
      if (oldest === undefined) continue;
      this.#heldBytes -= oldest.body.length;
      oldest.body = Buffer.alloc(0);
    }
    this.violations.splice(0, Math.max(this.violations.length - MAX_VIOLATIONS, 0));
    for (const oldest of this.#authorizations) {
      if (this.#authorizations.size <= MAX_AUTHORIZATIONS) break;
      this.#authorizations.delete(oldest);
    }
  }

  #judge(where: string, method: string, headers: Readonly<Record<string, string>>): void {
    for (const name of NODE_TO_NODE_HEADERS) {
      if (name in headers) this.violations.push(`${where} carries the node-to-node header ${name}`);
    }
    if (method === "GET") {
      for (const name of SIGNING_HEADERS) {
        if (name in headers) this.violations.push(`${where} carries ${name}, which no GET needs`);
      }
      return;
    }
    const authorization = headers.authorization;
    if (authorization === undefined) return;
    if (this.#authorizations.has(authorization)) this.violations.push(`${where} repeats an earlier signature`);
    this.#authorizations.add(authorization);
  }
}

function firstValues(rawHeaders: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    headers[name] ??= rawHeaders[index + 1] ?? "";
  }
  return headers;
}

/** Shortest runs that count as a leak: 6 bytes of the key in whatever spelling. */
const HEX_DIGITS = 12;
const RAW_BYTES = 6;
const BASE64_OF_RAW = 8;
const BASE64_OF_HEX = 16;

/** Every way a run of a private key could stand in a request: hex, bytes, and the base64 of both at any offset. */
function needles(privateKeyHex: string): readonly string[] {
  const raw = Buffer.from(privateKeyHex, "hex");
  const spellings = [privateKeyHex.toLowerCase(), privateKeyHex.toUpperCase()];
  const found = [
    ...spellings.flatMap((hex) => runs(hex, HEX_DIGITS)),
    ...runs(raw.toString("latin1"), RAW_BYTES),
    ...base64Runs(raw, BASE64_OF_RAW),
    ...spellings.flatMap((hex) => base64Runs(Buffer.from(hex), BASE64_OF_HEX)),
  ];
  return [...new Set(found)];
}

function runs(text: string, length: number): string[] {
  return Array.from({ length: Math.max(text.length - length + 1, 0) }, (_, at) => text.slice(at, at + length));
}

function base64Runs(bytes: Buffer, length: number): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const whole = bytes.subarray(offset, bytes.length - ((bytes.length - offset) % 3));
    return [...runs(whole.toString("base64"), length), ...runs(whole.toString("base64url"), length)];
  });
}

/** Finds key material in requests. Keys are added as accounts are made. */
export class KeyLeakDetector {
  readonly #needlesByLength = new Map<number, Set<string>>();
  /** Which pairs of bytes any needle starts with, so that megabytes pass quickly. */
  readonly #starts = new Uint8Array(65_536);
  readonly #known = new Set<string>();

  add(privateKeysHex: readonly string[]): void {
    for (const key of privateKeysHex) {
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      for (const needle of needles(key)) this.#addNeedle(needle);
    }
  }

  /** True when the text (one character per byte) holds a run of any known key. */
  finds(text: string): boolean {
    for (let at = 0; at + 1 < text.length; at += 1) {
      if (this.#starts[text.charCodeAt(at) * 256 + text.charCodeAt(at + 1)] !== 1) continue;
      for (const [length, set] of this.#needlesByLength) {
        if (set.has(text.slice(at, at + length))) return true;
      }
    }
    return false;
  }

  #addNeedle(needle: string): void {
    // A run of one character, as in keys like 1, stands in innocent text too.
    if (new Set(needle).size < 3) return;
    const set = this.#needlesByLength.get(needle.length) ?? new Set();
    set.add(needle);
    this.#needlesByLength.set(needle.length, set);
    this.#starts[needle.charCodeAt(0) * 256 + needle.charCodeAt(1)] = 1;
  }
}

type ReplayRole = "transfer" | "executor";

const SECONDS_PER_BLOCK_ASSUMED = 4;
const MIN_BLOCKS = 4;
const DEFAULT_EXPIRATION_SECONDS = 10;

/**
 * One node's memory of Authorization strings, per role, for max(4, 2 · expiration / 4) blocks: 30 on mainnet.
 * Source: gonka-ai/gonka decentralized-api/internal/server/public/post_chat_handler.go:136-212 at 8a35022b.
 */
export class ReplayMemory {
  readonly #seen = new Map<string, { readonly height: number; readonly roles: Set<ReplayRole> }>();

  /** Notes the use. @returns true when this role has used the key before */
  isRepeated(authorization: string, role: ReplayRole, at: { height: number; expirationSeconds: number }): boolean {
    const known = this.#seen.get(authorization);
    if (known !== undefined) {
      if (known.roles.has(role)) return true;
      known.roles.add(role);
      return false;
    }
    this.#seen.set(authorization, { height: at.height, roles: new Set([role]) });
    this.#forget(at);
    return false;
  }

  #forget({ height, expirationSeconds }: { height: number; expirationSeconds: number }): void {
    const seconds = expirationSeconds === 0 ? DEFAULT_EXPIRATION_SECONDS : expirationSeconds;
    const blocks = Math.max(MIN_BLOCKS, Math.floor((seconds * 2) / SECONDS_PER_BLOCK_ASSUMED));
    for (const [authorization, use] of this.#seen) {
      // A Map keeps insertion order, so the first young one ends the walk.
      if (use.height >= height - blocks) return;
      this.#seen.delete(authorization);
    }
  }
}

export const CHAT_PATH = "/v1/chat/completions";
export const COMPLETIONS_PATH = "/v1/completions";

/** One request for inference as it came over the wire. */
export interface IncomingCall {
  readonly path: typeof CHAT_PATH | typeof COMPLETIONS_PATH;
  /** The first value of a header, as Go's `Header.Get` gives it. */
  header(name: string): string | undefined;
  /** The bytes received, never re-serialised: they are what was signed. */
  readonly body: Buffer;
}

/** An answer other than success, with the row of the refusal table (shared reference 1.7) it belongs to. */
export interface Refusal {
  readonly row: number;
  readonly status: number;
  /** The text of `{"error": text}`. */
  readonly text: string;
}

export function refusal(row: number, status: number, text: string): Refusal {
  return { row, status, text };
}

/** An answer that does not depend on the request. */
export interface StaticAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";

/** `{"error": text}` and a newline, the shape of everything a node itself refuses. */
export function errorAnswer(status: number, text: string): StaticAnswer {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify({ error: text })}\n` };
}

function nginxPage(status: number, title: string): StaticAnswer {
  const heading = `${status} ${title}`;
  const body =
    `<html>\r\n<head><title>${heading}</title></head>\r\n<body>\r\n<center><h1>${heading}</h1></center>\r\n` +
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
  return { status, contentType: "text/html", body };
}

/** What hosts from v0.2.14 on answer to classic inference (shared reference, section 0). */
export function retiredAnswer(message = "classic inference is deprecated; use devshard"): StaticAnswer {
  return {
    status: 410,
    contentType: JSON_TYPE,
    body: `${JSON.stringify({ error: "deprecated", message })}\n`,
    headers: { Deprecation: "true", Link: '</devshard/{version}>; rel="successor-version"' },
  };
}

/** What a devshard gateway says to a signed request: it knows Bearer keys only, and answers in OpenAI's shape. */
export function gatewayAnswer(model: string): StaticAnswer {
  const error = { message: `model ${JSON.stringify(model)} requires an API key`, type: "authentication_error" };
  return { status: 401, contentType: JSON_TYPE, body: `${JSON.stringify({ error })}\n` };
}

/** Answers that come from in front of the node, or instead of it, before it looks at the request. */
export const FRONT_ANSWERS = {
  retired: retiredAnswer(),
  "body-malformed": errorAnswer(400, "malformed request body"),
  "body-timeout": errorAnswer(408, "request body read timeout"),
  "body-cancelled": errorAnswer(400, "request body read cancelled"),
  "body-unreadable": errorAnswer(400, "failed to read request body"),
  "body-too-large": errorAnswer(413, "request body too large"),
  "nginx-413": nginxPage(413, "Request Entity Too Large"),
  "nginx-502": nginxPage(502, "Bad Gateway"),
  "nginx-503": nginxPage(503, "Service Temporarily Unavailable"),
  "nginx-504": nginxPage(504, "Gateway Time-out"),
  "api-disabled": { status: 404, contentType: TEXT_TYPE, body: "App API Disabled" },
  "chain-api-disabled": { status: 404, contentType: TEXT_TYPE, body: "Chain API Disabled" },
  "chain-rpc-disabled": { status: 404, contentType: TEXT_TYPE, body: "Chain RPC Disabled" },
  blocked: {
    status: 403,
    contentType: JSON_TYPE,
    body: '{"error": "Access Denied", "message": "This route is currently blocked."}',
  },
  "rate-limit": { status: 429, contentType: TEXT_TYPE, body: "rate limit exceeded\n" },
  panic: errorAnswer(500, "runtime error: invalid memory address or nil pointer dereference: panic"),
  "gateway-401": gatewayAnswer("the-model"),
  "wallet-page": { status: 200, contentType: "text/html", body: "<!doctype html><title>Wallet</title><p>Wallet</p>" },
} as const satisfies Readonly<Record<string, StaticAnswer>>;

export type FrontAnswerKind = keyof typeof FRONT_ANSWERS;
