import { UnusableFile } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { ZephError } from "../../errors.ts";
import {
  dayBefore,
  localDay,
  parseSpending,
  readSpending,
  type SpendingLine,
  spendingPath,
  sumSpending,
} from "../../journal/journal.ts";
import { formatGnk } from "../../wire/documents.ts";
import { formatCount, formatUsd } from "../amounts.ts";
import type { Run } from "../command-table.ts";
import { displayWidth, foldFor, renderTable, style, toTerminalLine, withoutStyles, writeResult } from "../terminal.ts";

const DEFAULT_DAYS = 30;
const MOST_DAYS = 400;

/**
 * `zeph usage`: tokens, money and GNK by day, provider and model, of chats, questions and `zeph serve` on this computer.
 * Reads the ledger; asks nobody.
 */
export const runUsage: Run<"usage"> = async (context, flags) => {
  if (flags.csv === true && context.json)
    throw new ZephError("usage", { detail: "--csv and --json exclude each other" });
  const days = toDays(flags.days);
  const to = localDay(context.clock.nowMs());
  const from = dayBefore(context.clock.nowMs(), days - 1);
  const lines = (await readLedger(context)).filter(({ day }) => day >= from && day <= to);
  const rows = sumSpending(lines, ({ day, provider, model }) => ({ day, provider, model }));
  const perDay = [...sumSpending(lines, ({ day }) => ({ day }))].sort((a, b) => (a.day < b.day ? -1 : 1));
  const perModel = [...sumSpending(lines, ({ provider, model }) => ({ day: "", provider, model }))].sort(byWeight);
  const total = sumSpending(lines, () => ({ day: "" }))[0] ?? NOTHING;
  if (flags.csv === true) return writeResult(context, { data: rows, answer: toCsv(rows), exact: true });
  const data = {
    from,
    to,
    total: toData(total),
    days: perDay.map(({ day, ...line }) => ({ day, ...toData(line) })),
    models: perModel.map((line) => ({ ...namesOf(line), ...toData(line) })),
    rows: rows.map((line) => ({ day: line.day, ...namesOf(line), ...toData(line) })),
  };
  if (lines.length === 0) {
    const since = days === 1 ? "today" : `in the last ${days} days`;
    return writeResult(context, { data, notice: `Nothing was asked ${since}.\n` });
  }
  const blocks = [
    foldFor(context.stdout, renderTotal(total, days)),
    renderDays(context, withEmptyDays(perDay, days, context.clock.nowMs())),
    renderModels(context, perModel),
    ...(total.answersOfUnknownCost === 0 ? [] : [foldFor(context.stdout, UNKNOWN_NOTE)]),
  ];
  return writeResult(context, { data, answer: blocks.join("\n") });
};

const NOTHING: Omit<SpendingLine, "day"> = { answers: 0, answersOfUnknownCost: 0 };
const UNKNOWN_NOTE = "? with answers whose cost nobody told: estimated where a price is known, else not counted.\n";

function toDays(text: string | undefined): number {
  if (text === undefined) return DEFAULT_DAYS;
  if (/^[1-9]\d{0,2}$/.test(text) && Number(text) <= MOST_DAYS) return Number(text);
  throw new ZephError("usage", { detail: `--days takes a whole number from 1 to ${MOST_DAYS}` });
}

async function readLedger(context: CliContext): Promise<readonly SpendingLine[]> {
  const { state } = zephFolders(context);
  try {
    return parseSpending(await readSpending(state));
  } catch (cause) {
    if (!(cause instanceof UnusableFile)) throw cause;
    const hint = `Move ${spendingPath(state)} away; the next answer begins a new one.`;
    throw new ZephError("usage", { detail: cause.message, hint, cause });
  }
}

/** Most money first, then GNK, then tokens. */
function byWeight(left: SpendingLine, right: SpendingLine): number {
  const gnk = (line: SpendingLine) => Number(line.ngonka ?? 0n);
  return (right.usd ?? 0) - (left.usd ?? 0) || gnk(right) - gnk(left) || tokensOf(right) - tokensOf(left);
}

function tokensOf({ inputTokens = 0, outputTokens = 0 }: Pick<SpendingLine, "inputTokens" | "outputTokens">): number {
  return inputTokens + outputTokens;
}

function namesOf({ provider, model }: SpendingLine) {
  return { provider: provider ?? null, model: model ?? null };
}

/** GNK as text: JSON has no exact integers of that size. */
function toData(line: Omit<SpendingLine, "day">) {
  return {
    answers: line.answers,
    inputTokens: line.inputTokens ?? null,
    outputTokens: line.outputTokens ?? null,
    costUsd: line.usd ?? null,
    costNgonka: line.ngonka?.toString() ?? null,
    answersOfUnknownCost: line.answersOfUnknownCost,
  };
}

const CSV_HEAD = "day,provider,model,answers,input_tokens,output_tokens,cost_usd,cost_ngonka,answers_of_unknown_cost";

function toCsv(rows: readonly SpendingLine[]): string {
  const lines = rows.map((line) => {
    const { answers, inputTokens, outputTokens, costUsd, costNgonka, answersOfUnknownCost } = toData(line);
    const numbers = [answers, inputTokens, outputTokens, costUsd, costNgonka, answersOfUnknownCost];
    return [line.day, ...[line.provider, line.model].map(csvText), ...numbers.map((value) => value ?? "")].join(",");
  });
  return [CSV_HEAD, ...lines].map((line) => `${line}\n`).join("");
}

