import type { Broker } from "./broker.ts";
import { recognizeKey, withoutUnseen } from "./recognize-key.ts";
import { BROKERS } from "./registry.ts";

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
