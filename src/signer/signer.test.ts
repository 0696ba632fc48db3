import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { fromBase64, fromHex, signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { shownBy, thrownBy } from "../../test/support/thrown-by.ts";
import { signingDigest, signingInput } from "../wire/classic.ts";
import { activeCurve } from "../wire/secp256k1.ts";
import { parsePrivateKey, RequestSigner, type SignRequest } from "./signer.ts";

const KEY = "65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b";
const NODE = "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le";
const REQUEST: SignRequest = {
  body: fromHex("7b7d"),
  timestampNanos: 1_755_734_400_123_456_789n,
  transferAddress: NODE,
};

describe.each(signingVectors.signing)("vector $id", (vector) => {
  const signer = RequestSigner.fromHex(vector.private_key_hex, { prefix: vector.address_prefix });
  const timestampNanos = BigInt(vector.timestamp_ns);
  const request: SignRequest = {
    body: fromBase64(vector.body_base64),
    timestampNanos,
    transferAddress: vector.transfer_address,
  };

  it("has the address and public key", () => {
    expect(signer.address).toBe(vector.expected_address);
    expect(toHex(signer.publicKey)).toBe(vector.expected_public_key_hex);
    expect(Buffer.from(signer.publicKey).toString("base64")).toBe(vector.expected_public_key_base64);
  });

  it("has the signed text and its hash", () => {
    const parts = { ...request, body: fromBase64(vector.body_base64), timestamp: vector.timestamp_ns };
    expect(toHex(signingInput(parts))).toBe(vector.expected_signing_input_hex);
    expect(toHex(signingDigest(parts))).toBe(vector.expected_signing_input_sha256_hex);
  });

  it("has the signature", () => {
    expect(signer.sign(request)).toBe(vector.expected_signature_base64);
  });

  it("has another signature after any change", () => {
    const changed: readonly SignRequest[] = [
      { ...request, body: Buffer.concat([fromBase64(vector.body_base64), Buffer.from(" ")]) },
      { ...request, timestampNanos: timestampNanos === 1n ? 2n : timestampNanos - 1n },
      { ...request, transferAddress: signer.address },
    ];
    for (const other of changed) expect(signer.sign(other)).not.toBe(vector.expected_signature_base64);
    const stranger = RequestSigner.fromHex("42".repeat(32), { prefix: vector.address_prefix });
    expect(stranger.sign(request)).not.toBe(vector.expected_signature_base64);
  });
});

// Rows of requirements.md, Appendix A. Their transfer addresses are no addresses: they test the bytes below validation.
describe.each([
  [
    "01",
    "hello",
    "1000000000",
    "gonka1test",
    "/x6JuvqXWpT9YNgjYt0eNLxK8nDjccY/VyJrDn4bGjNbWWu3Px9doIlUQUOOf2Eu7SqyZ4oyGlDoY+4XpGA2JQ==",
  ],
  ["01", "", "0", "", "NyKMAuRc/FRjptcjm94Q3Fqeevcl2fJUeb0Dxwh1HZpH7sgFk7ajJdBPt8FVa1mxG5OY623oKNb6xkGerdqIiw=="],
  [
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
    "hello",
    "1000000000",
    "gonka1test",
    "jtbBiX1nUgLiIH7FjLxy7Nn1Ckp3jq+8t6iLNjCKliJPXKOGHoo997xqbo3R9FNsTK8TmCyQW3PPvRJQFKhRXg==",
  ],
])("known answer for key %s, body %j", (key, body, timestamp, transferAddress, expected) => {
  it("is reproduced below address validation", () => {
    const digest = signingDigest({ body: Buffer.from(body), timestamp, transferAddress });
    const signature = activeCurve().signDigest(digest, fromHex(key.padStart(64, "0")));
    expect(Buffer.from(signature).toString("base64")).toBe(expected);
  });

  it("is refused by the signer, whose nodes have addresses", () => {
    const signer = RequestSigner.fromHex(key.padStart(64, "0"));
    const code = timestamp === "0" ? "internal" : "invalid_address";
    expect(thrownBy(() => signer.sign({ body, timestampNanos: BigInt(timestamp), transferAddress })).code).toBe(code);
  });
});

describe("RequestSigner", () => {
  it("uses prefix gonka unless told otherwise", () => {
    expect(RequestSigner.fromHex(KEY).address).toMatch(/^gonka1/);
  });

  it("takes a string as its UTF-8 bytes", () => {
    const signer = RequestSigner.fromHex(KEY);
    expect(signer.sign({ ...REQUEST, body: "é😀" })).toBe(
      signer.sign({ ...REQUEST, body: Buffer.from("é😀", "utf8") }),
    );
  });

  it("signs for addresses of its own network only", () => {
    const signer = RequestSigner.fromHex(KEY, { prefix: "cosmos" });
    expect(signer.address).toMatch(/^cosmos1/);
    expect(thrownBy(() => signer.sign(REQUEST)).code).toBe("invalid_address");
    expect(signer.sign({ ...REQUEST, transferAddress: signer.address })).toHaveLength(88);
  });

  it.each(signingVectors.invalid_addresses)("refuses to sign for an invalid address: $why", ({ address }) => {
    const error = thrownBy(() => RequestSigner.fromHex(KEY).sign({ ...REQUEST, transferAddress: address }));
    expect(error.code).toBe("invalid_address");
    expect(shownBy(error)).not.toContain(address.slice(6));
  });

  it("takes a timestamp as the decimal text of the header", () => {
    const signer = RequestSigner.fromHex(KEY);
    for (const timestampNanos of ["1", "1755734400123456789", "9223372036854775807"]) {
      expect(signer.sign({ ...REQUEST, timestampNanos })).toBe(
        signer.sign({ ...REQUEST, timestampNanos: BigInt(timestampNanos) }),
      );
    }
  });

  it.each([0n, -1n, 2n ** 63n, 1, 1.5, "", "0", "01", "+1", "-1", " 1", "1n", "1e3", "9223372036854775808", undefined])(
    "refuses the timestamp %s",
    (timestampNanos) => {
      const signer = RequestSigner.fromHex(KEY);
      expect(thrownBy(() => signer.sign({ ...REQUEST, timestampNanos: timestampNanos as bigint })).code).toBe(
        "internal",
      );
    },
  );

  it.each([
    null,
    undefined,
    5,
    { a: 1 },
    [1, 2],
    new ArrayBuffer(2),
    new Uint16Array(2),
    new Blob(["a"]),
    new URLSearchParams("a=1"),
  ])("refuses the body %o, which is neither bytes nor a string", (body) => {
    const signer = RequestSigner.fromHex(KEY);
    const code = thrownBy(() => signer.sign({ ...REQUEST, body: body as unknown as string })).code;
    expect(code).toBe("unsupported_body");
  });

  it("refuses a bad prefix", () => {
    expect(thrownBy(() => RequestSigner.fromHex(KEY, { prefix: "GONKA" })).code).toBe("invalid_prefix");
  });

  it("gives copies of its public key", () => {
    const signer = RequestSigner.fromHex(KEY);
    signer.publicKey.fill(0);
    expect(toHex(signer.publicKey)).toBe(signingVectors.address[0]?.public_key_hex);
  });

  it("does not sign after it was disposed", () => {
    const signer = RequestSigner.fromHex(KEY);
    signer[Symbol.dispose]();
    signer.dispose();
    const error = thrownBy(() => signer.sign(REQUEST));
    expect(error.detail).toContain("disposed");
    expect(signer.address).toMatch(/^gonka1/);
  });

  it("shows its key nowhere", () => {
    const signer = RequestSigner.fromHex(KEY);
    const shown = [
      inspect(signer, { showHidden: true, depth: 9, getters: true }),
      inspect({ ...signer }, { showHidden: true }),
      JSON.stringify({ signer }),
      String(signer),
      JSON.stringify(Object.getOwnPropertyDescriptors(signer)),
      Reflect.ownKeys(signer).map(String).join(),
    ].join("\n");
    const spellings = [KEY, Buffer.from(KEY, "hex").toString("base64"), [...fromHex(KEY)].join(",")];
    for (const spelling of spellings) {
      for (let start = 0; start + 12 <= spelling.length; start++) {
        expect(shown.toLowerCase()).not.toContain(spelling.slice(start, start + 12).toLowerCase());
      }
    }
    expect(inspect(signer)).toBe(`RequestSigner(${signer.address})`);
    expect(JSON.parse(JSON.stringify(signer))).toEqual({ address: signer.address, privateKey: "[redacted]" });
  });
});

describe("parsePrivateKey", () => {
  it.each(signingVectors.accepted_private_key_spellings)("reads the spelling $why", ({ private_key, same_as }) => {
    expect(toHex(parsePrivateKey(private_key))).toBe(same_as);
  });

  it.each([
    ["blanks around it", ` \t${KEY}\r\n`],
    ["0X and upper case", `0X${KEY.toUpperCase()}`],
    ["base64 of 32 bytes", Buffer.from(KEY, "hex").toString("base64")],
    ["base64 with a final newline", `${Buffer.from(KEY, "hex").toString("base64")}\n`],
  ])("reads %s", (_what, text) => {
    expect(toHex(parsePrivateKey(text))).toBe(KEY);
  });

  it.each(["1", "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"])(
    "reads the ends of the range: %s",
    (digits) => {
      const padded = digits.padStart(64, "0");
      expect(toHex(parsePrivateKey(padded))).toBe(padded);
    },
  );

  it.each(signingVectors.invalid_private_keys)("refuses $why without repeating it", ({ private_key }) => {
    if (private_key.trim() !== private_key) {
      // "Trim or reject, never echo": we trim.
      expect(toHex(parsePrivateKey(private_key))).toBe(private_key.trim());
      return;
    }
    const error = thrownBy(() => parsePrivateKey(private_key));
    expect(error.code).toBe("invalid_private_key");
    if (private_key !== "") expect(shownBy(error)).not.toContain(private_key.slice(0, 8));
  });

  const base64 = Buffer.from(KEY, "hex").toString("base64");
  it.each([
    ["odd length", KEY.slice(1)],
    ["a blank inside", `${KEY.slice(0, 32)} ${KEY.slice(32)}`],
    ["0x alone", "0x"],
    ["a second 0x", `0x0x${KEY}`],
    ["a minus", `-${KEY.slice(1)}`],
    ["base64 of 31 bytes", Buffer.from(KEY.slice(2), "hex").toString("base64")],
    ["base64 of 33 bytes", Buffer.from(`${KEY}00`, "hex").toString("base64")],
    ["base64 of zero", Buffer.alloc(32).toString("base64")],
    ["unpadded base64", base64.slice(0, -1)],
    ["base64 with stray bits", `${base64.slice(0, -2)}t=`],
    ["URL-safe base64", Buffer.alloc(32, 0xfb).toString("base64url").concat("=")],
    ["full-width digits", "１".repeat(64)],
  ])("refuses %s without repeating it", (_what, text) => {
    const error = thrownBy(() => parsePrivateKey(text));
    expect(error.code).toBe("invalid_private_key");
    if (text.length > 8) expect(shownBy(error)).not.toContain(text.slice(2, 10));
  });

  it.each([undefined, null, 1, {}, fromHex(KEY)])("refuses what is not text: %s", (value) => {
    expect(thrownBy(() => parsePrivateKey(value as string)).code).toBe("invalid_private_key");
  });

  it.each(signingVectors.mnemonic)("tells recovery words apart and says what to do", ({ mnemonic }) => {
    const error = thrownBy(() => parsePrivateKey(`${mnemonic}\n`));
    expect(error.code).toBe("invalid_private_key");
    expect(error.hint).toContain("--recover");
    expect(shownBy(error)).not.toContain(mnemonic.split(" ").at(-1));
  });

  it.each(["gp-0123456789abcdef", "gpm-0123456789abcdef", "gnk-sk-0123456789", "jg-0123456789", "obk-0123", "sk-0123"])(
    "tells a broker key apart and says where it belongs: %s",
    (text) => {
      const error = thrownBy(() => parsePrivateKey(text));
      expect(error.code).toBe("invalid_private_key");
      expect(error.hint).toContain("gateway");
      expect(shownBy(error)).not.toContain("0123");
    },
  );
});
