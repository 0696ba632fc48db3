import { createECDH } from "node:crypto";

/** A kind of entry whose form zeph knows. */
interface KnownEntry {
  readonly name: RegExp;
  /** What is wrong with the value, in words that do not repeat it; `undefined` when it is well-formed. */
  readonly faultOf: (value: string, name: string) => string | undefined;
}

const KNOWN_ENTRIES: readonly KnownEntry[] = [
  { name: /^ZEPH_COMPATIBLE_.+_API_KEY$/, faultOf: apiKeyFault },
  { name: /^ZEPH_GONKA_PRIVATE_KEY$/, faultOf: privateKeyFault },
  { name: /^ZEPH_GONKA_ADDRESS$/, faultOf: addressFault },
];

/** Is this a name that zeph itself reads from the vault? */
export function isKnownEntry(name: string): boolean {
  return KNOWN_ENTRIES.some((known) => known.name.test(name));
}

/** What is wrong with an entry, without showing its value. Of entries with other names nothing is known, except that an empty one is of no use. */
export function entryFault(name: string, value: string): string | undefined {
  if (value === "") return "is empty";
  return KNOWN_ENTRIES.find((known) => known.name.test(name))?.faultOf(value, name);
}

function apiKeyFault(value: string, name: string): string | undefined {
  if (/^Bearer\s/i.test(value)) return "begins with the word Bearer, which is not part of the key";
  if (/^["'`]|["'`]$/.test(value)) return "has quotation marks around it";
  if (/[^\x21-\x7e]/.test(value)) return "has a space, line break or other character that no API key has";
  if (name === "ZEPH_COMPATIBLE_GONKAGATE_API_KEY" && value.startsWith("gpm-")) {
    return "is a management key (gpm-…), which cannot be used for chat";
  }
  return undefined;
}

/** 64 lower-case hex digits without 0x: the only form Zeph reads. */
function privateKeyFault(value: string): string | undefined {
  if (!/^[0-9a-f]{64}$/.test(value)) return "is not 64 lower-case hex digits without 0x";
  try {
    createECDH("secp256k1").setPrivateKey(value, "hex");
    return undefined;
  } catch {
    // The only complaint left for 32 bytes.
    return "is not a number that a secp256k1 key can be";
  }
}

/** The shape only. Whether the checksum and the key fit is for those who know the network's prefix. */
function addressFault(value: string): string | undefined {
  return /^[a-z]+1[02-9ac-hj-np-z]{38}$/.test(value) ? undefined : "is not a bech32 address such as gonka1…";
}
