import { createHash } from "node:crypto";

/** Which signing input the network understands: see shared reference 1.1. There is no marker on the wire. */
export type SigningPhase = 1 | 3;

/**
 * The bytes a request's signature covers. Phase 3 (v0.2.6 to v0.2.13) starts with the hex of the body's SHA-256, phase 1
 * (until v0.2.5) with the body itself; then the timestamp when greater than 0, then the node's address.
 * Source: gonka-ai/gonka inference-chain/x/inference/calculations/signature_validate.go at 8a35022b.
 */
export function signingInput(
  phase: SigningPhase,
  parts: { readonly body: Uint8Array; readonly timestampNanos: bigint; readonly transferAddress: string },
): Buffer {
  const payload = phase === 1 ? parts.body : Buffer.from(createHash("sha256").update(parts.body).digest("hex"));
  const timestamp = parts.timestampNanos > 0n ? parts.timestampNanos.toString() : "";
  return Buffer.concat([payload, Buffer.from(timestamp + parts.transferAddress, "utf8")]);
}

const MAX_INT64 = 2n ** 63n - 1n;

/** Reads X-Timestamp as the node does: Go's ParseInt, and 0 for whatever that refuses. */
export function parseTimestampHeader(text: string | undefined): bigint {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) return 0n;
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  return value > MAX_INT64 || value < -MAX_INT64 - 1n ? 0n : value;
}
