import displayWidth from "fast-string-width";
import { cutToWidth, endsBreakable } from "./terminal.ts";

/** A piece of text in one style: SGR codes such as 1 (bold), 2 (dim), 3 (italic), 4 (underlined), 36 (cyan). */
export interface Run {
  readonly text: string;
  readonly codes: readonly number[];
}

/** What must stay together on one line, and the white space before it. */
interface Word {
  readonly space: string;
  readonly runs: readonly Run[];
  readonly width: number;
}

/** As escape sequences. Neighbours of the same style, and the blank between them, become one piece. */
export function toAnsi(runs: readonly Run[]): string {
  let ansi = "";
  let open = "";
  let blank = "";
  for (const { text, codes } of runs) {
    if (text === "") continue;
    const style = codes.join(";");
    if (style === "" && /^ +$/.test(text)) {
      blank += text;
      continue;
    }
    if (style !== open) {
      ansi += `${open === "" ? "" : RESET}${blank}${style === "" ? "" : `\u001b[${style}m`}`;
      blank = "";
    }
    ansi += blank + text;
    blank = "";
    open = style;
  }
  return ansi + (open === "" ? "" : RESET) + blank;
}

const RESET = "\u001b[0m";

export function widthOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { text }) => sum + displayWidth(text), 0);
}

/** Cuts runs into words. A change of style inside a word is no place to break. */
function toWords(runs: readonly Run[]): { readonly words: readonly Word[]; readonly trailingSpace: string } {
  const words: Word[] = [];
  let space = "";
  let current: Run[] = [];
  const close = () => {
    if (current.length > 0) words.push({ space, runs: current, width: widthOf(current) });
    if (current.length > 0) space = "";
    current = [];
  };
  for (const { text, codes } of runs) {
    for (const piece of text.match(/\s+|[^\s]+/g) ?? []) {
      if (/^\s/.test(piece)) {
        close();
        space += piece.replaceAll("\t", "    ");
        continue;
      }
      for (const part of breakableParts(piece)) {
        current.push({ text: part, codes });
        if (endsBreakable(part)) close();
      }
    }
  }
  close();
  return { words, trailingSpace: space };
}

function breakableParts(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (const sign of text) {
    part += sign;
    if (!endsBreakable(part)) continue;
    parts.push(part);
    part = "";
  }
  return part === "" ? parts : [...parts, part];
}

/** Words laid out in lines of at most `width` columns; longer words are cut. For table cells. */
export function wrapRuns(runs: readonly Run[], width: number): readonly (readonly Run[])[] {
  const lines: Run[][] = [[]];
  let used = 0;
  for (const word of toWords(runs).words) {
    const space = used === 0 ? "" : word.space;
    if (used > 0 && used + space.length + word.width > width) {
      lines.push([]);
      used = 0;
    } else if (space !== "") {
      lines.at(-1)?.push({ text: space, codes: [] });
      used += space.length;
    }
    for (const run of word.runs) {
      let rest = run.text;
      while (rest !== "") {
        let piece = cutToWidth(rest, width - used);
        if (piece === "" && used === 0) piece = rest;
        if (piece === "") {
          lines.push([]);
          used = 0;
          continue;
        }
        lines.at(-1)?.push({ text: piece, codes: run.codes });
        used += displayWidth(piece);
        rest = rest.slice(piece.length);
      }
    }
  }
  return lines;
}

/** Lines of text that grow word by word and wrap at the width of the terminal. Gives back what to write. */
interface Flow {
  /** Begins a line. `hang` stands before the lines that wrapping makes. */
  begin(prefix: readonly Run[], hang?: readonly Run[]): string;
  /** Adds to the line. White space at the end is kept back until a word follows. */
  add(runs: readonly Run[]): string;
  end(): string;
}

interface FlowOptions {
  /** Columns to use; read again at every line, since windows change. */
  readonly width: () => number;
  /** Stands before every line. */
  readonly margin?: readonly Run[];
}

export function startFlow({ width, margin = [] }: FlowOptions): Flow {
  let column = 0;
  let startColumn = 0;
  let hang: readonly Run[] = [];
  let keptSpace = "";
  return {
    begin(prefix, nextHang = prefix) {
      hang = nextHang;
      column = widthOf(margin) + widthOf(prefix);
      startColumn = column;
      keptSpace = "";
      return toAnsi(margin) + toAnsi(prefix);
    },
    add(runs) {
      const lines: Run[][] = [[]];
      const { words, trailingSpace } = toWords(runs);
      for (const word of words) {
        const space = column === startColumn ? "" : keptSpace + word.space;
        keptSpace = "";
        if (column > startColumn && column + space.length + word.width > width()) {
          lines.push([...margin, ...hang]);
          startColumn = widthOf(margin) + widthOf(hang);
          column = startColumn;
        } else {
          lines.at(-1)?.push({ text: space, codes: [] });
          column += space.length;
        }
        lines.at(-1)?.push(...word.runs);
        column += word.width;
      }
      keptSpace += trailingSpace;
      return lines.map(toAnsi).join("\n");
    },
    end() {
      keptSpace = "";
      return "\n";
    },
  };
}
