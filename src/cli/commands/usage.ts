import { UnusableFile } from "../../base/files.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { ZephError } from "../../errors.ts";
import {
  dayBefore,
  KEPT_HOURS_DAYS,
  localDay,
  parseSpending,
  readSpending,
  type SpendingLine,
  spendingPath,
  timeOf,
  type UsageBucket,
  type UsageSplit,
  type UsageStep,
  usageBuckets,
  usageStarts,
} from "../../journal/ledger.ts";
import { formatGnk } from "../../wire/documents.ts";
import type { Run } from "../command-table.ts";
import {
  displayWidth,
  foldFor,
  formatCount,
  formatSeconds,
  formatUsd,
  renderTable,
  style,
  toTerminalLine,
  writeResult,
} from "../terminal.ts";

const STEPS: readonly UsageStep[] = ["hour", "day", "month"];
const DEFAULT_DAYS = { hour: 2, day: 30, month: 400 };
const MOST_DAYS = { hour: KEPT_HOURS_DAYS, day: 400, month: 400 };

/**
 * `zeph usage`: requests, tokens, money, GNK and times by hour, day or month, provider, model and client, of chats,
 * questions and `zeph serve` on this computer. Reads the ledger; asks nobody.
 */
export const runUsage: Run<"usage"> = async (context, flags) => {
  if (flags.csv === true && context.json)
    throw new ZephError("usage", { detail: "--csv and --json exclude each other" });
  const by = toStep(flags.by);
  const days = toDays(flags.days, by);
  const nowMs = context.clock.nowMs();
  const to = localDay(nowMs);
  const from = dayBefore(nowMs, days - 1);
  const lines = (await readLedger(context)).filter(({ day }) => day >= from && day <= to);
  const rows = usageBuckets(lines, { by });
  const steps = usageBuckets(lines, { by, split: [] });
  const models = [...usageBuckets(lines, { by: "all", split: ["provider", "model"] })].sort(byWeight);
  const clients = [...usageBuckets(lines, { by: "all", split: ["client"] })].sort(byWeight);
  const total = usageBuckets(lines, { by: "all", split: [] })[0] ?? NOTHING;
  if (flags.csv === true) return writeResult(context, { data: rows, answer: toCsv(rows, by), exact: true });
  const stepOf = ({ start }: UsageBucket) => ({ [by]: stepLabel(start, by) });
  const data = {
    from,
    to,
    total: toData(total),
    [`${by}s`]: steps.map((step) => ({ ...stepOf(step), ...toData(step) })),
    models: models.map((row) => ({ provider: row.provider ?? null, model: row.model ?? null, ...toData(row) })),
    clients: clients.map((row) => ({ client: row.client ?? null, ...toData(row) })),
    rows: rows.map((row) => ({ ...stepOf(row), ...namesOf(row), ...toData(row) })),
  };
  if (lines.length === 0) {
    const since = days === 1 ? "today" : `in the last ${days} days`;
    return writeResult(context, { data, notice: `Nothing was asked ${since}.\n` });
  }
  const isAnyClientKnown = clients.some(({ client }) => client !== undefined);
  const blocks = [
    foldFor(context.stdout, renderTotal(total, days)),
    ...(steps.length === 0 ? [] : [renderSteps(context, withEmptySteps(steps, { by, nowMs }), by)]),
    renderNames(context, models, ["provider", "model"]),
    ...(isAnyClientKnown ? [renderNames(context, clients, ["client"])] : []),
    ...(total.answersOfUnknownCost === 0 ? [] : [foldFor(context.stdout, UNKNOWN_NOTE)]),
  ];
  return writeResult(context, { data, answer: blocks.join("\n") });
};

const NOTHING: UsageBucket = {
  start: 0,
  requests: 0,
  errors: 0,
  inputTokens: undefined,
  outputTokens: undefined,
  usd: undefined,
  ngonka: undefined,
  answersOfUnknownCost: 0,
  p50Ms: undefined,
  p95Ms: undefined,
};
const UNKNOWN_NOTE = "? with answers whose cost nobody told: estimated where a price is known, else not counted.\n";

function toStep(text = "day"): UsageStep {
  const step = STEPS.find((each) => each === text);
  if (step !== undefined) return step;
  throw new ZephError("usage", { detail: `--by takes ${STEPS.join(", ")}` });
}

