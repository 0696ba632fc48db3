import { displayWidth } from "./display-width.ts";
import { withoutStyles } from "./style.ts";
import { toTerminalLine } from "./terminal-text.ts";

/** Columns side by side, two blanks apart, each as wide as its widest cell; the last one may run on. */
export function renderTable(given: readonly (readonly string[])[]): string {
  // A line break in a name would begin a row that nobody wrote.
  const rows = given.map((row) => row.map(toTerminalLine));
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cellWidth(cell));
    });
  }
  const lines = rows.map((row) => {
    const last = row.length - 1;
    return row
      .map((cell, index) => (index === last ? cell : cell + " ".repeat((widths[index] ?? 0) - cellWidth(cell))))
      .join("  ");
  });
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

function cellWidth(cell: string): number {
  return displayWidth(withoutStyles(cell));
}
