import { isKnownEntry } from "./known-entries.ts";

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
