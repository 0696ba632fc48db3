import type { SigningParts } from "../signing-parts.ts";

/**
 * Phase 1, network versions up to v0.2.5 (until 2025-12-22): the body itself ‖ timestamp ‖ transfer address, without
 * separators. Source: gonka-ai/gonka bb576e47, `decentralized-api/internal/server/public/utils.go`; npm gonka-openai
 * 0.2.2 still sends it.
 */
export function rawBodyInput({ body, timestamp, transferAddress }: SigningParts): Uint8Array {
  return Buffer.concat([body, Buffer.from(timestamp + transferAddress, "utf8")]);
}
