import { stripVTControlCharacters } from "node:util";
import { displayWidth } from "./display-width.ts";

/** Columns side by side, two blanks apart, each as wide as its widest cell; the last one may run on. */
export function renderTable(rows: readonly (readonly string[])[]): string {
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
  return displayWidth(stripVTControlCharacters(cell));
}
