import { Secret } from "../internal/secret.ts";
import type { Broker } from "./broker.ts";
import { BROKERS, brokerForKey } from "./registry.ts";

export type KeyKind = "broker-key" | "management-key" | "private-key" | "mnemonic" | "unknown" | "empty";

export interface RecognizedKey {
  readonly kind: KeyKind;
  /** The broker whose key it is, when the prefix is one broker's alone. */
  readonly broker?: Broker;
  /** The key without what people paste around it. Of a `private-key` or `mnemonic` it must not be sent anywhere. */
  readonly cleaned: Secret;
}

/**
 * Tells what was pasted into a key field, by shape alone: nothing is sent. Quotes, white space, a leading `Bearer`, an
 * `export NAME=` and the invisible characters that terminals and chat programs add are removed first.
 *
 * @example recognizeKey('export GONKAGATE_API_KEY="gp-abc…"') // { kind: "broker-key", broker: GonkaGate, … }
 */
export function recognizeKey(text: string, brokers: readonly Broker[] = BROKERS): RecognizedKey {
  const key = cleanKey(text);
  const cleaned = new Secret(key);
  if (key === "") return { kind: "empty", cleaned };
  if (isPrivateKey(key)) return { kind: "private-key", cleaned };
  if (isMnemonic(key)) return { kind: "mnemonic", cleaned };
  if (/\s/.test(key)) return { kind: "unknown", cleaned };
  const kind = kindByPrefix(key, brokers);
  const broker = brokerForKey(key, brokers);
  return broker === undefined || kind === "unknown" ? { kind, cleaned } : { kind, broker, cleaned };
}

function kindByPrefix(key: string, brokers: readonly Broker[]): "broker-key" | "management-key" | "unknown" {
  const startsWithAny = (prefixes: readonly string[] = []) =>
    prefixes.some((prefix) => key.startsWith(prefix) && key.length > prefix.length);
  if (brokers.some((broker) => startsWithAny(broker.managementKeyPrefixes))) return "management-key";
  return brokers.some((broker) => startsWithAny(broker.keyPrefixes)) ? "broker-key" : "unknown";
}

/** 32 bytes in hex, anything that says it is hex, and age identities: all of them open something. */
function isPrivateKey(key: string): boolean {
  return /^[0-9a-f]{64}$/i.test(key) || /^0x[0-9a-f]+$/i.test(key) || /^AGE-SECRET-KEY-/i.test(key);
}

/** BIP-39 phrases have 12, 15, 18, 21 or 24 words of 3 to 8 letters. */
function isMnemonic(key: string): boolean {
  const words = key.split(/\s+/);
  return [12, 15, 18, 21, 24].includes(words.length) && words.every((word) => /^[a-z]{3,8}$/i.test(word));
}

/** Bracketed-paste marks, and signs that are not seen. */
const UNSEEN = /\u001b\[20[01]~|[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/** A pasted text without the marks and signs that nobody sees. */
export function withoutUnseen(text: string): string {
  return text.replace(UNSEEN, "");
}

const WRAPPINGS: readonly RegExp[] = [
  UNSEEN,
  /^[\s"'`\u2018\u2019\u201c\u201d]+|[\s"'`\u2018\u2019\u201c\u201d;,]+$/g,
  /^(?:export|set|setx)\s+(?=[A-Za-z_]\w*=)/,
  /^(?:\$env:)?[A-Za-z_]\w*\s*=\s*(?=[^\s=])/,
  /^(?:authorization|x-api-key)\s*:\s*/i,
  /^bearer\s+/i,
];

function cleanKey(text: string): string {
  let key = text;
  for (let before: string | undefined; before !== key; ) {
    before = key;
    for (const wrapping of WRAPPINGS) key = key.replace(wrapping, "");
  }
  return key;
}
