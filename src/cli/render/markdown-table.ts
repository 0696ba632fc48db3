import { Lexer, type Tokens } from "marked";
import { toRuns } from "./markdown-inline.ts";
import { type Run, toAnsi, widthOf, wrapRuns } from "./runs.ts";

/** A table whose columns have found their widths. */
export interface TableLayout {
  /** Header and the rows it was made from, each line ended. */
  readonly text: string;
  /** One more row in the same columns. */
  addRow(line: string): string;
}

const SEPARATOR: Run = { text: " │ ", codes: [2] };
const MIN_COLUMN_WIDTH = 6;

/**
 * Lays out lines that start with `|`. `undefined` when they are no table. Cells wrap where the terminal is too narrow;
 * with too many columns for it, every row becomes a list of `header: cell`.
 */
export function layOutTable(lines: readonly string[], maxWidth: number): TableLayout | undefined {
  const table = parseTable(lines);
  if (table === undefined) return undefined;
  const head = lines.slice(0, 2);
  const header = table.header.map((cell) => toRuns(cell.tokens, [1]));
  const rows = table.rows.map(cellsOf);
  const widths = fitWidths(
    header.map((cell, index) => Math.max(1, widthOf(cell), ...rows.map((row) => widthOf(row[index] ?? [])))),
    maxWidth - (header.length - 1) * SEPARATOR.text.length,
  );
  const format = (row: readonly (readonly Run[])[]) =>
    widths === undefined ? formatRecord(header, row) : formatRow(row, widths, table.align);
  const rule =
    widths === undefined
      ? ""
      : `${toAnsi([{ text: widths.map((width) => "─".repeat(width)).join("─┼─"), codes: [2] }])}\n`;
  return {
    text: (widths === undefined ? "" : format(header) + rule) + rows.map(format).join(""),
    addRow(line) {
      const row = parseTable([...head, line])?.rows[0];
      return row === undefined ? `${line}\n` : format(cellsOf(row));
    },
  };
}

function parseTable(lines: readonly string[]): Tokens.Table | undefined {
  const [token] = new Lexer().lex(`${lines.map((line) => line.trim()).join("\n")}\n`);
  return token?.type === "table" ? (token as Tokens.Table) : undefined;
}

const cellsOf = (row: readonly Tokens.TableCell[]) => row.map((cell) => toRuns(cell.tokens, []));

/** Takes columns away from the widest until all fit; `undefined` when they cannot. */
function fitWidths(wanted: readonly number[], available: number): readonly number[] | undefined {
  const floor = wanted.map((width) => Math.min(width, MIN_COLUMN_WIDTH));
  if (floor.reduce((sum, width) => sum + width, 0) > available) return undefined;
  const widths = [...wanted];
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - available; excess > 0; excess--) {
    const widest = widths.indexOf(Math.max(...widths));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function formatRow(
  cells: readonly (readonly Run[])[],
  widths: readonly number[],
  align: Tokens.Table["align"],
): string {
  const wrapped = widths.map((width, index) => wrapRuns(cells[index] ?? [], width));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  let text = "";
  for (let line = 0; line < height; line++) {
    const runs = widths.flatMap((width, index) => [
      ...(index === 0 ? [] : [SEPARATOR]),
      ...pad(wrapped[index]?.[line] ?? [], width, align[index] ?? null),
    ]);
    text += `${toAnsi(runs).trimEnd()}\n`;
  }
  return text;
}

function pad(runs: readonly Run[], width: number, align: Tokens.TableCell["align"]): Run[] {
  const missing = Math.max(0, width - widthOf(runs));
  const left = align === "right" ? missing : align === "center" ? Math.floor(missing / 2) : 0;
  const blank = (length: number): Run => ({ text: " ".repeat(length), codes: [] });
  return [blank(left), ...runs, blank(missing - left)];
}

function formatRecord(header: readonly (readonly Run[])[], row: readonly (readonly Run[])[]): string {
  const lines = header.map((name, index) => toAnsi([...name, { text: ": ", codes: [] }, ...(row[index] ?? [])]));
  return `${lines.join("\n")}\n\n`;
}
