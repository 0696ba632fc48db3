import { type DiffJson, decodeWireTxs } from "../../wire/devshard/messages.ts";
import { MalformedProtobuf } from "../../wire/protobuf.ts";
import { KeyLeakDetector } from "../classic/node.ts";
import { decodeGoBase64, GoBase64Error } from "../crypto.ts";
import { prefixOf, sha256, signerOf, UnrecoverableSignature } from "./crypto.ts";
import { HostRefusal, type HostSession, type Payload, type ReceivedDiff } from "./host-session.ts";

/** One request to a host, as far as HTTP goes. */
export interface HostCall {
  readonly method: string;
  /** Without the host's own prefix. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly header: (name: string) => string | undefined;
  readonly body: Buffer;
}

const MAX_DRIFT_SECONDS = 30;

/**
 * Who signed a POST. Throws {@link HostRefusal} 401. A signature over something else recovers to somebody else, so that
 * who asks may be a stranger is for the caller to see.
 */
export function senderOf(
  { header, body }: HostCall,
  { escrowId, owner }: Pick<HostSession, "escrowId" | "owner">,
  nowSeconds: number,
): string {
  const [signature, timestamp] = [header("x-devshard-signature"), header("x-devshard-timestamp")];
  if (!signature || !timestamp) throw new HostRefusal(401, "missing auth headers");
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(signature)) throw new HostRefusal(401, "invalid signature hex");
  if (!/^[+-]?\d{1,18}$/.test(timestamp)) throw new HostRefusal(401, "invalid timestamp");
  const drift = Math.abs(Number(timestamp) - nowSeconds);
  if (drift > MAX_DRIFT_SECONDS) {
    throw new HostRefusal(401, `timestamp drift ${drift}s exceeds maximum ${MAX_DRIFT_SECONDS}s`);
  }
  const seconds = Buffer.alloc(8);
  seconds.writeBigInt64BE(BigInt(timestamp));
  try {
    return signerOf(sha256(escrowId, body, seconds), Buffer.from(signature, "hex"), prefixOf(owner));
  } catch (error) {
    if (error instanceof UnrecoverableSignature) throw new HostRefusal(401, `recover address: ${error.message}`);
    throw error;
  }
}

export interface ChatCall {
  readonly diffs: readonly ReceivedDiff[];
  readonly nonce: number;
  readonly payload: Payload | undefined;
}

/** The body of a chat request. Throws {@link HostRefusal} 400. */
export function readChat(body: Buffer): ChatCall {
  const json = parseJson(body);
  return { diffs: readDiffs(json.diffs), nonce: wholeNumber(json.nonce, "nonce"), payload: readPayload(json.payload) };
}

interface TimeoutCall {
  readonly inferenceId: bigint;
  readonly reason: "refused" | "execution";
  readonly payload: Payload | undefined;
  readonly diffs: readonly ReceivedDiff[];
}

/** The body of verify-timeout. Throws {@link HostRefusal} 400. */
export function readTimeout(body: Buffer): TimeoutCall {
  const json = parseJson(body);
  const { reason } = json;
  if (reason !== "refused" && reason !== "execution") {
    throw new HostRefusal(400, `unknown timeout reason: ${reason ?? ""}`);
  }
  return { reason, ...readInference(json) };
}

/** The body of challenge-receipt. Throws {@link HostRefusal} 400. */
export function readChallenge(body: Buffer): Omit<TimeoutCall, "reason"> {
  return readInference(parseJson(body));
}

/** A number of the query. Throws {@link HostRefusal} 400. */
export function queryNumber({ query }: HostCall, name: string, isMissing: string): number {
  const text = query.get(name);
  if (text === null || !/^\d{1,15}$/.test(text)) throw new HostRefusal(400, isMissing);
  return Number(text);
}

type Json = Readonly<Record<string, unknown>>;

function readInference(json: Json): Omit<TimeoutCall, "reason"> {
  const inferenceId = BigInt(wholeNumber(json.inference_id, "inference_id"));
  return { inferenceId, payload: readPayload(json.payload), diffs: readDiffs(json.diffs) };
}

