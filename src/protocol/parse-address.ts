import { bech32, bech32m } from "@scure/base";
import { ZephError } from "../errors/zeph-error.ts";

/** Prefix of account addresses on the main network (gonka-ai/gonka `inference-chain/app/app.go:105`). */
export const DEFAULT_PREFIX = "gonka";

export interface AddressOptions {
  /** Human-readable part of the bech32 address. Default `gonka`. */
  readonly prefix?: string;
}

/** RIPEMD-160 of SHA-256: what an account address holds. */
const ADDRESS_BYTES = 20;

// A "1" would be read as the separator; 51 characters leave room for 20 bytes and the checksum in bech32's 90.
const PREFIX = /^[a-z][a-z02-9]{0,50}$/;

/** Returns the prefix when it can stand in front of an address; throws `invalid_prefix`. */
export function parsePrefix(prefix: string): string {
  if (typeof prefix === "string" && PREFIX.test(prefix)) return prefix;
  throw new ZephError("invalid_prefix", {
    detail: "a prefix is lower-case letters and digits, and begins with a letter",
  });
}

/**
 * Returns the address unchanged when it is one: bech32 (not bech32m), lower case, of this prefix, 20 bytes. Throws
 * `invalid_address`, which names the fault and never repeats the text: people paste keys into the wrong field.
 */
export function parseAddress(address: string, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): string {
  const fault = addressFault(address, parsePrefix(prefix));
  if (fault === undefined) return address;
  throw new ZephError("invalid_address", { detail: fault });
}

/** Whether {@link parseAddress} would accept the text. */
export function isAddress(text: unknown, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): text is string {
  return typeof text === "string" && PREFIX.test(prefix) && addressFault(text, prefix) === undefined;
}

function addressFault(address: string, prefix: string): string | undefined {
  if (typeof address !== "string" || address === "") return "it is empty";
  // The node signs and compares the lower-case spelling, so the upper-case one that bech32 allows is of no use.
  if (address !== address.toLowerCase()) return "it has upper-case letters";
  const decoded = bech32.decodeUnsafe(address, 90);
  if (decoded === undefined) {
    if (bech32m.decodeUnsafe(address, 90) !== undefined) return "it is bech32m; addresses are bech32";
    return address.startsWith(`${prefix}1`)
      ? "its checksum is wrong, so a character is wrong or missing"
      : `it is not a bech32 address that begins with ${prefix}1`;
  }
  if (decoded.prefix !== prefix) return `it does not begin with ${prefix}1`;
  const bytes = bech32.fromWordsUnsafe(decoded.words);
  if (bytes === undefined || bytes.length !== ADDRESS_BYTES) return "it does not hold 20 bytes";
  return undefined;
}
