import { afterEach, expect, it, vi } from "vitest";
import { fromBase64, signingVectors } from "../../test/support/signing-vectors.ts";

afterEach(() => vi.unstubAllGlobals());

it("signs the same where WebAssembly is refused", async () => {
  vi.stubGlobal("WebAssembly", undefined);
  const { activeCurve } = await import("./secp256k1.ts");
  const { RequestSigner } = await import("../signer/signer.ts");
  expect(activeCurve().name).toBe("javascript");
  for (const vector of signingVectors.signing) {
    const signature = RequestSigner.fromHex(vector.private_key_hex, { prefix: vector.address_prefix }).sign({
      body: fromBase64(vector.body_base64),
      timestampNanos: BigInt(vector.timestamp_ns),
      transferAddress: vector.transfer_address,
    });
    expect(signature, vector.id).toBe(vector.expected_signature_base64);
  }
});