/** Names come from servers; what begins like a formula would be run by the program that opens the table. */
function csvText(text: string | undefined): string {
  const safe = (text ?? "").replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function renderTotal(total: Omit<SpendingLine, "day">, days: number): string {
  const count = `${total.answers} answer${total.answers === 1 ? "" : "s"}`;
  const when = days === 1 ? "Today" : `Last ${days} days`;
  return `${[when, count, `${tokens(total.inputTokens)} in`, `${tokens(total.outputTokens)} out`, cost(total)].join(" · ")}\n`;
}

function tokens(count: number | undefined): string {
  return count === undefined ? "?" : formatCount(count);
}

function cost({ usd, ngonka, answersOfUnknownCost }: Omit<SpendingLine, "day">): string {
  const known = [
    ...(usd === undefined ? [] : [formatUsd(usd)]),
    ...(ngonka === undefined ? [] : [formatGnk(ngonka)]),
  ].join(" + ");
  if (known === "") return answersOfUnknownCost === 0 ? "-" : "?";
  return answersOfUnknownCost === 0 ? known : `${known} ?`;
}

/** From the first day with an answer on, every day has a line, so that the bars tell how time went by. */
function withEmptyDays(perDay: readonly SpendingLine[], days: number, nowMs: number): readonly SpendingLine[] {
  const byDay = new Map(perDay.map((line) => [line.day, line]));
  const first = perDay[0]?.day ?? "";
  return Array.from({ length: days }, (_, index) => dayBefore(nowMs, days - 1 - index))
    .filter((day) => day >= first)
    .map((day) => byDay.get(day) ?? { ...NOTHING, day });
}

const MOST_BAR_CELLS = 30;
const LEAST_BAR_CELLS = 5;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Bars are money where all money is dollars or all is GNK; dollars and GNK have no common measure, tokens are one. */
function renderDays({ color, stdout }: CliContext, days: readonly SpendingLine[]): string {
  const { cyan, dim } = style(color);
  const used = days.filter(({ answers }) => answers > 0);
  const inDollars = used.every(({ usd, ngonka }) => usd !== undefined && ngonka === undefined);
  const inGnk = used.every(({ ngonka, usd }) => ngonka !== undefined && usd === undefined);
  const measure = (line: SpendingLine) =>
    inDollars ? (line.usd ?? 0) : inGnk ? Number(line.ngonka ?? 0n) : tokensOf(line);
  const most = Math.max(...days.map(measure));
  const rows = days.map((line) =>
    line.answers === 0
      ? [dim(line.day), "", "", "", ""]
      : [line.day, String(line.answers), tokens(line.inputTokens), tokens(line.outputTokens), cost(line)],
  );
  const head = ["day", "answers", "in", "out", "cost"].map(dim);
  const columns = stdout.isTTY === true ? (stdout.columns ?? 80) : 80;
  const table = narrowed([head, ...rows], columns);
  const cells = Math.min(MOST_BAR_CELLS, columns - widthOf(table) - 3);
  if (cells < LEAST_BAR_CELLS || most <= 0) return table;
  const bars = days.map((line) => cyan(bar(measure(line) / most, cells)));
  const title = dim(inDollars || inGnk ? "by cost" : "by tokens");
  const [headLine = "", ...lines] = table.trimEnd().split("\n");
  const width = widthOf(table);
  const beside = (line: string, more: string) => `${line}${" ".repeat(width - widthOf(line))}  ${more}`.trimEnd();
  return `${[beside(headLine, title), ...lines.map((line, index) => beside(line, bars[index] ?? ""))].join("\n")}\n`;
}

/** A day with the least use still has a mark; none at all has none. */
function bar(share: number, cells: number): string {
  if (share <= 0) return "";
  const eighths = Math.max(1, Math.round(share * cells * 8));
  return "█".repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? "");
}

function renderModels({ color, stdout }: CliContext, models: readonly SpendingLine[]): string {
  const { dim } = style(color);
  const rows = models.map((line) => [
    line.provider ?? "(not noted)",
    line.model ?? "",
    String(line.answers),
    cost(line),
    tokens(line.inputTokens),
    tokens(line.outputTokens),
  ]);
  const head = ["provider", "model", "answers", "cost", "in", "out"].map(dim);
  const columns = stdout.isTTY === true ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  const table = renderTable([head, ...rows]);
  if (widthOf(table) <= columns) return table;
  return rows
    .map(([provider, model, answers, spent, input, output]) => {
      const facts = `${answers} answer${answers === "1" ? "" : "s"} · ${input} in · ${output} out · ${spent}`;
      return `${toTerminalLine(`${provider} ${model}`)}\n${foldFor(stdout, `  ${facts}`)}\n`;
    })
    .join("");
}

/** Columns in the middle go first where the window is narrow: day and cost are what one looks for. */
function narrowed(rows: readonly (readonly string[])[], columns: number): string {
  for (const kept of [
    [0, 1, 2, 3, 4],
    [0, 2, 3, 4],
    [0, 4],
  ]) {
    const table = renderTable(rows.map((row) => kept.map((index) => row[index] ?? "")));
    if (widthOf(table) <= columns) return table;
  }
  return renderTable(rows.map((row) => [row[0] ?? "", row[4] ?? ""]));
}

function widthOf(table: string): number {
  return Math.max(...table.split("\n").map((line) => displayWidth(withoutStyles(line))));
}
