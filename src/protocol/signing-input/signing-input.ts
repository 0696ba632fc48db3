import { hash } from "node:crypto";

/** What goes into the signed text. */
export interface SigningParts {
  /** The bytes as they go on the wire. Nothing may be parsed and written again between hashing and sending. */
  readonly body: Uint8Array;
  /** The decimal text of `X-Timestamp`; empty where a node leaves it out (header missing, unreadable or not positive). */
  readonly timestamp: string;
  /** Bech32 address of the node that is called. */
  readonly transferAddress: string;
}

/**
 * The bytes that are signed, before their hash: lower-case hex of SHA-256(body) ‖ timestamp ‖ transfer address, without
 * separators ("phase 3", network versions v0.2.6 to v0.2.13, 2025-12-22 to 2026-07-23). Does not validate: that is for
 * whoever signs or verifies. Source: gonka-ai/gonka 82c43a42, `decentralized-api/internal/server/public/utils.go:11-20`.
 */
export function signingInput({ body, timestamp, transferAddress }: SigningParts): Uint8Array {
  return Buffer.from(hash("sha256", body, "hex") + timestamp + transferAddress, "utf8");
}

/** SHA-256 of {@link signingInput}: the 32 bytes the curve signs. */
export function signingDigest(parts: SigningParts): Uint8Array {
  return hash("sha256", signingInput(parts), "buffer");
}
