import { hash } from "node:crypto";
import { rawBodyInput } from "./phase-1/raw-body-input.ts";
import { bodyHashInput } from "./phase-3/body-hash-input.ts";
import type { SigningParts } from "./signing-parts.ts";

/** Generations of the signed text. There is no marker on the wire: a client and its network must agree beforehand. */
const GENERATIONS = { 1: rawBodyInput, 3: bodyHashInput } as const satisfies Record<
  number,
  (parts: SigningParts) => Uint8Array
>;

/** 3 for every network since v0.2.6; 1 only where somebody runs an older one and says so. */
export type SigningPhase = keyof typeof GENERATIONS;

export const DEFAULT_PHASE: SigningPhase = 3;

export function isSigningPhase(value: unknown): value is SigningPhase {
  return typeof value === "number" && Object.hasOwn(GENERATIONS, value);
}

/** The bytes that are signed, before their hash. Does not validate: that is for whoever signs or verifies. */
export function signingInput(parts: SigningParts, phase: SigningPhase = DEFAULT_PHASE): Uint8Array {
  return GENERATIONS[phase](parts);
}

/** SHA-256 of {@link signingInput}: the 32 bytes the curve signs. */
export function signingDigest(parts: SigningParts, phase: SigningPhase = DEFAULT_PHASE): Uint8Array {
  return hash("sha256", signingInput(parts, phase), "buffer");
}
