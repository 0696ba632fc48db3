import { describe, expect, it } from "vitest";
import { fromHex, signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { activeCurve } from "./active-curve.ts";
import type { Curve } from "./curve.ts";
import { javascriptCurve } from "./curve-javascript.ts";
import { loadWasmCurve } from "./curve-wasm.ts";

function wasmCurve(): Curve {
  const curve = loadWasmCurve();
  if (curve === undefined) throw new Error("this runtime has WebAssembly, so the fast curve must load");
  return curve;
}

// One conformance suite for every implementation that may sign.
describe.each([wasmCurve(), javascriptCurve])("the $name curve", (curve) => {
  it.each(signingVectors.signing)("signs $id to the byte", (vector) => {
    const digest = fromHex(vector.expected_signing_input_sha256_hex);
    const signature = curve.signDigest(digest, fromHex(vector.private_key_hex));
    expect(signature).toHaveLength(64);
    expect(Buffer.from(signature).toString("base64")).toBe(vector.expected_signature_base64);
  });

  it.each([...signingVectors.address, ...signingVectors.mnemonic])("derives $public_key_hex", (vector) => {
    expect(toHex(curve.publicKeyOf(fromHex(vector.private_key_hex)))).toBe(vector.public_key_hex);
  });

  it.each(signingVectors.signing)("signs $id so that its key can be recovered, and no other", (vector) => {
    const digest = fromHex(vector.expected_signing_input_sha256_hex);
    const privateKey = fromHex(vector.private_key_hex);
    const signature = curve.signRecoverable(digest, privateKey);
    expect(signature).toHaveLength(65);
    expect(toHex(signature.subarray(0, 64))).toBe(toHex(curve.signDigest(digest, privateKey)));
    expect(toHex(curve.recover(digest, signature) ?? new Uint8Array())).toBe(toHex(curve.publicKeyOf(privateKey)));
    const flipped = Uint8Array.from(signature);
    flipped[64] = 1 - (flipped[64] ?? 0);
    expect(toHex(curve.recover(digest, flipped) ?? new Uint8Array())).not.toBe(toHex(curve.publicKeyOf(privateKey)));
  });

  it.each([
    ["r of zero", `${"00".repeat(32)}${"11".repeat(32)}00`],
    ["s above the order", `${"11".repeat(32)}${"ff".repeat(32)}00`],
    ["an impossible recovery id", `${"11".repeat(64)}04`],
    ["an r beyond the field", `${"ff".repeat(16)}${"00".repeat(16)}${"11".repeat(32)}02`],
  ])("recovers nothing from %s", (_, signature) => {
    expect(curve.recover(fromHex("a5".repeat(32)), fromHex(signature))).toBeUndefined();
  });

  it("leaves its arguments as they are", () => {
    const privateKey = fromHex("7f".repeat(32));
    const digest = fromHex("a5".repeat(32));
    curve.publicKeyOf(privateKey);
    curve.signDigest(digest, privateKey);
    expect(toHex(privateKey)).toBe("7f".repeat(32));
    expect(toHex(digest)).toBe("a5".repeat(32));
  });
});

describe("activeCurve", () => {
  it("is the fast one, and the same one each time", () => {
    expect(activeCurve().name).toBe("wasm");
    expect(activeCurve()).toBe(activeCurve());
  });
});
