import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";

/** A key pair of a sandbox account, made and derived by node:crypto. */
export interface AccountKey {
  readonly privateKeyHex: string;
  /** 33 bytes, compressed. */
  readonly publicKey: Buffer;
}

/** Makes a key pair, or derives the public key of the one given as 64 hex digits. */
export function accountKey(privateKeyHex?: string): AccountKey {
  const curve = createECDH("secp256k1");
  if (privateKeyHex === undefined) curve.generateKeys();
  else curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  return {
    privateKeyHex: curve.getPrivateKey("hex").padStart(64, "0"),
    publicKey: curve.getPublicKey(null, "compressed"),
  };
}

/** The account address of a public key: bech32 of RIPEMD160(SHA256(33 bytes)). */
export function addressOfPublicKey(publicKey: Uint8Array, prefix: string): string {
  const sha256 = createHash("sha256").update(publicKey).digest();
  return encodeBech32(prefix, createHash("ripemd160").update(sha256).digest());
}

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Signs as a node signs its identity: r ‖ s with low s, 64 bytes in base64. */
export function signWithAccountKey(key: AccountKey, message: Uint8Array): string {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(Buffer.from(key.privateKeyHex, "hex"));
  const point = curve.getPublicKey();
  const part = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const d = part(Buffer.from(key.privateKeyHex, "hex"));
  const jwk = { kty: "EC", crv: "secp256k1", d, x: part(point.subarray(1, 33)), y: part(point.subarray(33)) };
  const privateKey = createPrivateKey({ key: jwk, format: "jwk" });
  const signature = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
  const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
  if (s > ORDER / 2n) signature.write((ORDER - s).toString(16).padStart(64, "0"), 32, "hex");
  return signature.toString("base64");
}

const BECH32_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_LENGTH = 6;

/** The constant that makes it bech32; bech32m uses another one. */
const BECH32_CONSTANT = 1;

/** Bech32 (BIP 173) of `bytes`. The sandbox's own, so that zeph's signer is judged by other code. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const words = regroup([...bytes], 8, 5, "pad");
  const values = [...expandPrefix(prefix), ...(words ?? [])];
  const check = checksum([...values, 0, 0, 0, 0, 0, 0]) ^ BECH32_CONSTANT;
  const tail = Array.from({ length: CHECKSUM_LENGTH }, (_, index) => (check >>> (5 * (5 - index))) & 31);
  return `${prefix}1${[...(words ?? []), ...tail].map((word) => BECH32_ALPHABET.charAt(word)).join("")}`;
}

/** The prefix and bytes of a bech32 text, or undefined when anything about it is wrong. */
export function decodeBech32(text: string): { readonly prefix: string; readonly bytes: Uint8Array } | undefined {
  const lower = text.toLowerCase();
  if (lower !== text && text.toUpperCase() !== text) return undefined;
  const separator = lower.lastIndexOf("1");
  if (separator < 1 || lower.length - separator - 1 < CHECKSUM_LENGTH) return undefined;
  const prefix = lower.slice(0, separator);
  const words = [...lower.slice(separator + 1)].map((letter) => BECH32_ALPHABET.indexOf(letter));
  if (words.includes(-1)) return undefined;
  if (checksum([...expandPrefix(prefix), ...words]) !== BECH32_CONSTANT) return undefined;
  const bytes = regroup(words.slice(0, -CHECKSUM_LENGTH), 5, 8, "strict");
  return bytes === undefined ? undefined : { prefix, bytes: Uint8Array.from(bytes) };
}

function expandPrefix(prefix: string): number[] {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
}

function checksum(values: readonly number[]): number {
  let state = 1;
  for (const value of values) {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, bit) => {
      if ((top >>> bit) & 1) state ^= generator;
    });
  }
  return state;
}

function regroup(
  values: readonly number[],
  fromBits: number,
  toBits: number,
  rest: "pad" | "strict",
): number[] | undefined {
  const result: number[] = [];
  let held = 0;
  let heldBits = 0;
  for (const value of values) {
    held = (held << fromBits) | value;
    heldBits += fromBits;
    while (heldBits >= toBits) {
      heldBits -= toBits;
      result.push((held >>> heldBits) & ((1 << toBits) - 1));
    }
    held &= (1 << heldBits) - 1;
  }
  if (rest === "pad") {
    if (heldBits > 0) result.push((held << (toBits - heldBits)) & ((1 << toBits) - 1));
    return result;
  }
  return heldBits < fromBits && held === 0 ? result : undefined;
}

/** Half of the order of secp256k1; a signature with a larger s is refused. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const SIGNATURE_BYTES = 64;

/** SubjectPublicKeyInfo of a compressed secp256k1 point, without the 33 bytes of the point. */
const SPKI_HEADER = Buffer.from("3036301006072a8648ce3d020106052b8104000a032200", "hex");

/**
 * Checks a request's signature as cosmos-sdk does, with node:crypto: exactly 64 bytes r ‖ s, low s, SHA-256 of the input.
 * @returns undefined when it is good, else the node's words for what is wrong
 */
export function verifySignature(publicKey: Uint8Array, input: Uint8Array, authorization: string): string | undefined {
  let signature: Buffer;
  try {
    signature = decodeGoBase64(authorization);
  } catch (error) {
    if (error instanceof GoBase64Error) return error.message;
    throw error;
  }
  if (signature.length !== SIGNATURE_BYTES) return "invalid signature";
  if (BigInt(`0x${signature.subarray(32).toString("hex")}`) > HALF_ORDER) return "invalid signature";
  const key = importPublicKey(publicKey);
  if (key === undefined) return "invalid signature";
  return verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature) ? undefined : "invalid signature";
}

