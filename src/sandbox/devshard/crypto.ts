import { createECDH, createHash, createHmac, hash } from "node:crypto";
import { addressOfPublicKey } from "../crypto.ts";

/*
 * secp256k1 of the sandbox's devshard: deterministic signatures and recovery, with node:crypto for hashes and for
 * multiples of the base point, and bigints for what it has no function for. Slow, and on purpose not the code that zeph
 * signs with: a double that shared it would agree with every fault of it.
 */

/** The key of a host, of its warm key, or of an account. */
export interface DevshardKey {
  /** Bech32. */
  readonly address: string;
  /** Compressed, 33 bytes. */
  readonly publicKey: Uint8Array;
  readonly privateKeyHex: string;
  /** Signs SHA-256 of the message: r ‖ s ‖ v, 65 bytes; deterministic (RFC 6979), low s. */
  sign(message: Uint8Array): Buffer;
}

const DEFAULT_PREFIX = "gonka";

/** What stands before the 1 of a bech32 address. */
export function prefixOf(address: string): string {
  return address.slice(0, Math.max(address.lastIndexOf("1"), 0)) || DEFAULT_PREFIX;
}

/** Makes a key, or the one of 64 hex digits. */
export function devshardKey(privateKeyHex?: string, prefix = DEFAULT_PREFIX): DevshardKey {
  const curve = createECDH("secp256k1");
  if (privateKeyHex === undefined) curve.generateKeys();
  else curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  const digits = curve.getPrivateKey("hex").padStart(64, "0");
  const publicKey = curve.getPublicKey(null, "compressed");
  return {
    address: addressOfPublicKey(publicKey, prefix),
    publicKey,
    privateKeyHex: digits,
    sign: (message) => sign(hash("sha256", message, "buffer"), Buffer.from(digits, "hex")),
  };
}

/** Why no address comes out of a signature, in a host's words. */
export class UnrecoverableSignature extends Error {}

/** The address that signed the message. Throws {@link UnrecoverableSignature}. */
export function signerOf(message: Uint8Array, signature: Uint8Array, prefix = DEFAULT_PREFIX): string {
  if (signature.length !== 65) throw new UnrecoverableSignature(`invalid signature length: ${signature.length}`);
  if ((signature[64] ?? 0) > 3) throw new UnrecoverableSignature("ecrecover failed: invalid signature recovery id");
  const digest = hash("sha256", message, "buffer");
  const key = `${prefix} ${digest.toString("latin1")}${Buffer.from(signature).toString("latin1")}`;
  const known = signers.get(key);
  if (known !== undefined) return known;
  const publicKey = recover(digest, signature);
  if (publicKey === undefined) throw new UnrecoverableSignature("ecrecover failed: recovery failed");
  const address = addressOfPublicKey(publicKey, prefix);
  if (signers.size >= MAX_SIGNERS) signers.clear();
  signers.set(key, address);
  return address;
}

/** Sixteen hosts of one process are asked about the same signatures. */
const signers = new Map<string, string>();
const MAX_SIGNERS = 4096;

const FIELD = 2n ** 256n - 2n ** 32n - 977n;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const BASE: Point = {
  x: 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  y: 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
  z: 1n,
};

/** In Jacobian coordinates; z = 0 is the point at infinity. */
interface Point {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
}
const INFINITY: Point = { x: 1n, y: 1n, z: 0n };

function sign(digest: Buffer, privateKey: Buffer): Buffer {
  const d = toNumber(privateKey);
  const z = toNumber(digest);
  for (const k of nonces(digest, privateKey)) {
    const point = baseTimes(k);
    const r = point.x % ORDER;
    const s = modulo(inverse(k, ORDER) * (z + r * d), ORDER);
    if (r === 0n || s === 0n) continue;
    const isHigh = s > ORDER / 2n;
    const id = (Number(point.y & 1n) ^ (isHigh ? 1 : 0)) | (point.x >= ORDER ? 2 : 0);
    return Buffer.concat([to32(r), to32(isHigh ? ORDER - s : s), Buffer.of(id)]);
  }
  throw new Error("a signature needs a nonce");
}

/** RFC 6979, section 3.2, for a digest as long as the order. */
function* nonces(digest: Buffer, privateKey: Buffer): Generator<bigint> {
  const seed = Buffer.concat([privateKey, to32(toNumber(digest) % ORDER)]);
  let v: Buffer = Buffer.alloc(32, 1);
  let key: Buffer = Buffer.alloc(32, 0);
  const mac = (...parts: readonly Uint8Array[]) => createHmac("sha256", key).update(Buffer.concat(parts)).digest();
  for (const marker of [0, 1]) {
    key = mac(v, Buffer.of(marker), seed);
    v = mac(v);
  }
  for (;;) {
    v = mac(v);
    const k = toNumber(v);
    if (k > 0n && k < ORDER) yield k;
    key = mac(v, Buffer.of(0));
    v = mac(v);
  }
}

function baseTimes(k: bigint): { readonly x: bigint; readonly y: bigint } {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(to32(k));
  const point = curve.getPublicKey();
  return { x: toNumber(point.subarray(1, 33)), y: toNumber(point.subarray(33)) };
}

