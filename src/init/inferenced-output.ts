import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import { Secret } from "../internal/secret.ts";
import type { ProgramResult } from "./run-program.ts";

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

const FLAG_COMPLAINT = /unknown (?:shorthand )?flag: /;

/**
 * Passes on what a user has to see while a program runs, as it comes: no line that is a key, and nothing from the
 * complaint about a flag onwards, which is an answer to us. What might become such a line waits for its end.
 */
export function forUser(write: (text: string) => void): (text: string) => void {
  let line = "";
  let isMuted = false;
  return (text) => {
    if (isMuted) return;
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    const complaint = lines.findIndex((each) => FLAG_COMPLAINT.test(each));
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

/** The beginning of a key, or of an error that may be about a flag. */
function mustWait(start: string): boolean {
  return /^[0-9a-f]*$/.test(start) || "error".startsWith(start) || start.startsWith("error");
}

export function lastLine(text: string): string | undefined {
  const line = text
    .trim()
    .split("\n")
    .findLast((each) => each.trim() !== "");
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
