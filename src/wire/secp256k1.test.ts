import { bech32, bech32m } from "@scure/base";
import { describe, expect, it } from "vitest";
import { fromBase64, fromHex, signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { shownBy, thrownBy } from "../../test/support/thrown-by.ts";
import { parseAddress, parsePrefix } from "./endpoint.ts";
import { activeCurve, type Curve, javascriptCurve, loadWasmCurve, toAddress } from "./secp256k1.ts";

const ADDRESS = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";

describe("toAddress", () => {
  it.each(signingVectors.address)("derives $expected_address", (vector) => {
    const publicKey = fromHex(vector.public_key_hex);
    expect(toAddress(publicKey, { prefix: vector.prefix })).toBe(vector.expected_address);
    expect(toAddress(publicKey, { prefix: "cosmos" })).toBe(vector.same_key_cosmos_prefix);
    expect(toAddress(publicKey, { prefix: "gonkavaloper" })).toBe(vector.same_key_gonkavaloper);
    const { words } = bech32.decode(vector.expected_address as `${string}1${string}`);
    expect(Buffer.from(bech32.fromWords(words)).toString("hex")).toBe(vector.hash160_hex);
  });

  it.each(signingVectors.public_key_to_address)("derives $expected_address of the host quickstart", (vector) => {
    expect(toAddress(fromBase64(vector.public_key_base64))).toBe(vector.expected_address);
  });

  it("refuses an uncompressed key", () => {
    expect(thrownBy(() => toAddress(new Uint8Array(65))).code).toBe("internal");
  });
});

describe("parseAddress", () => {
  it.each(signingVectors.address)("accepts $expected_address and the other prefixes", (vector) => {
    expect(parseAddress(vector.expected_address, { prefix: vector.prefix })).toBe(vector.expected_address);
    expect(parseAddress(vector.same_key_cosmos_prefix, { prefix: "cosmos" })).toBe(vector.same_key_cosmos_prefix);
  });

  it.each(signingVectors.invalid_addresses)("refuses: $why", ({ address }) => {
    const error = thrownBy(() => parseAddress(address));
    expect(error.code).toBe("invalid_address");
    expect(shownBy(error)).not.toContain(address.slice(6));
  });

  const words = (length: number) => bech32.toWords(new Uint8Array(length).fill(7));
  it.each([
    ["nothing", ""],
    ["upper case", ADDRESS.toUpperCase()],
    ["blanks around it", ` ${ADDRESS}`],
    ["a final newline", `${ADDRESS}\n`],
    ["bech32m", bech32m.encode("gonka", words(20))],
    ["19 bytes", bech32.encode("gonka", words(19))],
    ["21 bytes", bech32.encode("gonka", words(21))],
    ["32 bytes", bech32.encode("gonka", words(32))],
    ["33 words, the last one stray", bech32.encode("gonka", [...words(20), 0])],
    ["stray bits in the last word", bech32.encode("gonka", [...words(19), 1, 1])],
    ["a validator's address", bech32.encode("gonkavaloper", words(20))],
    ["a longer prefix", bech32.encode("gonkas", words(20))],
    ["the placeholder of Zeph", "gonka1node1placeholder000000000000000000000"],
    ["a private key", "65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b"],
  ])("refuses %s without repeating it", (_what, address) => {
    const error = thrownBy(() => parseAddress(address));
    expect(error.code).toBe("invalid_address");
    if (address !== "") expect(shownBy(error)).not.toContain(address.trim().slice(8));
  });

  it("refuses every change of one character", () => {
    for (let index = 0; index < ADDRESS.length; index++) {
      for (const replacement of ["q", "p", "1", "b"]) {
        const changed = ADDRESS.slice(0, index) + replacement + ADDRESS.slice(index + 1);
        if (changed !== ADDRESS) expect(() => parseAddress(changed)).toThrow("not a valid Gonka address");
      }
    }
  });

  it("refuses what is not text", () => {
    expect(thrownBy(() => parseAddress(undefined as unknown as string)).code).toBe("invalid_address");
  });
});

describe("parsePrefix", () => {
  it.each(["gonka", "cosmos", "g", "gonkavaloper", "net0"])("accepts %s", (prefix) => {
    expect(parsePrefix(prefix)).toBe(prefix);
  });

  it.each(["", "Gonka", "gonka1", " gonka", "gon ka", "gönka", "0net", "a".repeat(52), undefined])(
    "refuses %s",
    (prefix) => {
      expect(thrownBy(() => parsePrefix(prefix as string)).code).toBe("invalid_prefix");
    },
  );
});

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
