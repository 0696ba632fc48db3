/** A million tokens at a hundred dollars, far above every price that brokers of the network ask (2026). */
const MOST_USD = 100;
/** Five times the longest context offered (2026). */
const MOST_TOKENS = 10_000_000;

/**
 * What a server says that one answer cost, in USD, when it can be true: finite, not negative, and not more than any answer
 * costs. Anything else is unknown: it would end a day's limit at once, or never.
 */
export function plausibleUsd(amount: unknown): number | undefined {
  return typeof amount === "number" && amount >= 0 && amount <= MOST_USD ? amount + 0 : undefined;
}

/** A number of tokens that one answer can have: whole, not negative, within what models read and write. */
export function plausibleTokens(count: unknown): number | undefined {
  const isCount = typeof count === "number" && Number.isInteger(count) && count >= 0 && count <= MOST_TOKENS;
  return isCount ? count + 0 : undefined;
}
