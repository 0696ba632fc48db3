import type { TokenUsage, UsageTotal } from "../chat/session.ts";
import { formatGnk, NGONKA_PER_GNK } from "../wire/documents.ts";
import type { Model } from "../wire/models.ts";

/** `12 in · 48 out · $0.00031 · 1.2 s`. What nobody told is called unknown, never 0. */
export function renderUsage(answer: {
  readonly usage: TokenUsage;
  readonly costUsd: number | undefined;
  readonly costNgonka?: bigint | undefined;
  readonly elapsedMs: number;
}): string {
  return [...tokenWords(answer.usage), costWords(answer), formatSeconds(answer.elapsedMs)].join(" · ");
}

/** The sum of a conversation: `3 answers · 40 in · 120 out · $0.001`. @param word what is counted */
export function renderTotal({ answers, usage, answersOfUnknownCost, ...costs }: UsageTotal, word = "answer"): string {
  const known = costWords(costs);
  const cost =
    answersOfUnknownCost === 0 || known === COST_UNKNOWN
      ? known
      : `${known} and ${countOf(answersOfUnknownCost, word)} of unknown cost`;
  return [countOf(answers, word), ...tokenWords(usage), cost].join(" · ");
}

function tokenWords({ input, output, cached, reasoning }: TokenUsage): string[] {
  if (input === undefined && output === undefined) return ["tokens unknown"];
  const part = (count: number | undefined, word: string) =>
    count === undefined || count === 0 ? "" : ` (${formatCount(count)} ${word})`;
  return [
    `${input === undefined ? "?" : formatCount(input)} in${part(cached, "cached")}`,
    `${output === undefined ? "?" : formatCount(output)} out${part(reasoning, "thinking")}`,
  ];
}

const COST_UNKNOWN = "cost unknown";

function costWords({ costUsd, costNgonka }: Pick<UsageTotal, "costUsd" | "costNgonka">): string {
  const words = [
    ...(costUsd === undefined ? [] : [formatUsd(costUsd)]),
    ...(costNgonka === undefined ? [] : [formatGnk(costNgonka)]),
  ];
  return words.length === 0 ? COST_UNKNOWN : words.join(" · ");
}

/** Two significant digits for small sums, cents for larger ones: `$0.00031`, `$1.24`. */
export function formatUsd(usd: number): string {
  if (usd === 0) return "$0";
  if (usd < 0.000_000_1) return "<$0.0000001";
  const decimals = Math.max(2, 1 - Math.floor(Math.log10(usd)));
  return `$${usd.toFixed(decimals)}`;
}

/** `950`, `12.3K`, `1.2M`. */
export function formatCount(count: number): string {
  if (count < 10_000) return String(count);
  if (count < 999_950) return `${(count / 1_000).toFixed(1).replace(/\.0$/, "")}K`;
  return `${(count / 1_000_000).toFixed(1).replace(/\.0$/, "")}M`;
}

/** `0.4 s`, `12 s`, `2 min 5 s`. */
export function formatSeconds(elapsedMs: number): string {
  if (elapsedMs < 9_950) return `${(elapsedMs / 1_000).toFixed(1)} s`;
  const seconds = Math.round(elapsedMs / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `2026-11-28 10:15`, in the computer's time zone. */
export function formatLocalTime(atMs: number): string {
  const date = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A wait that lies ahead, rounded up so that nobody comes too early: `8 s`, `3 min`, `2 h`. */
export function formatWait(waitMs: number): string {
  const seconds = Math.ceil(waitMs / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

function countOf(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

type Priced = Pick<Model, "promptUsdPer1M" | "completionUsdPer1M" | "pricePerTokenNgonka">;

interface PriceColumns {
  readonly heads: readonly string[];
  cells(model: Priced): readonly string[];
  /** The same as words, where there is no room for a table. */
  words(model: Priced): string;
}

const DOLLARS: PriceColumns = {
  heads: ["in $/1M", "out $/1M"],
  cells: ({ promptUsdPer1M, completionUsdPer1M }) => [dollars(promptUsdPer1M), dollars(completionUsdPer1M)],
  words: ({ promptUsdPer1M, completionUsdPer1M }) =>
    `$${dollars(promptUsdPer1M)} in, $${dollars(completionUsdPer1M)} out per 1M`,
};

/** The network has one price for what is read and what is written. */
const GNK: PriceColumns = {
  heads: ["per 1M tokens"],
  cells: (model) => [gnkPer1M(model)],
  words: (model) => `${gnkPer1M(model)} per 1M tokens`,
};

/** How a list shows its prices: in GNK where it has them, which is on the native path, else in US dollars. */
export function priceColumns(models: readonly Priced[]): PriceColumns {
  return models.some(({ pricePerTokenNgonka }) => pricePerTokenNgonka !== undefined) ? GNK : DOLLARS;
}

function gnkPer1M({ pricePerTokenNgonka: price }: Priced): string {
  return price === undefined ? "?" : formatGnk(price * 1_000_000n);
}

function dollars(usdPer1M: number | undefined): string {
  return usdPer1M === undefined ? "?" : String(Number(usdPer1M.toPrecision(4)));
}

/** Exact amounts are whole numbers of 10⁻⁹ GNK; what is only shown, and not added up, may be a number of GNK. */
export function toGnk(ngonka: bigint | undefined): number | undefined {
  return ngonka === undefined ? undefined : Number(ngonka) / Number(NGONKA_PER_GNK);
}
