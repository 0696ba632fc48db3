import { inlineRuns } from "./markdown-inline.ts";
import { layOutTable, type TableLayout } from "./markdown-table.ts";
import { toAnsi } from "./runs.ts";

/** Rows a table may have before it is shown; later ones follow one by one in the columns found until then. */
const MAX_ROWS_HELD = 12;

/** Collects the lines of a table, whose columns are known only when all rows, or enough of them, are there. */
export interface TableBuffer {
  /** Takes a line; gives back what can be written now, mostly nothing. */
  add(line: string): string;
  /** The table has ended: gives back what was held. */
  end(): string;
}

export function startTableBuffer({ width, base }: { width: () => number; base: readonly number[] }): TableBuffer {
  let lines: string[] = [];
  let layout: TableLayout | undefined;

  function show(): string {
    layout = layOutTable(lines, width());
    // Lines that only looked like a table are shown as the text they are.
    return layout?.text ?? lines.map((line) => `${toAnsi(inlineRuns(line, base))}\n`).join("");
  }
  function end(): string {
    const text = lines.length > 0 && layout === undefined ? show() : "";
    lines = [];
    layout = undefined;
    return text;
  }
  return {
    add(line) {
      if (layout !== undefined) return layout.addRow(line);
      lines.push(line);
      if (lines.length < MAX_ROWS_HELD + 2) return "";
      const text = show();
      if (layout === undefined) lines = [];
      return text;
    },
    end,
  };
}
