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
