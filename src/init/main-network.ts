/**
 * The public network, as far as set-up speaks of it: dated facts, looked up anew before anything depends on them.
 * Source: gonka-ai/gonka-docs docs/network-updates.md and docs/developer/quickstart.md (2026-08-21).
 */
export const MAIN_NETWORK = {
  /** Since then its nodes answer 410 to signed requests (v0.2.14, block 5195700). */
  closedSince: "2026-07-23",
  /** One of the nodes its documentation names for reading. No prompt goes there unless its version allows it. */
  sourceUrl: "https://node3.gonka.ai",
  chainId: "gonka-mainnet",
  checkedOn: "2026-08-21",
} as const;