/** Q = (s·R − z·G) / r, compressed. */
function recover(digest: Buffer, signature: Uint8Array): Uint8Array | undefined {
  const bytes = Buffer.from(signature);
  const r = toNumber(bytes.subarray(0, 32));
  const s = toNumber(bytes.subarray(32, 64));
  const id = bytes[64] ?? 0;
  if (r === 0n || s === 0n || r >= ORDER || s >= ORDER) return undefined;
  const x = r + (id >= 2 ? ORDER : 0n);
  if (x >= FIELD) return undefined;
  const square = modulo(x * x * x + 7n, FIELD);
  const root = power(square, (FIELD + 1n) / 4n);
  if ((root * root) % FIELD !== square) return undefined;
  const y = Number(root & 1n) === (id & 1) ? root : FIELD - root;
  const byR = inverse(r, ORDER);
  const point = sumOfProducts(modulo(-toNumber(digest) * byR, ORDER), BASE, (s * byR) % ORDER, { x, y, z: 1n });
  return point.z === 0n ? undefined : compress(point);
}

/** a·A + b·B, both read bit by bit at once. */
function sumOfProducts(a: bigint, A: Point, b: bigint, B: Point): Point {
  const both = add(A, B);
  const [bitsA, bitsB] = [a, b].map((value) => value.toString(2).padStart(256, "0")) as [string, string];
  let sum = INFINITY;
  for (let bit = 0; bit < 256; bit++) {
    sum = double(sum);
    const [inA, inB] = [bitsA[bit] === "1", bitsB[bit] === "1"];
    if (inA || inB) sum = add(sum, inA && inB ? both : inA ? A : B);
  }
  return sum;
}

function double({ x, y, z }: Point): Point {
  if (z === 0n) return INFINITY;
  const yy = (y * y) % FIELD;
  const s = (4n * x * yy) % FIELD;
  const m = (3n * x * x) % FIELD;
  const newX = modulo(m * m - 2n * s, FIELD);
  return { x: newX, y: modulo(m * (s - newX) - 8n * yy * yy, FIELD), z: (2n * y * z) % FIELD };
}

function add(a: Point, b: Point): Point {
  if (a.z === 0n) return b;
  if (b.z === 0n) return a;
  const zzA = (a.z * a.z) % FIELD;
  const zzB = (b.z * b.z) % FIELD;
  const uA = (a.x * zzB) % FIELD;
  const h = modulo(b.x * zzA - uA, FIELD);
  const sA = (((a.y * zzB) % FIELD) * b.z) % FIELD;
  const r = modulo(((b.y * zzA) % FIELD) * a.z - sA, FIELD);
  if (h === 0n) return r === 0n ? double(a) : INFINITY;
  const hh = (h * h) % FIELD;
  const hhh = (h * hh) % FIELD;
  const v = (uA * hh) % FIELD;
  const x = modulo(r * r - hhh - 2n * v, FIELD);
  return { x, y: modulo(r * (v - x) - sA * hhh, FIELD), z: (((a.z * b.z) % FIELD) * h) % FIELD };
}

function compress({ x, y, z }: Point): Uint8Array {
  const byZ = inverse(z, FIELD);
  const byZZ = (byZ * byZ) % FIELD;
  const isOdd = ((((y * byZZ) % FIELD) * byZ) % FIELD) & 1n;
  return Buffer.concat([Buffer.of(isOdd === 1n ? 3 : 2), to32((x * byZZ) % FIELD)]);
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [modulo(value, modulus), modulus];
  let [x, y] = [1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b] = [b, a - quotient * b];
    [x, y] = [y, x - quotient * y];
  }
  return modulo(x, modulus);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let factor = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * factor) % FIELD;
    factor = (factor * factor) % FIELD;
  }
  return result;
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function to32(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex");
}

/** SHA-256, of which everything here is made. */
export function sha256(...parts: readonly (Uint8Array | string)[]): Buffer {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
}

/**
 * `prompt_hash` as a host computes it: SHA-256 of the prompt, read and written again by Go's encoding/json. `undefined` for
 * what Go does not read. Written a second time, as the client's own code for it is under test.
 */
export function hashOfPrompt(prompt: Uint8Array): Buffer | undefined {
  const text = canonical(prompt);
  return text === undefined ? undefined : sha256(text);
}

/** The text that is hashed. */
export function canonical(json: Uint8Array): string | undefined {
  try {
    return write(JSON.parse(Buffer.from(json).toString("utf8")), 0);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** `maxNestingDepth` of Go's encoding/json. */
const MAX_DEPTH = 10_000;

/** Throws RangeError for what Go does not read although it is JSON. */
function write(value: unknown, depth: number): string {
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") return writeNumber(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (depth >= MAX_DEPTH) throw new RangeError("exceeded max depth");
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1))}]`;
  // Keys that are equal when they are put right: the last one stays.
  const members = new Map(Object.entries(value).map(([key, member]) => [wellFormed(key), member]));
  const sorted = [...members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${sorted.map(([key, member]) => `${writeString(key)}:${write(member, depth + 1)}`)}}`;
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError("a number does not fit into a float64");
  return Object.is(value, -0) ? "-0" : String(value);
}

function writeString(text: string): string {
  return JSON.stringify(wellFormed(text)).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Halves of surrogate pairs become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
