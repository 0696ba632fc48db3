import { hash } from "node:crypto";
import type { SigningParts } from "../signing-parts.ts";

/**
 * Phase 3, network versions v0.2.6 to v0.2.13 (2025-12-22 to 2026-07-23): lower-case hex of SHA-256(body) ‖ timestamp ‖
 * transfer address, without separators. Source: gonka-ai/gonka 82c43a42,
 * `decentralized-api/internal/server/public/utils.go:11-20`.
 */
export function bodyHashInput({ body, timestamp, transferAddress }: SigningParts): Uint8Array {
  const bodyHash = hash("sha256", body, "hex");
  return Buffer.from(bodyHash + timestamp + transferAddress, "utf8");
}