/** OpenSSL takes nearly as long to import a key as to verify with it, and a test has few accounts and many requests. */
const imported = new Map<string, KeyObject>();
const MAX_IMPORTED = 1_000;

function importPublicKey(publicKey: Uint8Array): KeyObject | undefined {
  const hex = Buffer.from(publicKey).toString("hex");
  const known = imported.get(hex);
  if (known !== undefined) return known;
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" });
    if (imported.size >= MAX_IMPORTED) imported.clear();
    imported.set(hex, key);
    return key;
  } catch {
    // Not a point of the curve: no signature can be good for it.
    return undefined;
  }
}

/**
 * The bytes a request's signature covers (v0.2.6 to v0.2.13): the hex of the body's SHA-256, then the timestamp when
 * greater than 0, then the node's address.
 * Source: gonka-ai/gonka inference-chain/x/inference/calculations/signature_validate.go at 8a35022b.
 */
export function signingInput(parts: {
  readonly body: Uint8Array;
  readonly timestampNanos: bigint;
  readonly transferAddress: string;
}): Buffer {
  const timestamp = parts.timestampNanos > 0n ? parts.timestampNanos.toString() : "";
  return Buffer.from(createHash("sha256").update(parts.body).digest("hex") + timestamp + parts.transferAddress, "utf8");
}

const MAX_INT64 = 2n ** 63n - 1n;

/** Reads X-Timestamp as the node does: Go's ParseInt, and 0 for whatever that refuses. */
export function parseTimestampHeader(text: string | undefined): bigint {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) return 0n;
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  return value > MAX_INT64 || value < -MAX_INT64 - 1n ? 0n : value;
}

/** What Go's decoder says about text it cannot read. */
export class GoBase64Error extends Error {
  constructor(position: number) {
    super(`illegal base64 data at input byte ${position}`);
  }
}

const BASE64_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Decodes like Go's `base64.StdEncoding`: the standard alphabet only, padding required, CR and LF skipped wherever
 * they stand, unused trailing bits ignored. Throws {@link GoBase64Error} with Go's words and byte position.
 */
export function decodeGoBase64(text: string): Buffer {
  const bytes: number[] = [];
  let position = 0;
  const skipLineBreaks = () => {
    while (text[position] === "\r" || text[position] === "\n") position += 1;
  };
  for (;;) {
    const group: number[] = [];
    while (group.length < 4) {
      skipLineBreaks();
      if (position >= text.length) {
        if (group.length === 0) return Buffer.from(bytes);
        throw new GoBase64Error(position - group.length);
      }
      const letter = text.charAt(position);
      const value = BASE64_ALPHABET.indexOf(letter);
      if (value >= 0) {
        group.push(value);
        position += 1;
        continue;
      }
      if (letter !== "=" || group.length < 2) throw new GoBase64Error(position);
      position += 1;
      if (group.length === 2) {
        skipLineBreaks();
        if (position >= text.length) throw new GoBase64Error(text.length);
        if (text[position] !== "=") throw new GoBase64Error(position - 1);
        position += 1;
      }
      skipLineBreaks();
      if (position < text.length) throw new GoBase64Error(position);
      return Buffer.from([...bytes, ...joinGroup(group)]);
    }
    bytes.push(...joinGroup(group));
  }
}

function joinGroup(group: readonly number[]): number[] {
  const [first = 0, second = 0, third = 0, fourth = 0] = group;
  const joined = [(first << 2) | (second >> 4), ((second & 15) << 4) | (third >> 2), ((third & 3) << 6) | fourth];
  return joined.slice(0, group.length - 1);
}

/** A key and certificate for https, both PEM. Give the certificate to a client as `ca` to have it trusted. */
export interface TlsMaterial {
  readonly keyPem: string;
  readonly certificatePem: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff]);

const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("550403", "hex");
const SUBJECT_ALT_NAME = Buffer.from("551d11", "hex");
const BASIC_CONSTRAINTS = Buffer.from("551d13", "hex");

/** Makes a certificate for 127.0.0.1 and localhost that signs itself. node:crypto has no function for it. */
export function selfSignedCertificate(): TlsMaterial {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const algorithm = der(SEQUENCE, der(OBJECT_ID, ECDSA_WITH_SHA256));
  const commonName = der(SEQUENCE, der(OBJECT_ID, COMMON_NAME), der(UTF8_STRING, Buffer.from("zeph sandbox")));
  const name = der(SEQUENCE, der(SET, commonName));
  const validity = der(SEQUENCE, time("20200101000000Z"), time("20991231235959Z"));
  const hosts = der(SEQUENCE, der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1])));
  const isAuthority = der(SEQUENCE, BOOLEAN_TRUE);
  const extensions = der(
    SEQUENCE,
    der(SEQUENCE, der(OBJECT_ID, BASIC_CONSTRAINTS), BOOLEAN_TRUE, der(OCTET_STRING, isAuthority)),
    der(SEQUENCE, der(OBJECT_ID, SUBJECT_ALT_NAME), der(OCTET_STRING, hosts)),
  );
  const serial = der(INTEGER, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const version3 = der(0xa0, der(INTEGER, Buffer.from([2])));
  const spki = publicKey.export({ type: "spki", format: "der" });
  const content = der(SEQUENCE, version3, serial, algorithm, name, validity, name, spki, der(0xa3, extensions));
  const signature = sign("sha256", content, privateKey);
  const certificate = der(SEQUENCE, content, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  const lines = certificate.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

function time(text: string): Buffer {
  return der(GENERALIZED_TIME, Buffer.from(text));
}
