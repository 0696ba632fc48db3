import { createHash } from "node:crypto";

/**
 * The bytes a request's signature covers (v0.2.6 to v0.2.13): the hex of the body's SHA-256, then the timestamp when
 * greater than 0, then the node's address.
 * Source: gonka-ai/gonka inference-chain/x/inference/calculations/signature_validate.go at 8a35022b.
 */
export function signingInput(parts: {
  readonly body: Uint8Array;
  readonly timestampNanos: bigint;
  readonly transferAddress: string;
}): Buffer {
  const timestamp = parts.timestampNanos > 0n ? parts.timestampNanos.toString() : "";
  return Buffer.from(createHash("sha256").update(parts.body).digest("hex") + timestamp + parts.transferAddress, "utf8");
}

const MAX_INT64 = 2n ** 63n - 1n;

/** Reads X-Timestamp as the node does: Go's ParseInt, and 0 for whatever that refuses. */
export function parseTimestampHeader(text: string | undefined): bigint {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) return 0n;
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  return value > MAX_INT64 || value < -MAX_INT64 - 1n ? 0n : value;
}
