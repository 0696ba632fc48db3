import { createECDH } from "node:crypto";
import { scrub } from "../base/secret.ts";
import { ZephError } from "../errors.ts";

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
function isKnownEntry(name: string): boolean {
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

const ENTRY_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Refuses a name that no secret should have. The name is not repeated: in `zeph vault set gp-…` it is the secret that
 * was typed in its place. Throws `usage`, or `secret_on_command_line` when it looks like a secret.
 */
export function assertEntryName(name: string): void {
  if (scrub(name) === "[redacted]") {
    throw new ZephError("secret_on_command_line", { detail: "what was given as the name looks like a secret" });
  }
  if (!ENTRY_NAME.test(name)) {
    throw new ZephError("usage", {
      detail: "this is not a name for a secret",
      hint: "A name has letters, digits, _, . and -, begins with a letter or _, and has at most 128 characters, such as ZEPH_SECRET_GITHUB.",
    });
  }
}

/** Variables that other Gonka programs use, and the names under which zeph keeps their values. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ["GONKA_PRIVATE_KEY", "ZEPH_GONKA_PRIVATE_KEY"],
  ["GONKA_ADDRESS", "ZEPH_GONKA_ADDRESS"],
  ["GONKAGATE_API_KEY", "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"],
]);

/** A variable whose value could be moved into the vault. */
export interface ImportCandidate {
  /** The variable's own name. */
  readonly variable: string;
  /** The name it would have in the vault. */
  readonly name: string;
  readonly value: string;
}

/**
 * Which variables of an environment or `.env` file hold secrets that zeph knows, by canonical name. The canonical
 * variable wins over an alias; empty ones do not count.
 */
export function findImportable(variables: Iterable<readonly [string, string | undefined]>): ImportCandidate[] {
  const found = new Map<string, ImportCandidate>();
  for (const [variable, rawValue] of variables) {
    const name = ALIASES.get(variable) ?? variable;
    const isSecret = isKnownEntry(name) || /^ZEPH_SECRET_./.test(name);
    const value = toStoredForm(name, rawValue ?? "");
    if (!isSecret || value === "" || (found.has(name) && variable !== name)) continue;
    found.set(name, { variable, name, value });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Private keys travel as `0x…` and in upper case too; the vault holds the one form that Zeph reads. */
function toStoredForm(name: string, value: string): string {
  const trimmed = value.trim();
  if (name !== "ZEPH_GONKA_PRIVATE_KEY" || !/^(?:0x)?[0-9a-f]{64}$/i.test(trimmed)) return trimmed;
  return trimmed.replace(/^0x/i, "").toLowerCase();
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/s;
const QUOTED = /^(?:"((?:\\.|[^"\\])*)"|'([^']*)'|`([^`]*)`)\s*(?:#.*)?$/s;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/**
 * Reads a `.env` file: `NAME=value`, `export`, comments, single, double and back quotes (also over several lines),
 * `\n` `\r` `\t` in double quotes. `$OTHER` is not replaced: a key may contain a dollar sign. The last of two equal
 * names wins. Throws `usage` with the line's number, and never its text, for what is none of these.
 */
export function parseDotenv(text: string): Map<string, string> {
  const values = new Map<string, string>();
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  for (let index = 0; index < lines.length; index += 1) {
    const first = lines[index] ?? "";
    if (/^\s*(?:#.*)?$/.test(first)) continue;
    const start = index;
    const opening = ASSIGNMENT.exec(first)?.[2] ?? "";
    const quote = /^["'`]/.exec(opening)?.[0];
    // Line by line, so that a quote that never closes costs one pass and not one for every line.
    let isOpen = quote !== undefined && !closes(opening.slice(1), quote);
    while (quote !== undefined && isOpen && index + 1 < lines.length) {
      index += 1;
      isOpen = !closes(lines[index] ?? "", quote);
    }
    const [, name, rawValue] = ASSIGNMENT.exec(lines.slice(start, index + 1).join("\n")) ?? [];
    if (name === undefined || rawValue === undefined || isUnclosed(rawValue)) {
      throw new ZephError("usage", { detail: `line ${start + 1} of the .env file is not NAME=value` });
    }
    values.set(name, toValue(rawValue));
  }
  return values;
}

function closes(line: string, quote: string): boolean {
  return quote === '"' ? /^(?:\\.|[^"\\])*"/.test(line) : line.includes(quote);
}

function isUnclosed(rawValue: string): boolean {
  return /^["'`]/.test(rawValue) && !QUOTED.test(rawValue);
}

function toValue(rawValue: string): string {
  const [, double, single, back] = QUOTED.exec(rawValue) ?? [];
  if (double !== undefined) {
    return double.replace(/\\(.)/gs, (_escape, character: string) => ESCAPES[character] ?? character);
  }
  return single ?? back ?? rawValue.replace(/(?:^|\s)#.*$/s, "").trim();
}
