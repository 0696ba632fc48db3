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
  readonly body: Buffer;
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

/** All requests of the network in order, and what no client may ever do. */
export class RequestLog {
  readonly requests: RecordedRequest[] = [];
  /** One sentence per offence; tests expect none. */
  readonly violations: string[] = [];
  readonly #accounts: AccountBook;
  readonly #leaks = new KeyLeakDetector();
  readonly #authorizations = new Set<string>();

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
    return recorded;
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