function parseJson(body: Buffer): Json {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch (error) {
    const isCutOff = /end of JSON|Unterminated/.test(String(error));
    throw new HostRefusal(
      400,
      isCutOff ? "invalid json: json: slice unexpected end of JSON input" : "invalid json: json: invalid character",
    );
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new HostRefusal(400, "invalid json: json: cannot unmarshal into Go value of type transport.request");
}

function readDiffs(value: unknown): ReceivedDiff[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new HostRefusal(400, "invalid json: json: cannot unmarshal diffs");
  const read = value.map((each: Json) => ({
    nonce: wholeNumber(each?.nonce, "nonce"),
    txs: base64(each?.txs),
    userSig: base64(each?.user_sig),
    postStateRoot: base64(each?.post_state_root),
    json: each as unknown as DiffJson,
  }));
  return read.map(({ nonce, txs, userSig, postStateRoot, json }, index) => {
    try {
      return { json, signed: { nonce, txs: decodeWireTxs(txs), userSig, postStateRoot } };
    } catch (error) {
      if (!(error instanceof MalformedProtobuf)) throw error;
      // Go's protobuf puts a no-break space there, or a space, so that nobody compares its texts.
      const fault = "unmarshal diff content: proto:\u00a0cannot parse invalid wire-format data";
      throw new HostRefusal(400, `decode request: diff ${index}: ${fault}`);
    }
  });
}

function readPayload(value: unknown): Payload | undefined {
  if (value === undefined || value === null) return undefined;
  const json = value as Json;
  return {
    prompt: base64(json.prompt),
    model: typeof json.model === "string" ? json.model : "",
    inputLength: BigInt(wholeNumber(json.input_length, "input_length")),
    maxTokens: BigInt(wholeNumber(json.max_tokens, "max_tokens")),
    startedAt: BigInt(wholeNumber(json.started_at, "started_at")),
  };
}

function wholeNumber(value: unknown, name: string): number {
  if (value === undefined || value === null) return 0;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new HostRefusal(400, `invalid json: json: cannot unmarshal ${name} into a number`);
}

function base64(value: unknown): Buffer {
  if (value === undefined || value === null) return Buffer.alloc(0);
  try {
    return decodeGoBase64(String(value));
  } catch (error) {
    if (error instanceof GoBase64Error) throw new HostRefusal(400, `invalid json: ${error.message}`);
    throw error;
  }
}

/** What can go wrong at one host of the sandbox's devshard. All may be changed while it runs. */
export interface HostFaults {
  /** Closes every connection without an answer. */
  readonly dead: boolean;
  /** Waits before every answer. */
  readonly delayMs: number;
  /** Answers with this status and does nothing; `error` becomes `X-Devshard-Error`. */
  readonly refuse:
    | { readonly status: number; readonly message: string; readonly error?: string | undefined }
    | undefined;
  /** Applies the diffs, then closes the connection before the first event. */
  readonly loseReply: boolean;
  /**
   * What happens behind the receipt: `hang`, nothing until the client leaves; `fail`, the end of the stream; `break`, one
   * piece and then an error's bare text; `cut`, one piece and then the end of the connection. Nothing is finished then.
   */
  readonly afterReceipt: "execute" | "hang" | "fail" | "break" | "cut";
  /** Closes the connection behind `[DONE]`, before the mempool. */
  readonly cutBeforeMeta: boolean;
  readonly stateSignature: "good" | "withheld" | "wrong";
  /** `wrong` reports and signs another state than its own. */
  readonly stateRoot: "good" | "wrong";
  /** What it says of the answers of others, as a validator. */
  readonly verdict: "valid" | "invalid";
  /** Whether it votes when an executor is late. */
  readonly timeoutVotes: "honest" | "never";
  readonly clockSkewMs: number;
  /** Requests that one sender may make of one session; upstream allows 100 and 200. More are answered with 429. */
  readonly rateLimit: { readonly perSecond: number; readonly burst: number } | undefined;
  /** Between two pieces of an answer. */
  readonly chunkDelayMs: number;
  /** Pads the first piece of an answer with spaces to a line of so many bytes. */
  readonly longLineBytes: number;
  /** Puts a `data:` line that is no JSON into the answer. */
  readonly textLine: boolean;
  /** Puts comments and lines of other fields between the events. */
  readonly comments: boolean;
  readonly crlf: boolean;
  /** Cuts pieces of the stream inside of characters. */
  readonly splitUtf8: boolean;
}

const HEALTHY: HostFaults = {
  dead: false,
  delayMs: 0,
  refuse: undefined,
  loseReply: false,
  afterReceipt: "execute",
  cutBeforeMeta: false,
  stateSignature: "good",
  stateRoot: "good",
  verdict: "valid",
  timeoutVotes: "honest",
  clockSkewMs: 0,
  rateLimit: undefined,
  chunkDelayMs: 0,
  longLineBytes: 0,
  textLine: false,
  comments: false,
  crlf: false,
  splitUtf8: false,
};

/**
 * The switches of one host.
 *
 * @example
 * host.faults.set({ dead: true }); // until
 * host.faults.clear();
 * host.faults.next({ loseReply: true }); // the next chat request only
 */
export class HostFaultSwitch {
  #lasting = HEALTHY;
  readonly #queue: Partial<HostFaults>[] = [];

  /** Changes these, and leaves the others as they are. */
  set(faults: Partial<HostFaults>): void {
    this.#lasting = { ...this.#lasting, ...faults };
  }

  /** For one chat request each, in order, on top of what lasts. */
  next(...faults: readonly Partial<HostFaults>[]): void {
    this.#queue.push(...faults);
  }

  /** Back to a healthy host. */
  clear(): void {
    this.#lasting = HEALTHY;
    this.#queue.length = 0;
  }

  /** What lasts now. */
  get now(): HostFaults {
    return this.#lasting;
  }

  /** For the host: the faults of a request. */
  take(isChat: boolean): HostFaults {
    return isChat ? { ...this.#lasting, ...this.#queue.shift() } : this.#lasting;
  }
}

/** One request to a host or to the chain; holds nothing of its body. */
export interface DevshardRequest {
  /** `host-1`, `host-2`, …, or `chain`. */
  readonly to: string;
  readonly method: string;
  readonly path: string;
  /** Of arrival, Unix time. */
  readonly atMs: number;
  /** Undefined while there is none, and for good when the connection was dropped. */
  status?: number;
  /** Until the answer's end, or the connection's. */
  elapsedMs?: number;
}

const MAX_REQUESTS = 10_000;
const WITHHELD = "[key material]";

/**
 * Sees all that arrives at every host and the chain, as no single one of them can, and writes down what no client may ever
 * do: sign two diffs for one nonce, or let a key out.
 */
export class DevshardWatch {
  /** The latest 10 000, in order of arrival. */
  readonly requests: DevshardRequest[] = [];
  /** One sentence per offence; tests expect none. */
  readonly violations: string[] = [];
  readonly #leaks = new KeyLeakDetector();
  /** Hash of the diff that was signed for a nonce of an escrow. */
  readonly #signed = new Map<string, string>();

  /** A key whose digits must never come over the wire. */
  protect(privateKeyHex: string): void {
    this.#leaks.add([privateKeyHex]);
  }

  record(to: string, { method, path, header, body }: HostCall, atMs: number): DevshardRequest {
    const texts = [path, body.toString("latin1"), header("authorization") ?? "", header("cookie") ?? ""];
    const isLeak = texts.some((text) => this.#leaks.finds(text));
    const recorded = { to, method, path: isLeak ? WITHHELD : path, atMs };
    if (isLeak) this.violations.push(`a ${method} to ${to} holds part of a private key`);
    this.requests.push(recorded);
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    return recorded;
  }

  /** Compares diffs with those that any host was sent before; what the user did not sign does not count. */
  compare(session: HostSession, diffs: readonly ReceivedDiff[]): void {
    for (const { json, signed } of diffs) {
      const place = `${session.owner} ${session.escrowId} ${signed.nonce}`;
      const content = sha256(json.txs, json.post_state_root).toString("base64");
      const before = this.#signed.get(place);
      if (before === content || !session.isSignedByOwner(signed)) continue;
      if (before === undefined) this.#signed.set(place, content);
      else this.violations.push(`two diffs were signed for nonce ${signed.nonce} of escrow ${session.escrowId}`);
    }
  }
}
