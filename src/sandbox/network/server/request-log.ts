import type { IncomingMessage } from "node:http";
import type { AccountBook } from "../chain/accounts.ts";
import { KeyLeakDetector } from "./key-leak.ts";

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
