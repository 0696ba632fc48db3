import { ZephError } from "../errors/zeph-error.ts";

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
