import type { ConversationSummary } from "../../chat/conversations.ts";
import { cutToWidth, displayWidth } from "./display-width.ts";
import { style, withoutStyles } from "./style.ts";
import { renderTable } from "./table.ts";
import { toTerminalLine } from "./terminal-text.ts";
import { formatLocalTime } from "./usage-line.ts";

export interface ConversationsView {
  readonly color: boolean;
  readonly columns: number;
  /** A number in front, to choose by. */
  readonly isNumbered?: boolean;
}

/** Titles narrower than this say nothing; the model and the number of answers make room first. */
const LEAST_TITLE = 16;

/** A table of conversations that fits into the window: titles are cut, and columns left out, before a line breaks. */
export function renderConversations(
  conversations: readonly ConversationSummary[],
  { color, columns, isNumbered = false }: ConversationsView,
): string {
  const { bold, dim } = style(color);
  const rows = conversations.map(({ id, title, updatedAtMs, exchangeCount, modelId }, index) => ({
    number: String(index + 1),
    id: bold(id),
    used: formatLocalTime(updatedAtMs),
    answers: String(exchangeCount),
    model: modelId.split("/").at(-1) ?? modelId,
    title,
  }));
  const first = isNumbered ? (["number", "id"] as const) : (["id"] as const);
  const layouts = [
    [...first, "used", "answers", "model"],
    [...first, "used", "answers"],
    [...first, "used"],
    first,
  ] as const;
  for (const layout of layouts) {
    const heads = layout.map((column) => dim(column === "number" ? "" : column));
    const cells = rows.map((row) => layout.map((column) => toTerminalLine(row[column])));
    const width = Math.max(
      ...renderTable([heads, ...cells])
        .split("\n")
        .map(widthOf),
    );
    const room = columns - width - 2;
    if (room < LEAST_TITLE && layout !== first) continue;
    const titles = rows.map(({ title }) => cut(toTerminalLine(title), Math.max(room, 8)));
    return renderTable([[...heads, dim("title")], ...cells.map((row, index) => [...row, titles[index] ?? ""])]);
  }
  return "";
}

function widthOf(line: string): number {
  return displayWidth(withoutStyles(line));
}

function cut(text: string, columns: number): string {
  return displayWidth(text) <= columns ? text : `${cutToWidth(text, columns - 1).trimEnd()}…`;
}
