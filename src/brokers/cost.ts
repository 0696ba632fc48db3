import { plausibleUsd } from "../internal/plausible.ts";

/** One place where a broker may state what a request cost. */
export type CostRule =
  /** A field of the `usage` object, or the sum of several that must all be there. */
  | { readonly from: "usage"; readonly fields: readonly [string, ...string[]]; readonly unit?: CostUnit }
  /** A field of a `billing` object beside `usage` or inside it. */
  | { readonly from: "billing"; readonly fields: readonly [string, ...string[]]; readonly unit?: CostUnit }
  /** A response header; one `*` stands for any word. */
  | { readonly from: "header"; readonly name: string; readonly unit?: CostUnit };

/** Default `usd`. */
export type CostUnit = "usd" | "cents";

/**
 * Every form seen in public material: gonkagate.com documentation (2026), and the names that gonkalabs/gmeter
 * backend/app/services/pricing.py (2026-06) looks for. Totals come before parts, the body before headers.
 */
export const KNOWN_COST_RULES: readonly CostRule[] = [
  { from: "usage", fields: ["total_cost_usd"] },
  { from: "usage", fields: ["cost_usd"] },
  { from: "usage", fields: ["base_cost_usd", "platform_fee_usd"] },
  { from: "billing", fields: ["total_cost_usd"] },
  { from: "billing", fields: ["cost_usd"] },
  { from: "header", name: "x-gonka-cost-usd" },
  { from: "header", name: "x-cost-usd" },
  { from: "header", name: "x-*-cost-usd" },
  { from: "usage", fields: ["total_cost_cents"], unit: "cents" },
  { from: "usage", fields: ["cost_cents"], unit: "cents" },
  { from: "billing", fields: ["total_cost_cents"], unit: "cents" },
  { from: "billing", fields: ["cost_cents"], unit: "cents" },
];

/**
 * What a request cost in USD, by the first rule that finds an amount that can be true. `undefined` means unknown, which is not 0: a free
 * request states 0.
 *
 * @param body the response body (`{ usage, billing? }`) or just its `usage` object
 * @example extractCostUsd({ total_cost_usd: "0.00012" }, new Headers()) // 0.00012
 */
export function extractCostUsd(
  body: unknown,
  headers: Headers | undefined,
  rules: readonly CostRule[] = KNOWN_COST_RULES,
): number | undefined {
  const whole = isRecord(body) ? body : {};
  const usage = isRecord(whole.usage) ? whole.usage : whole;
  const billing = [whole.billing, usage.billing].find(isRecord) ?? {};
  for (const rule of rules) {
    const amount =
      rule.from === "header"
        ? headerAmount(headers, rule.name)
        : sumOf(rule.from === "usage" ? usage : billing, rule.fields);
    const costUsd = amount !== undefined && rule.unit === "cents" ? amount / 100 : amount;
    const told = plausibleUsd(costUsd);
    if (told !== undefined) return told;
  }
  return undefined;
}

function sumOf(source: Readonly<Record<string, unknown>>, fields: readonly string[]): number | undefined {
  let sum = 0;
  for (const field of fields) {
    const amount = parseAmount(source[field]);
    if (amount === undefined) return undefined;
    sum += amount;
  }
  return sum;
}

function headerAmount(headers: Headers | undefined, name: string): number | undefined {
  if (headers === undefined) return undefined;
  const [before = "", after] = name.toLowerCase().split("*", 2);
  if (after === undefined) return parseAmount(headers.get(name) ?? undefined);
  for (const [header, value] of headers) {
    const matches = header.startsWith(before) && header.endsWith(after) && header.length > before.length + after.length;
    const amount = matches ? parseAmount(value) : undefined;
    if (amount !== undefined) return amount;
  }
  return undefined;
}

/** Brokers send numbers and decimal strings alike. Negative and unreadable amounts are unknown ones. */
function parseAmount(value: unknown): number | undefined {
  if (typeof value === "string" && !/^\s*\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*$/.test(value)) return undefined;
  const amount = typeof value === "string" ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) && amount >= 0 ? amount : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
