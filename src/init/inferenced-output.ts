import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import { Secret } from "../internal/secret.ts";
import type { ProgramResult } from "./run-program.ts";

/** Where a keyring lies. */
export interface Keyring {
  /** `test` (not encrypted), `file`, `os`, `kwallet`, `pass` or `memory`. */
  readonly backend: string;
  /** Default of the program: `~/.inference`. */
  readonly home?: string;
}

export interface KeyringEntry {
  readonly name: string;
  readonly address: string;
}

/** `keys list --output json`. Older builds say in words that there are none. */
export function parseKeyList(text: string): readonly KeyringEntry[] {
  const json = /\[[\s\S]*\]/.exec(text)?.[0];
  if (json === undefined) {
    if (text.trim() === "" || /no records/i.test(text)) return [];
    throw failure(["keys", "list", "--output", "json"], "did not answer in JSON");
  }
  let entries: unknown;
  try {
    entries = JSON.parse(json);
  } catch (cause) {
    throw failure(["keys", "list", "--output", "json"], "did not answer in JSON", cause);
  }
  return Array.isArray(entries) ? entries.flatMap(toEntry) : [];
}

function toEntry(value: unknown): readonly KeyringEntry[] {
  if (typeof value !== "object" || value === null || !("name" in value) || !("address" in value)) return [];
  const { name, address } = value;
  return typeof name === "string" && typeof address === "string" ? [{ name, address }] : [];
}

const NOT_OPENED =
  /failed passphrase attempts|incorrect passphrase|(?:unable|failed|cannot|could not)[^\n]*\b(?:unlock|open|decrypt)|is locked/i;

/** The SDK answers `[]` and 0 for a keyring that did not open; only standard error tells it from an empty one. */
export function requireOpened({ stderr }: ProgramResult, args: readonly string[], keyring: Keyring): void {
  if (!NOT_OPENED.test(stderr)) return;
  const { detail, hint } = failure(args, `${keyringWords(keyring)} did not open: ${complaintOf(stderr) ?? ""}`);
  throw new ZephError("inferenced_failed", {
    ...(detail === undefined ? {} : { detail }),
    hint: `Try again in a terminal and give its passphrase. ${hint}`,
  });
}

/** `the keyring (file, /home/ann/.inference)`. */
export function keyringWords({ backend, home }: Keyring): string {
  return `the keyring (${[backend, home].filter((part) => part !== undefined).join(", ")})`;
}

const KEY_LINE = /^[0-9a-f]{64}$/i;

/** Exactly one line of 64 hex digits: with none or several nobody knows which is the key. */
export function parseExport({ stdout, stderr }: ProgramResult, args: readonly string[]): Secret {
  // Builds that never set cobra's output print it on standard error.
  const lines = `${stdout}\n${stderr}`.split(/\r?\n/).map((line) => line.trim());
  const [key, ...more] = lines.filter((line) => KEY_LINE.test(line));
  if (key === undefined || more.length > 0) throw failure(args, "did not give one key of 64 hex digits");
  return new Secret(key.toLowerCase());
}

export function unknownFlag(stderr: string, extras: readonly string[]): string | undefined {
  const [, complaint] = /unknown (?:shorthand )?flag: (.*)/.exec(stderr) ?? [];
  return complaint === undefined ? undefined : extras.find((flag) => complaint.includes(flag));
}

/** From here on the program explains itself to whoever typed its command line, which was zeph. */
const FOR_ZEPH = /^Usage:|unknown (?:shorthand )?flag: /;

/**
 * Passes on what a user has to see while a program runs, as it comes: no line that is a key, and nothing from a
 * usage text or a complaint about a flag onwards: both are answers to us, and either may come first. What might become such a line waits for its end.
 */
export function forUser(write: (text: string) => void): (text: string) => void {
  let line = "";
  let isMuted = false;
  return (text) => {
    if (isMuted) return;
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    const complaint = lines.findIndex((each) => FOR_ZEPH.test(each));
    isMuted = complaint >= 0;
    const shown = (isMuted ? lines.slice(0, complaint) : lines)
      .filter((each) => !KEY_LINE.test(each.trim()))
      .map((each) => `${each}\n`);
    if (!isMuted && !mustWait(line.trim().toLowerCase())) {
      shown.push(line);
      line = "";
    }
    if (shown.length > 0) write(shown.join(""));
  };
}

/** The beginning of a key, of a usage text, or of an error that may be about a flag. */
function mustWait(start: string): boolean {
  return (
    /^[0-9a-f]*$/.test(start) ||
    ["error", "usage:", "unknown"].some((word) => word.startsWith(start) || start.startsWith(word))
  );
}

/** What went wrong, in the program's words: the line that says so, wherever its usage text stands, or the last one. */
export function complaintOf(text: string): string | undefined {
  const lines = text.split(/\r?\n/).filter((each) => each.trim() !== "");
  const line = lines.findLast((each) => /^Error:/i.test(each)) ?? lines.at(-1)?.trim();
  return line === undefined ? undefined : scrub(line);
}

export function failure(args: readonly string[], what: string, cause?: unknown): ZephError {
  const command = `inferenced ${args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(" ")}`;
  return new ZephError("inferenced_failed", {
    detail: `${what} (${command})`,
    hint: `Run \`${command}\` by hand to see what it says, or paste the private key instead.`,
    cause,
  });
}
