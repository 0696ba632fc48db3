import { bech32 } from "@scure/base";
import { decodeBase64 } from "../decode-base64.ts";
import { type Reader, readAmount, readText, unreadable } from "../json/read-value.ts";
import type { Bytes } from "./bytes.ts";

const HASH_BYTES = 32;
const ADDRESS_BYTES = 20;
const INT64_MAX = 2n ** 63n - 1n;

/**
 * A number that is hashed. It is hashed as 64 bits, so a larger one would have the hash of another: a validator's power
 * of 2⁶⁴ + 1 that of 1.
 */
export function readHashedNumber(value: unknown, place: string): bigint {
  const number = readAmount(value, place);
  if (number > INT64_MAX) throw unreadable(place, "does not fit into 64 bits");
  return number;
}

/** Base64 in its one proper spelling. Absent and null are empty. */
export function readBase64(value: unknown, place: string): Bytes {
  if (value === undefined || value === null) return new Uint8Array();
  const text = readText(value, place);
  const decoded = decodeBase64(text);
  if (!decoded.ok || Buffer.from(decoded.bytes).toString("base64") !== text) throw unreadable(place, "is not base64");
  return decoded.bytes;
}

/** Bytes of unknown length: hex (all versions so far), or base64. */
export function readHexOrBase64(value: unknown, place: string): Bytes {
  const text = readText(value, place);
  return isHex(text) ? hexToBytes(text) : readBase64(text, place);
}

/** A SHA-256 hash, or nothing: hex of 64 digits or base64 of 44 characters. Told apart by length, not by alphabet. */
export const readHash: Reader<Bytes> = readSized(HASH_BYTES);

const readAddressBytes = readSized(ADDRESS_BYTES);

/** A validator's address, or nothing: hex, base64, or bech32 as some SDK versions print it. */
export function readValidatorAddress(value: unknown, place: string): Bytes {
  const decoded = typeof value === "string" ? bech32.decodeUnsafe(value, 90) : undefined;
  if (decoded === undefined) return readAddressBytes(value, place);
  const bytes = bech32.fromWordsUnsafe(decoded.words);
  if (bytes?.length !== ADDRESS_BYTES) throw unreadable(place, "is not a validator's address");
  return bytes;
}

function readSized(length: number): Reader<Bytes> {
  const base64Length = 4 * Math.ceil(length / 3);
  return (value, place) => {
    if (value === undefined || value === null || value === "") return new Uint8Array();
    const text = readText(value, place);
    if (text.length === 2 * length && isHex(text)) return hexToBytes(text);
    const bytes = text.length === base64Length ? readBase64(text, place) : undefined;
    if (bytes?.length !== length) throw unreadable(place, `does not hold ${length} bytes`);
    return bytes;
  };
}

function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text);
}

function hexToBytes(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, "hex"));
}
