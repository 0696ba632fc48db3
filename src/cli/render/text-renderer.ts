import { toTerminalText } from "./terminal-text.ts";

/** Turns an answer that arrives in pieces into what is written. */
export interface TextRenderer {
  /** Takes a piece as it arrives and gives back what can be written now. */
  push(text: string): string;
  /** Gives back what was held; ends with a line feed when anything was written at all. */
  end(): string;
}

/**
 * The answer as it stands, ending in exactly one line feed. `safe` makes control signs harmless: for terminals. A file
 * or another program gets every sign the model sent.
 */
export function renderPlain({ safe }: { readonly safe: boolean }): TextRenderer {
  let blanks = "";
  let begun = false;
  return {
    push(text) {
      const whole = blanks + (safe ? toTerminalText(text) : text);
      const written = whole.trimEnd();
      blanks = whole.slice(written.length);
      begun ||= written !== "";
      return written;
    },
    end: () => (begun ? "\n" : ""),
  };
}
