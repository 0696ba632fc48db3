import { scrub } from "../internal/redact.ts";
import type { StateFile } from "./state-file.ts";

/** Lines typed at the prompt, kept for the next run. */
export interface LineHistory {
  /** Newest first, as a line editor wants them. */
  load(): Promise<string[]>;
  /** Adds a line; one that looks like a secret, is empty or very long is not kept. */
  add(line: string): Promise<void>;
}

export interface LineHistoryOptions {
  readonly file: StateFile;
  /** Default 1000. */
  readonly maxLines?: number;
}

/** Longer ones are pastes: of no use when recalled, and the file would grow large. */
const MAX_LINE_CHARS = 4_000;

/** History across runs. Each entry is a JSON string on a line of its own, so that it may have several lines itself. */
export function openLineHistory({ file, maxLines = 1_000 }: LineHistoryOptions): LineHistory {
  let previous: string | undefined;
  return {
    async load() {
      const read = async () => ((await file.read()) ?? "").split("\n").flatMap(parseEntry);
      let lines = await read();
      // Rewritten when it has grown to double size, not at every start.
      if (lines.length > 2 * maxLines) {
        await file
          .alone(async () => {
            // Another chat may have added to it.
            lines = await read();
            await file.replace(lines.slice(-maxLines).map(toEntry).join(""));
          })
          .catch(() => {});
      }
      const kept = lines.slice(-maxLines);
      previous = kept.at(-1);
      return kept.reverse();
    },
    async add(line) {
      if (line === previous || !isWorthKeeping(line)) return;
      previous = line;
      // History is a convenience: a folder that cannot be written must not end the chat.
      await file.alone(() => file.append(toEntry(line))).catch(() => {});
    },
  };
}

function toEntry(line: string): string {
  return `${JSON.stringify(line)}\n`;
}

function parseEntry(text: string): string[] {
  try {
    const entry: unknown = JSON.parse(text);
    return typeof entry === "string" ? [entry] : [];
  } catch {
    // The empty end of the file, or a torn line.
    return [];
  }
}

export function isWorthKeeping(line: string): boolean {
  return line.trim() !== "" && line.length <= MAX_LINE_CHARS && !looksLikeSecret(line);
}

/** `scrub` keeps 300 characters, so longer texts are looked at in pieces; they overlap by more than the longest shape. */
const PIECE_CHARS = 250;
const OVERLAP_CHARS = 120;

/** Keys, bearer words, 64 hex digits, and lists of words that could be a wallet's mnemonic. */
export function looksLikeSecret(text: string): boolean {
  for (let start = 0; start < text.length; start += PIECE_CHARS - OVERLAP_CHARS) {
    if (scrub(text.slice(start, start + PIECE_CHARS)).includes("[redacted]")) return true;
  }
  return looksLikeMnemonic(text);
}

const MNEMONIC_WORDS: ReadonlySet<number> = new Set([12, 15, 18, 21, 24]);

/** Exactly as many words as a mnemonic has, each in small letters and of the length BIP-39 words have. */
function looksLikeMnemonic(text: string): boolean {
  const words = text.trim().split(/\s+/);
  return MNEMONIC_WORDS.has(words.length) && words.every((word) => /^[a-z]{3,8}$/.test(word));
}
