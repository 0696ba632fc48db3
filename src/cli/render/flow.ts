import { type Run, toAnsi, toWords, widthOf } from "./runs.ts";

/** Lines of text that grow word by word and wrap at the width of the terminal. Gives back what to write. */
export interface Flow {
  /** Begins a line. `hang` stands before the lines that wrapping makes. */
  begin(prefix: readonly Run[], hang?: readonly Run[]): string;
  /** Adds to the line. White space at the end is kept back until a word follows. */
  add(runs: readonly Run[]): string;
  end(): string;
}

export interface FlowOptions {
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
