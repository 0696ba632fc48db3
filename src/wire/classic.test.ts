import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fromBase64, fromHex, signingVectors } from "../../test/support/signing-vectors.ts";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { type SignatureToVerify, signingInput, verifySignature } from "./classic.ts";

describe("verifySignature", () => {
  it.each(signingVectors.verification)("$id: valid is $expected_valid", (vector) => {
    const verdict = verifySignature({
      publicKey: fromHex(vector.public_key_hex),
      body: fromBase64(vector.body_base64),
      timestamp: vector.timestamp_ns === "" ? undefined : vector.timestamp_ns,
      transferAddress: vector.transfer_address,
      authorization: vector.authorization,
    });
    expect(verdict.valid).toBe(vector.expected_valid);
  });

  it.each(signingVectors.signing)("accepts $id, and refuses its mutations", (vector) => {
    const request: SignatureToVerify = {
      publicKey: fromHex(vector.expected_public_key_hex),
      body: fromBase64(vector.body_base64),
      timestamp: vector.timestamp_ns,
      transferAddress: vector.transfer_address,
      authorization: vector.expected_signature_base64,
    };
    expect(verifySignature(request)).toEqual({ valid: true });
    const signature = fromBase64(vector.expected_signature_base64);
    const mutations: readonly Partial<SignatureToVerify>[] = [
      { body: Buffer.concat([request.body, Buffer.from("\n")]) },
      { timestamp: `${vector.timestamp_ns}0` },
      { timestamp: undefined },
      { transferAddress: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6" },
      { publicKey: fromHex("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5") },
      { authorization: withoutByte(signature, 0) },
      { authorization: withoutByte(signature, 32) },
      { authorization: withHighS(signature) },
      { authorization: vector.expected_signature_base64.replace(/==$/, "") },
      { authorization: `Bearer ${vector.expected_signature_base64}` },
      { authorization: "" },
    ];
    const samePublicKey = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
    for (const mutation of mutations) {
      if (mutation.publicKey !== undefined && vector.expected_public_key_hex === samePublicKey) continue;
      expect(verifySignature({ ...request, ...mutation }).valid, JSON.stringify(Object.keys(mutation))).toBe(false);
    }
  });

  const control = signingVectors.verification.find((vector) => vector.expected_valid)!;
  const request: SignatureToVerify = {
    publicKey: fromHex(control.public_key_hex),
    body: fromBase64(control.body_base64),
    timestamp: control.timestamp_ns,
    transferAddress: control.transfer_address,
    authorization: control.authorization,
  };

  it.each([`+${control.timestamp_ns}`, `0${control.timestamp_ns}`])(
    "reads the timestamp as Go does: %s",
    (timestamp) => {
      expect(verifySignature({ ...request, timestamp }).valid).toBe(true);
    },
  );

  it.each([`${control.timestamp_ns} `, `${control.timestamp_ns}.0`, "1e9", "0x1", "", "99999999999999999999"])(
    "takes a timestamp that Go cannot read for a missing one: %j",
    (timestamp) => {
      expect(verifySignature({ ...request, timestamp })).toEqual({ valid: false, reason: "invalid signature" });
    },
  );

  it.each(["0", "-5", "", undefined])(
    "leaves a timestamp that is not positive out of the text, as nodes do: %s",
    (timestamp) => {
      const keys = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
      const { transferAddress, body } = request;
      const signed = (text: string) => {
        const input = signingInput({ body, timestamp: text, transferAddress });
        const signature = sign("sha256", input, { key: keys.privateKey, dsaEncoding: "ieee-p1363" });
        const isLow = signature[32]! <= 0x7f;
        return isLow ? signature.toString("base64") : withHighS(signature);
      };
      const publicKey = compressed(keys.publicKey);
      expect(verifySignature({ ...request, publicKey, timestamp, authorization: signed("") }).valid).toBe(true);
      if (timestamp === undefined || timestamp === "") return;
      expect(verifySignature({ ...request, publicKey, timestamp, authorization: signed(timestamp) }).valid).toBe(false);
    },
  );

  it("says where base64 goes wrong, as nodes do", () => {
    const authorization = control.authorization.replace(/^.{5}/, "$&_");
    expect(verifySignature({ ...request, authorization })).toEqual({
      valid: false,
      reason: "illegal base64 data at input byte 5",
    });
  });

  it("refuses a public key that is no point", () => {
    expect(thrownBy(() => verifySignature({ ...request, publicKey: new Uint8Array(33) })).code).toBe("internal");
  });
});

function compressed(publicKey: KeyObject): Uint8Array {
  const point = publicKey.export({ format: "der", type: "spki" }).subarray(-64);
  return Uint8Array.of(point[63]! % 2 === 0 ? 2 : 3, ...point.subarray(0, 32));
}

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

function withHighS(signature: Uint8Array): string {
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString("hex")}`);
  const high = Buffer.from((ORDER - s).toString(16).padStart(64, "0"), "hex");
  return Buffer.concat([signature.subarray(0, 32), high]).toString("base64");
}

function withoutByte(signature: Uint8Array, index: number): string {
  return Buffer.concat([signature.subarray(0, index), signature.subarray(index + 1)]).toString("base64");
}
