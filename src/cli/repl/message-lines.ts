/** Puts typed lines together to messages. */
export interface MessageLines {
  /** Takes a line; gives back the message when it is complete. */
  add(line: string): string | undefined;
  /** Is a message begun and not complete? */
  readonly isOpen: boolean;
  /** Drops what was begun. */
  reset(): void;
}

const QUOTES = '"""';

/**
 * A line is a message, unless it ends with `\` (the next line belongs to it) or a message is begun with `"""` (then all
 * lines up to the next `"""` belong to it, and backslashes are text).
 */
export function collectMessageLines(): MessageLines {
  let lines: string[] = [];
  let isQuoted = false;

  function close(last: string): string {
    const message = [...lines, last].join("\n");
    lines = [];
    isQuoted = false;
    return message;
  }
  return {
    add(line) {
      let rest = line;
      if (lines.length === 0 && !isQuoted && line.trimStart().startsWith(QUOTES)) {
        isQuoted = true;
        rest = line.trimStart().slice(QUOTES.length);
      }
      if (isQuoted) {
        if (rest.trimEnd().endsWith(QUOTES)) return close(rest.trimEnd().slice(0, -QUOTES.length)).trim();
        lines.push(rest);
        return undefined;
      }
      // An even number of backslashes is text, as in `C:\\`.
      if (/(?:^|[^\\])(?:\\\\)*\\$/.test(rest)) {
        lines.push(rest.slice(0, -1));
        return undefined;
      }
      return close(rest);
    },
    get isOpen() {
      return isQuoted || lines.length > 0;
    },
    reset() {
      lines = [];
      isQuoted = false;
    },
  };
}
