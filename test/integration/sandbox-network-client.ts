import { createECDH, createHash, createPrivateKey, sign } from "node:crypto";
import type { ChatRequest, Engine, EngineEvent } from "../../src/sandbox/engine.ts";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

export const MODEL = "sandbox/echo-1";

/** The smallest engine: says its prompt back, word by word, or calls the first tool offered. */
export const echoEngine: Engine = {
  models: async () => [
    {
      id: MODEL,
      contextLengthTokens: 8_192,
      maxOutputTokens: 4_096,
      promptUsdPer1M: 0.1,
      completionUsdPer1M: 0.2,
      kind: "chat",
    },
  ],
  async *complete(request: ChatRequest): AsyncIterable<EngineEvent> {
    const prompt = String(request.messages.at(-1)?.content ?? "");
    const tool = request.tools?.[0];
    if (tool !== undefined) {
      yield { type: "tool-call", index: 0, id: "call_1", name: tool.function.name, argumentsJson: '{"city":' };
      yield { type: "tool-call", index: 0, argumentsJson: '"Bern"}' };
    } else {
      for (const word of `You said: ${prompt}`.match(/\S+\s*/g) ?? []) yield { type: "text", text: word };
    }
    yield {
      type: "finish",
      reason: tool === undefined ? "stop" : "tool_calls",
      usage: { promptTokens: 10, completionTokens: 5, cachedTokens: 0 },
    };
  },
};

/** Signs as the reference says, with OpenSSL through node:crypto: nothing of zeph's signer. */
export function signWithOpenSsl(
  privateKeyHex: string,
  input: Uint8Array | string,
  change: (signature: { r: bigint; s: bigint }) => { r: bigint; s: bigint } = (signature) => signature,
): string {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  const point = curve.getPublicKey();
  const part = (bytes: Buffer) => bytes.toString("base64url");
  const jwk = { kty: "EC", crv: "secp256k1", d: part(Buffer.from(privateKeyHex, "hex")) };
  const key = createPrivateKey({
    format: "jwk",
    key: { ...jwk, x: part(point.subarray(1, 33)), y: part(point.subarray(33)) },
  });
  const raw = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  const r = BigInt(`0x${raw.subarray(0, 32).toString("hex")}`);
  const high = BigInt(`0x${raw.subarray(32).toString("hex")}`);
  const s = high > ORDER / 2n ? ORDER - high : high;
  const changed = change({ r, s });
  const half = (value: bigint) => Buffer.from(value.toString(16).padStart(64, "0"), "hex");
  return Buffer.concat([half(changed.r), half(changed.s)]).toString("base64");
}

/** The other valid s of the same signature, which the network refuses. */
export const highS = ({ r, s }: { r: bigint; s: bigint }) => ({ r, s: ORDER - s });

/** The phase 3 signing input. */
export function phase3Input(body: string | Uint8Array, timestampNanos: bigint, transferAddress: string): string {
  return createHash("sha256").update(body).digest("hex") + timestampNanos.toString() + transferAddress;
}

export interface CallOptions {
  readonly account: { readonly privateKeyHex: string; readonly address: string };
  readonly node: { readonly baseURL: string; readonly address: string };
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly timestampNanos: bigint;
  readonly path?: string;
  /** Added to, or with `undefined` taken from, the right headers. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

/** A correctly signed POST, with the changes a test wants. */
export async function signedCall(options: CallOptions): Promise<Response> {
  const input = phase3Input(options.body, options.timestampNanos, options.node.address);
  const headers: Record<string, string | undefined> = {
    Authorization: signWithOpenSsl(options.account.privateKeyHex, input),
    "X-Requester-Address": options.account.address,
    "X-Timestamp": options.timestampNanos.toString(),
    "Content-Type": "application/json",
    ...options.headers,
  };
  const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return fetch(`${options.node.baseURL}${options.path ?? "/chat/completions"}`, {
    method: "POST",
    headers: given,
    body: options.body,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

export function chatBody(fields: object = {}): string {
  return JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }], max_tokens: 64, ...fields });
}

/** The fields of a completion these tests look at. */
export interface Answer {
  readonly id: string;
  readonly object: string;
  readonly prompt_token_ids: readonly number[];
  readonly choices: readonly {
    readonly message: { readonly content: string };
    readonly logprobs: { readonly content: readonly { readonly top_logprobs: readonly unknown[] }[] };
    readonly token_ids: readonly number[];
  }[];
}

export async function answerOf(response: Response): Promise<Answer> {
  return (await response.json()) as Answer;
}
