import { toTerminalText } from "../render/terminal-text.ts";

/** Stands for a line break inside the one line a line editor can edit. */
const LINE_BREAK = "⏎";
const MAX_SHOWN_CHARS = 400;
const MAX_SHOWN_LINES = 5;

/** Keeps what was pasted until the message is sent. */
export interface PastedText {
  /** What to put into the line: the text itself when it is short, else a sign that stands for it. */
  insert(text: string): string;
  /** The message with everything that was pasted. */
  expand(message: string): string;
}

/** Long pastes would flood the line; they are shown as `[paste 1: 120 lines]` and sent in full. */
export function keepPastedText(): PastedText {
  const kept = new Map<string, string>();
  return {
    insert(text) {
      const clean = toTerminalText(text).replace(/\n+$/, "");
      const lines = clean.split("\n").length;
      const isShort = clean.length <= MAX_SHOWN_CHARS && lines <= MAX_SHOWN_LINES && !clean.includes("\t");
      if (isShort) return toOneLine(clean);
      const sign = `[paste ${kept.size + 1}: ${lines === 1 ? `${clean.length} characters` : `${lines} lines`}]`;
      // The text goes to the model as it was pasted; only what the terminal shows is made harmless.
      kept.set(sign, text.replace(/\n+$/, ""));
      return sign;
    },
    expand(message) {
      let whole = message;
      for (const [sign, text] of kept) whole = whole.replaceAll(sign, () => text);
      return fromOneLine(whole);
    },
  };
}

/** A message of several lines as one line that can be edited, and recalled from the history. */
export function toOneLine(message: string): string {
  return message.replaceAll("\n", LINE_BREAK);
}

export function fromOneLine(line: string): string {
  return line.replaceAll(LINE_BREAK, "\n");
}
