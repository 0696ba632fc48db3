import type { CostRule } from "./cost.ts";

/** Wire formats an endpoint speaks, by the path under its base: `/chat/completions`, `/messages` and so on. */
export type Dialect = "chat" | "completions" | "messages" | "responses";

/** How a broker spells model ids. For hints only: the exact id always comes from its live list. */
export type ModelIdStyle = "hugging-face" | "lower-case" | "short" | "gonka-prefixed" | "network" | "unknown";

/** A free request that tells what is left on the account. */
export interface BalanceProbe {
  /** Path from the origin, asked with the key. */
  readonly path: string;
  /** Where the amount lies in the JSON answer, when that is published. */
  readonly amountPath?: readonly string[];
}

/**
 * A hosted third party that resells Gonka inference behind an OpenAI-compatible URL and a key. Data, not code: no
 * function of zeph asks for a broker's name. Facts are dated (`checkedOn`), come from public material (`source`) and
 * were not observed live; the user's own config (`[[brokers]]`) overrides every field.
 */
export interface Broker {
  /** Lower case; also the default name of a provider record, which gives the name of its secret. */
  readonly id: string;
  readonly name: string;
  /** Ends in `/v1`. Absent only for `custom`, where the user gives it. */
  readonly baseURL?: string;
  /** Older or second addresses of the same broker, to recognise configs that use them. */
  readonly otherBaseURLs?: readonly string[];
  /** What its keys start with. Prefixes may change: a key without one deserves a question, not a refusal. */
  readonly keyPrefixes?: readonly string[];
  /** What keys start with that manage other keys and cannot be used for chat. */
  readonly managementKeyPrefixes?: readonly string[];
  /** Environment variable its own tools read the key from. */
  readonly keyEnv?: string;
  readonly dialects: readonly Dialect[];
  /** Where a key is to be had. Absent only for `custom`. */
  readonly signupUrl?: string;
  /** Where money is added, when published apart from the sign-up page. See `topUpPage`. */
  readonly topUpUrl?: string;
  /** What it is paid with and what is free, in words. */
  readonly money: string;
  readonly modelIdStyle: ModelIdStyle;
  /** Whether embeddings were seen: `yes`, `no` or unclear. The live model list decides. */
  readonly embeddings?: "yes" | "no" | "unclear";
  readonly balanceProbe?: BalanceProbe;
  /** Path from the origin of a public price list. */
  readonly pricingPath?: string;
  /** Where the cost of a request is found, first match wins. */
  readonly costRules: readonly CostRule[];
  /** What surprises people, one sentence each. */
  readonly quirks: readonly string[];
  /** Listed in the network's own directory (gonka-ai/gonka-docs docs/developer/quickstart.md, 2026-08-21). */
  readonly inDirectory: boolean;
  /** Date of the newest public material behind this record, ISO 8601. Absent for brokers of the user's own config. */
  readonly checkedOn?: string;
  /** Where the record was read. */
  readonly source: string;
}

/** The page to send somebody to whose account is empty. */
export function topUpPage(broker: Broker): string | undefined {
  return broker.topUpUrl ?? broker.signupUrl;
}
