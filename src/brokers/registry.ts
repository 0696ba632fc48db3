import { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { BROKERS, type Broker } from "./records.ts";

export { BROKERS };

/** The broker of this id, letter case aside. */
export function findBroker(id: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const wanted = id.trim().toLowerCase();
  return brokers.find((broker) => broker.id === wanted);
}

/**
 * The broker whose address this is. Host and port decide, because people write the path in many ways; of two brokers
 * on one host the longer path wins.
 */
export function brokerForBaseURL(url: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const target = parseURL(url);
  if (target === undefined) return undefined;
  const path = withoutVersion(target);
  const matches = brokers.flatMap((broker) =>
    addressesOf(broker)
      .map(parseURL)
      .filter((address) => address !== undefined && address.host === target.host)
      .map((address) => ({ broker, path: address === undefined ? "" : withoutVersion(address) }))
      .filter((match) => path === match.path || path.startsWith(`${match.path}/`)),
  );
  return matches.sort((a, b) => b.path.length - a.path.length)[0]?.broker;
}

/**
 * The one broker whose keys look like this, or `undefined` when none or several do (`sk-` is everybody's). Management
 * keys count as their broker's.
 */
export function brokerForKey(key: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const matches = brokers.flatMap((broker) => {
    const prefixes = [...(broker.keyPrefixes ?? []), ...(broker.managementKeyPrefixes ?? [])];
    return prefixes.filter((prefix) => key.startsWith(prefix)).map((prefix) => ({ broker, length: prefix.length }));
  });
  const longest = Math.max(0, ...matches.map((match) => match.length));
  const best = new Set(matches.filter((match) => match.length === longest).map((match) => match.broker));
  return best.size === 1 ? [...best][0] : undefined;
}

function addressesOf(broker: Broker): readonly string[] {
  return [...(broker.baseURL === undefined ? [] : [broker.baseURL]), ...(broker.otherBaseURLs ?? [])];
}

function withoutVersion(url: URL): string {
  return url.pathname.replace(/\/+$/, "").replace(/(?:\/v1)+$/, "");
}

function parseURL(text: string): URL | undefined {
  try {
    return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text.trim()) ? text.trim() : `https://${text.trim()}`);
  } catch {
    // Not a URL, so nobody's address.
    return undefined;
  }
}

type KeyKind = "broker-key" | "management-key" | "private-key" | "mnemonic" | "unknown" | "empty";

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
function withoutUnseen(text: string): string {
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

/** A `[[brokers]]` table of the user's config: any field of a broker, merged into the record of the same id. */
type BrokerOverride = Partial<Broker> & { readonly id: string };

/**
 * The registry with the user's own records: known ids are changed field by field, new ones come before `custom`. A new
 * one must bring a `baseURL`. Throws `config_invalid`.
 */
export function mergeBrokers(known: readonly Broker[], overrides: readonly BrokerOverride[]): readonly Broker[] {
  const merged = [...known];
  for (const override of overrides) {
    const index = merged.findIndex((broker) => broker.id === override.id);
    const base = merged[index];
    if (base !== undefined) merged[index] = { ...base, ...override };
    // `custom` stays the last.
    else merged.splice(merged.at(-1)?.id === "custom" ? -1 : merged.length, 0, toBroker(override));
  }
  return merged;
}

function toBroker(override: BrokerOverride): Broker {
  if (override.baseURL === undefined) {
    throw new ZephError("config_invalid", {
      detail: `[[brokers]] "${override.id}" is not a known broker, so it needs base_url`,
      hint: "See the known ids with `zeph providers --brokers`.",
    });
  }
  return {
    name: override.id,
    dialects: ["chat"],
    money: "not stated",
    quirks: [],
    inDirectory: false,
    source: "your config",
    ...override,
  };
}

/**
 * Whether a text that is to be shown, stored or asked for as a host holds a key: of any broker, a private key in hex, an
 * age identity, a token, the recovery words of a wallet; alone, or in an address or a command line around it. By shape,
 * as in {@link recognizeKey}; short words that happen to begin like a key are let pass.
 */
export function containsKey(text: string, brokers: readonly Broker[] = BROKERS): boolean {
  const plain = withoutUnseen(text);
  const texts = [plain, decoded(plain)];
  return texts.some(
    (each) =>
      each.split(",").some(isPhrase) ||
      isPhrase(each) ||
      /PRIVATE KEY-----/.test(each) ||
      each.split(SEPARATORS).some((piece) => isKey(piece, brokers) || isPhrase(piece)),
  );
}

/** Whether a text is one long word of letters and digits, as keys without a prefix are, and no name or host is. */
export function looksLikeToken(text: string): boolean {
  return withoutUnseen(text)
    .split(SEPARATORS)
    .some(
      (piece) => !piece.includes(".") && /[A-Za-z0-9]{24,}/.test(piece) && /\d.*\d/.test(piece) && /[a-z]/i.test(piece),
    );
}

/** What stands between a key and what is written around it. */
const SEPARATORS = /[\s/?#&=:@,;|"'`<>()[\]{}]+/u;

function isKey(piece: string, brokers: readonly Broker[]): boolean {
  if (/^(?:0x)?[0-9a-f]{64,}$/i.test(piece) || /^0x[0-9a-f]{48,}$/i.test(piece)) return true;
  if (/^AGE-SECRET-KEY-/i.test(piece) || /^eyJ[\w-]{10,}\.[\w-]{4,}/.test(piece)) return true;
  const lower = piece.toLowerCase();
  return brokers.some(({ keyPrefixes = [], managementKeyPrefixes = [] }) =>
    [...keyPrefixes, ...managementKeyPrefixes].some(
      (prefix) => lower.startsWith(prefix.toLowerCase()) && isLongEnough(piece.slice(prefix.length)),
    ),
  );
}

/** `gp-production` is a name; keys are longer, or have digits. */
function isLongEnough(rest: string): boolean {
  return rest.length >= 12 || (rest.length >= 6 && /\d/.test(rest));
}

/** Recovery words: as they are, numbered, joined by other signs than blanks, or as an address. */
function isPhrase(text: string): boolean {
  const words = recognizeKey(text)
    .cleaned.reveal()
    .replace(/^[a-z]+:\/\/|\/v1\/?$/gi, "")
    .replace(/\d+[.):]?|[,;|/_+-]/g, " ");
  return recognizeKey(words).kind === "mnemonic";
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray % is no encoding.
    return text;
  }
}
