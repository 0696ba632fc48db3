import { type DiffJson, decodeWireTxs } from "../../wire/devshard/messages.ts";
import { MalformedProtobuf } from "../../wire/protobuf.ts";
import { decodeGoBase64, GoBase64Error } from "../network/crypto/go-base64.ts";
import { sha256, signerOf, UnrecoverableSignature } from "./curve.ts";
import { HostRefusal, type Payload, type ReceivedDiff } from "./host-session.ts";

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
export function senderOf({ header, body }: HostCall, escrowId: string, nowSeconds: number): string {
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
    return signerOf(sha256(escrowId, body, seconds), Buffer.from(signature, "hex"));
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

export interface TimeoutCall {
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
