import { cutToWidth, displayWidth, endsBreakable } from "./display-width.ts";

/** A piece of text in one style: SGR codes such as 1 (bold), 2 (dim), 3 (italic), 4 (underlined), 36 (cyan). */
export interface Run {
  readonly text: string;
  readonly codes: readonly number[];
}

/** What must stay together on one line, and the white space before it. */
export interface Word {
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
export function toWords(runs: readonly Run[]): { readonly words: readonly Word[]; readonly trailingSpace: string } {
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
