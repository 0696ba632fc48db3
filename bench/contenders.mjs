import { createHash } from "node:crypto";

// A published test key; never fund it.
const KEY_HEX = "65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b";
const NODE = "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le";
export const BODY = Buffer.from(
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(1000) }] }),
);

const privateKey = Uint8Array.from(Buffer.from(KEY_HEX, "hex"));
const sha256 = (data) => createHash("sha256").update(data);
const digestOf = (timestamp) => sha256(sha256(BODY).digest("hex") + timestamp + NODE).digest();
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

/** Each loads its library and gives a function from timestamp to signature: the whole work for one request. */
export const contenders = {
  zeph: async () => {
    const { RequestSigner } = await import("../dist/signer/index.js");
    const signer = RequestSigner.fromHex(KEY_HEX);
    return (timestamp) => signer.sign({ body: BODY, timestampNanos: timestamp, transferAddress: NODE });
  },
  "zeph without WebAssembly": async () => {
    const { javascriptCurve } = await import("../dist/wire/secp256k1.js");
    return (timestamp) => base64(javascriptCurve.signDigest(digestOf(timestamp), privateKey));
  },
  "@noble/curves 2.4.0": async () => {
    const { secp256k1 } = await import("@noble/curves/secp256k1.js");
    return (timestamp) => base64(secp256k1.sign(digestOf(timestamp), privateKey, { prehash: false }));
  },
  "gonka-openai 0.2.2": async () => {
    const { gonkaSignature } = await import("gonka-openai");
    // 0.2.2 signs its payload as it is; given the hex hash, it signs what networks since v0.2.6 want.
    return (timestamp) =>
      gonkaSignature({ payload: sha256(BODY).digest("hex"), timestamp, transferAddress: NODE }, KEY_HEX);
  },
  "secp256k1 5.0.2 (native)": async () => {
    const { default: native } = await import("secp256k1");
    return (timestamp) => base64(native.ecdsaSign(digestOf(timestamp), privateKey).signature);
  },
};