function toDays(text: string | undefined, by: UsageStep): number {
  if (text === undefined) return DEFAULT_DAYS[by];
  if (/^[1-9]\d{0,2}$/.test(text) && Number(text) <= MOST_DAYS[by]) return Number(text);
  const detail = `--days takes a whole number from 1 to ${MOST_DAYS[by]}`;
  throw new ZephError("usage", { detail: by === "hour" ? `${detail} by the hour: no more of them are kept` : detail });
}

/** `2026-11-22`, `2026-11`; an hour as `2026-11-22T14:00`, which spreadsheets take for a time. */
function stepLabel(start: number, by: UsageStep): string {
  const { day, hour } = timeOf(start);
  if (by === "month") return day.slice(0, 7);
  return by === "day" ? day : `${day}T${String(hour).padStart(2, "0")}:00`;
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
function byWeight(left: UsageBucket, right: UsageBucket): number {
  const gnk = ({ ngonka = 0n }: UsageBucket) => Number(ngonka);
  return (right.usd ?? 0) - (left.usd ?? 0) || gnk(right) - gnk(left) || tokensOf(right) - tokensOf(left);
}

function tokensOf({ inputTokens = 0, outputTokens = 0 }: UsageBucket): number {
  return inputTokens + outputTokens;
}

function namesOf({ provider, model, client }: UsageBucket) {
  return { provider: provider ?? null, model: model ?? null, client: client ?? null };
}

/** GNK as text: JSON has no exact integers of that size. */
function toData(bucket: UsageBucket) {
  return {
    answers: bucket.requests - bucket.errors,
    errors: bucket.errors,
    inputTokens: bucket.inputTokens ?? null,
    outputTokens: bucket.outputTokens ?? null,
    costUsd: bucket.usd ?? null,
    costNgonka: bucket.ngonka?.toString() ?? null,
    answersOfUnknownCost: bucket.answersOfUnknownCost,
    p50Ms: bucket.p50Ms ?? null,
    p95Ms: bucket.p95Ms ?? null,
  };
}

const CSV_HEAD =
  "provider,model,answers,input_tokens,output_tokens,cost_usd,cost_ngonka,answers_of_unknown_cost,client,errors,p50_ms,p95_ms";

export function toCsv(rows: readonly UsageBucket[], by: UsageStep): string {
  const lines = rows.map((row) => {
    const { answers, errors, inputTokens, outputTokens, costUsd, costNgonka, answersOfUnknownCost, ...took } =
      toData(row);
    const numbers = [answers, inputTokens, outputTokens, costUsd, costNgonka, answersOfUnknownCost];
    return [
      stepLabel(row.start, by),
      ...[row.provider, row.model].map(csvText),
      ...numbers,
      csvText(row.client),
      errors,
      took.p50Ms,
      took.p95Ms,
    ]
      .map((cell) => cell ?? "")
      .join(",");
  });
  return [`${by},${CSV_HEAD}`, ...lines].map((line) => `${line}\n`).join("");
}

/** Names come from servers; what begins like a formula would be run by the program that opens the table. */
function csvText(text: string | undefined): string {
  const safe = (text ?? "").replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function renderTotal(total: UsageBucket, days: number): string {
  const { requests, errors, p50Ms } = total;
  const answers = requests - errors;
  const facts = [
    days === 1 ? "Today" : `Last ${days} days`,
    `${answers} answer${answers === 1 ? "" : "s"}`,
    ...(errors === 0 ? [] : [`${errors} error${errors === 1 ? "" : "s"}`]),
    `${tokens(total.inputTokens)} in`,
    `${tokens(total.outputTokens)} out`,
    cost(total),
    ...(p50Ms === undefined ? [] : [`half within ${formatSeconds(p50Ms)}`]),
  ];
  return `${facts.join(" · ")}\n`;
}

function tokens(count: number | undefined): string {
  return count === undefined ? "?" : formatCount(count);
}

function cost({ usd, ngonka, answersOfUnknownCost }: UsageBucket): string {
  const known = [
    ...(usd === undefined ? [] : [formatUsd(usd)]),
    ...(ngonka === undefined ? [] : [formatGnk(ngonka)]),
  ].join(" + ");
  if (known === "") return answersOfUnknownCost === 0 ? "-" : "?";
  return answersOfUnknownCost === 0 ? known : `${known} ?`;
}

/** From the first step with a request on, every one has a line, so that the bars tell how time went by. */
function withEmptySteps(
  steps: readonly UsageBucket[],
  { by, nowMs }: { readonly by: UsageStep; readonly nowMs: number },
): readonly UsageBucket[] {
  const byStart = new Map(steps.map((step) => [step.start, step]));
  const first = steps[0]?.start ?? nowMs;
  return usageStarts(by, nowMs, MOST_STEPS[by])
    .filter((start) => start >= first)
    .map((start) => byStart.get(start) ?? { ...NOTHING, start });
}

const MOST_STEPS = { hour: (MOST_DAYS.hour + 1) * 24, day: MOST_DAYS.day, month: 14 };

const MOST_BAR_CELLS = 30;
const LEAST_BAR_CELLS = 5;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Bars are money where all money is dollars or all is GNK; dollars and GNK have no common measure, tokens are one. */
function renderSteps({ color, stdout }: CliContext, steps: readonly UsageBucket[], by: UsageStep): string {
  const { cyan, dim } = style(color);
  const used = steps.filter(({ requests, errors }) => requests > errors);
  const inDollars = used.every(({ usd, ngonka }) => usd !== undefined && ngonka === undefined);
  const inGnk = used.every(({ ngonka, usd }) => ngonka !== undefined && usd === undefined);
  const measure = (step: UsageBucket) =>
    inDollars ? (step.usd ?? 0) : inGnk ? Number(step.ngonka ?? 0n) : tokensOf(step);
  const most = Math.max(...steps.map(measure));
  const rows = steps.map((step) => {
    const label = stepLabel(step.start, by).replace("T", " ");
    if (step.requests === 0) return [dim(label), "", "", "", ""];
    return [label, answersOf(step), tokens(step.inputTokens), tokens(step.outputTokens), cost(step)];
  });
  const head = [by, "answers", "in", "out", "cost"].map(dim);
  const columns = stdout.isTTY === true ? (stdout.columns ?? 80) : 80;
  const table = narrowed([head, ...rows], columns);
  const cells = Math.min(MOST_BAR_CELLS, columns - displayWidth(table) - 3);
  if (cells < LEAST_BAR_CELLS || most <= 0) return table;
  const bars = steps.map((step) => cyan(bar(measure(step) / most, cells)));
  const title = dim(inDollars || inGnk ? "by cost" : "by tokens");
  const [headLine = "", ...lines] = table.trimEnd().split("\n");
  const width = displayWidth(table);
  const beside = (line: string, more: string) => `${line}${" ".repeat(width - displayWidth(line))}  ${more}`.trimEnd();
  return `${[beside(headLine, title), ...lines.map((line, index) => beside(line, bars[index] ?? ""))].join("\n")}\n`;
}

/** A day with the least use still has a mark; none at all has none. */
function bar(share: number, cells: number): string {
  if (share <= 0) return "";
  const eighths = Math.max(1, Math.round(share * cells * 8));
  return "█".repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? "");
}

/** Answers, and how many failed where some did: `12`, `12 (2 failed)`. */
function answersOf({ requests, errors }: UsageBucket): string {
  return errors === 0 ? String(requests) : `${requests - errors} (${errors} failed)`;
}

function renderNames(
  { color, stdout }: CliContext,
  buckets: readonly UsageBucket[],
  names: readonly UsageSplit[],
): string {
  const { dim } = style(color);
  const isTimed = buckets.some(({ p50Ms }) => p50Ms !== undefined);
  const rows = buckets.map((bucket) => [
    ...names.map((name) => bucket[name] ?? (name === "model" ? "" : "(not noted)")),
    answersOf(bucket),
    cost(bucket),
    tokens(bucket.inputTokens),
    tokens(bucket.outputTokens),
    ...(isTimed ? [bucket.p50Ms, bucket.p95Ms].map((ms) => (ms === undefined ? "" : formatSeconds(ms))) : []),
  ]);
  const head = [...names, "answers", "cost", "in", "out", ...(isTimed ? ["half within", "95 % within"] : [])].map(dim);
  const columns = stdout.isTTY === true ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  const table = renderTable([head, ...rows]);
  if (displayWidth(table) <= columns) return table;
  return rows
    .map((row) => {
      const [answers = "", spent = "", input = "", output = "", half = ""] = row.slice(names.length);
      const counted = `${answers} answer${answers === "1" ? "" : "s"}`;
      const within = half === "" ? [] : [`half within ${half}`];
      const facts = [counted, `${input} in`, `${output} out`, spent, ...within].join(" · ");
      return `${toTerminalLine(row.slice(0, names.length).join(" "))}\n${foldFor(stdout, `  ${facts}`)}\n`;
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
    if (displayWidth(table) <= columns) return table;
  }
  return renderTable(rows.map((row) => [row[0] ?? "", row[4] ?? ""]));
}
