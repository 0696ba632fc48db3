import { ZephError } from "../errors/zeph-error.ts";

const KEY_BYTES = 32;
const HEX_DIGITS = 2 * KEY_BYTES;

/** Order n of secp256k1, big-endian. A private key d satisfies 1 <= d < n. */
const ORDER = hexToBytes("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

const MNEMONIC_LENGTHS: ReadonlySet<number> = new Set([12, 15, 18, 21, 24]);
const BROKER_KEY = /^(?:Bearer\s+)?(?:gpm?|gnk-sk|jg|obk|sk)-/i;

/**
 * Reads a private key: 64 hex digits (upper case and a leading `0x` are fine) or base64 of 32 bytes, with blanks around
 * it. Everything else throws `invalid_private_key`, with a hint for recovery words and broker keys. No part of the text
 * is ever repeated.
 *
 * @returns 32 bytes that belong to the caller, who should zero them after use
 */
export function parsePrivateKey(text: string): Uint8Array {
  if (typeof text !== "string") throw refuse("it is not text");
  const trimmed = text.trim();
  const bytes = decodeHex(trimmed) ?? decodeBase64Key(trimmed);
  if (bytes === undefined) throw explain(trimmed);
  if (!isScalar(bytes)) {
    bytes.fill(0);
    throw refuse("its value is outside the range of the curve");
  }
  return bytes;
}

function decodeHex(text: string): Uint8Array | undefined {
  const digits = withoutHexPrefix(text);
  return digits.length === HEX_DIGITS && isHex(digits) ? hexToBytes(digits) : undefined;
}

function decodeBase64Key(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const buffer = Buffer.from(text, "base64");
  // The last character carries two unused bits; with those set, the text was not made from 32 bytes.
  const canonical = buffer.toString("base64") === text;
  const bytes = canonical ? Uint8Array.from(buffer) : undefined;
  buffer.fill(0);
  return bytes;
}

function isScalar(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte === 0)) return false;
  const different = bytes.findIndex((byte, index) => byte !== ORDER[index]);
  return different >= 0 && (bytes[different] ?? 0) < (ORDER[different] ?? 0);
}

function explain(text: string): ZephError {
  if (text === "") return refuse("it is empty");
  if (BROKER_KEY.test(text)) {
    return refuse(
      "it looks like a broker's API key",
      "A broker key belongs to the gateway path: run `zeph init` and choose Gonka (gateway).",
    );
  }
  const words = text.split(/\s+/);
  if (MNEMONIC_LENGTHS.has(words.length) && words.every((word) => /^\p{L}+$/u.test(word))) {
    return refuse(
      "it looks like recovery words",
      "zeph takes no recovery words. Run `inferenced keys add NAME --recover --keyring-backend BACKEND`, enter them there, then give the key that " +
        "`inferenced keys export NAME --unarmored-hex --unsafe --keyring-backend BACKEND` prints.",
    );
  }
  const digits = withoutHexPrefix(text);
  if (!isHex(digits)) return refuse("it has characters that are not hex digits");
  return refuse(`it has ${digits.length} hex digits instead of ${HEX_DIGITS}`);
}

function refuse(detail: string, hint?: string): ZephError {
  return new ZephError("invalid_private_key", hint === undefined ? { detail } : { detail, hint });
}

function withoutHexPrefix(text: string): string {
  return text.replace(/^0x/i, "");
}

function isHex(text: string): boolean {
  return /^[0-9a-f]+$/i.test(text);
}

/** Not through a Buffer: small ones share memory, and a key must have its own to be zeroed. */
function hexToBytes(digits: string): Uint8Array {
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
