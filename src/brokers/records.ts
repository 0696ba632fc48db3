import type { HeaderList } from "../base/header-fields.ts";
import { asObject, type JsonObject, plausibleUsd } from "../base/json.ts";

/** Wire formats an endpoint speaks, by the path under its base: `/chat/completions`, `/messages` and so on. */
type Dialect = "chat" | "completions" | "messages" | "responses";

/** A free request that tells what is left on the account. */
interface BalanceProbe {
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
  readonly balanceProbe?: BalanceProbe;
  /** Path from the origin of a public price list. */
  readonly pricingPath?: string;
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

const DIRECTORY = "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21)";
const WITH_GMETER = `${DIRECTORY}; gonkalabs/gmeter backend/brokers.json`;

/** What most records of the directory have in common. */
const LISTED = {
  dialects: ["chat"],
  quirks: [],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: WITH_GMETER,
} as const;

/** All known brokers in the order a picker shows them: GonkaGate first, then the directory's, the rest, and `custom`. */
export const BROKERS: readonly Broker[] = [
  {
    ...LISTED,
    id: "gonkagate",
    name: "GonkaGate",
    baseURL: "https://api.gonkagate.com/v1",
    keyPrefixes: ["gp-"],
    managementKeyPrefixes: ["gpm-"],
    keyEnv: "GONKAGATE_API_KEY",
    dialects: ["chat", "messages"],
    signupUrl: "https://gonkagate.com/en/register",
    topUpUrl: "https://gonkagate.com",
    money: "USD by card; $10 start credit (May 2026); network price plus 10 % platform fee",
    balanceProbe: { path: "/api/v1/whoami", amountPath: ["data", "balance", "usd"] },
    pricingPath: "/api/v1/public/pricing",
    quirks: [
      "429 with code insufficient_quota means no money, not too many requests.",
      "Limits on concurrent requests apply to the whole account.",
      "Messages is documented for Claude Code only; whether Responses works must be tried.",
      "The e-mail address must be verified before keys work.",
    ],
    checkedOn: "2026-07-07",
    source: "gonkagate.com documentation (2026); GonkaGate/gonkagate-doctor 0.2.2; GonkaGate *-setup repositories",
  },
  {
    ...LISTED,
    id: "gonka-proxy",
    name: "Gonka Labs proxy",
    baseURL: "https://proxy.gonka.gg/v1",
    otherBaseURLs: ["https://api.proxy.gonka.gg/v1"],
    keyPrefixes: ["sk-"],
    signupUrl: "https://proxy.gonka.gg",
    money: "GNK, WGNK or crypto; 1 M tokens free",
  },
  {
    ...LISTED,
    id: "joingonka",
    name: "JoinGonka",
    baseURL: "https://gate.joingonka.ai/v1",
    keyPrefixes: ["jg-"],
    dialects: ["chat", "messages"],
    signupUrl: "https://gate.joingonka.ai",
    money: "GNK or USDT; 3 M tokens free",
    quirks: [
      "An empty account answers 402.",
      "The base for Messages has no /v1.",
      "The model list tells the longest answer in top_provider.max_completion_tokens.",
    ],
    source: `${DIRECTORY}; unameisfine/joingonka-setup 0.4.1`,
  },
  {
    ...LISTED,
    id: "gonkarouter",
    name: "Gonka Router (6Block)",
    baseURL: "https://api.gonkarouter.io/v1",
    otherBaseURLs: ["https://api.gonkascan.com/v1"],
    keyPrefixes: ["sk-"],
    dialects: ["chat", "messages"],
    signupUrl: "https://router.gonkascan.com",
    money: "USDT; $20 start credit",
    quirks: ["The first byte must arrive within 100 s.", "Sign-in is by wallet."],
  },
  {
    ...LISTED,
    id: "gonka24",
    name: "Gonka24",
    baseURL: "https://api.gonka24.com/v1",
    keyEnv: "GONKA24_API_KEY",
    signupUrl: "https://gonka24.com",
    money: "not published",
    quirks: [
      "30 requests a minute and 600 an hour per key; 5 a second and 60 a minute per IP address.",
      "No vision, no n above 1, no logprobs; of the thinking settings only the thinking switch counts.",
    ],
    source: `${DIRECTORY}; public provider records of LiteLLM, llmgateway`,
  },
  {
    ...LISTED,
    id: "gonkabroker",
    name: "Gonka Broker",
    baseURL: "https://proxy.gonkabroker.com/v1",
    dialects: ["chat", "completions", "messages"],
    signupUrl: "https://app.gonkabroker.com",
    money: "card; 1 M tokens a month free",
    quirks: [
      "The model list tells prices and needs no key, so it does not prove that a key is good.",
      "No JSON mode, no vision.",
    ],
    source: `${DIRECTORY}; gonkabroker.com documentation`,
  },
  {
    ...LISTED,
    id: "mingles",
    name: "Mingles Router",
    baseURL: "https://router.mingles.ai/v1",
    otherBaseURLs: ["https://gonka-gateway.mingles.ai/v1"],
    keyPrefixes: ["sk-"],
    signupUrl: "https://router.mingles.ai",
    money: "card, USDT or USDC; 3.9 M tokens a week free",
    balanceProbe: { path: "/api/user/balance" },
    quirks: ["An empty account answers 402."],
  },
  {
    ...LISTED,
    id: "gonka-api",
    name: "gonka-api.org",
    baseURL: "https://api.gonka-api.org/v1",
    keyPrefixes: ["sk-"],
    signupUrl: "https://gonka-api.org",
    money: "not published",
    quirks: ["The plugins field is dropped without a word."],
  },
  {
    ...LISTED,
    id: "hyperfusion",
    name: "Hyperfusion",
    baseURL: "https://api.hyperfusion.io/v1",
    signupUrl: "https://console.hyperfusion.io",
    money: "not published",
    quirks: ["Several networks behind one address: Gonka models are those whose id starts with gonka/."],
  },
  {
    ...LISTED,
    id: "dahl",
    name: "Dahl Inference",
    baseURL: "https://inference.dahl.global/v1",
    signupUrl: "https://inference.dahl.global",
    money: "100 M tokens per access token",
    quirks: [
      "Access tokens come from POST /tokens.",
      "The model list is public, so it does not prove that a key is good.",
    ],
    source: DIRECTORY,
  },
  {
    ...LISTED,
    id: "openbroker",
    name: "OpenBroker (Gonka Labs)",
    baseURL: "https://api.openbroker.gonka.gg/v1",
    keyPrefixes: ["obk-"],
    signupUrl: "https://openbroker.gonka.gg",
    money: "GNK at network price, no mark-up; needs a deposit",
    quirks: ["The way the network's documentation advises for paying in GNK."],
    inDirectory: false,
    checkedOn: "2026-08-21",
    source: "gonka-ai/gonka-docs docs/developer/quickstart.md section 3 (2026-08-21)",
  },
  {
    ...LISTED,
    id: "opengonka",
    name: "OpenGonka",
    baseURL: "https://api.opengonka.com/v1",
    keyPrefixes: ["gnk-sk-"],
    signupUrl: "https://opengonka.com",
    money: "not published",
    quirks: ["Announced to pass on requests signed by the client; not verified since."],
    inDirectory: false,
    checkedOn: "2026-05-23",
    source: "gonka-ai/gonka issue #1237 (2026-05-23)",
  },
  // The user's own network gateway. Not a third party, but the same wire and the same kind of key.
  {
    ...LISTED,
    id: "devshardctl",
    name: "Own devshard gateway",
    baseURL: "http://127.0.0.1:18080/v1",
    keyPrefixes: ["sk-"],
    signupUrl: "https://github.com/gonka-ai/gonka-docs/blob/main/docs/developer/quickstart.md",
    money: "GNK from your own escrow",
    quirks: [
      "Needs a creator address on the network's allow-list, which takes a governance vote.",
      "Keys are those of its DEVSHARD_API_KEYS setting.",
      "Default answer length 3072 tokens, cap 4096, unless its operator changed them.",
    ],
    inDirectory: false,
    checkedOn: "2026-08-21",
    source:
      "gonka-ai/gonka-docs docs/developer/quickstart.md section 2 (2026-08-21); gonka-ai/gonka devshard/cmd/devshardctl",
  },
  // Any OpenAI-compatible endpoint the user names.
  {
    ...LISTED,
    id: "custom",
    name: "Another endpoint",
    money: "depends on the endpoint",
    inDirectory: false,
    checkedOn: "2026-11-22",
    source: "zeph",
  },
];

/** One place where a broker may state what a request cost. */
type CostRule =
  /** A field of the `usage` object, or the sum of several that must all be there. */
  | { readonly from: "usage"; readonly fields: readonly [string, ...string[]]; readonly unit?: CostUnit }
  /** A field of a `billing` object beside `usage` or inside it. */
  | { readonly from: "billing"; readonly fields: readonly [string, ...string[]]; readonly unit?: CostUnit }
  /** A response header; one `*` stands for any word. */
  | { readonly from: "header"; readonly name: string; readonly unit?: CostUnit };

/** Default `usd`. */
type CostUnit = "usd" | "cents";

/**
 * Every form seen in public material: gonkagate.com documentation (2026), and the names that gonkalabs/gmeter
 * backend/app/services/pricing.py (2026-06) looks for. Totals come before parts, the body before headers.
 */
const COST_RULES: readonly CostRule[] = [
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
export function extractCostUsd(body: unknown, headers: HeaderList | undefined): number | undefined {
  const whole = asObject(body) ?? {};
  const usage = asObject(whole.usage) ?? whole;
  const billing = asObject(whole.billing) ?? asObject(usage.billing) ?? {};
  for (const rule of COST_RULES) {
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

function sumOf(source: JsonObject, fields: readonly string[]): number | undefined {
  let sum = 0;
  for (const field of fields) {
    const amount = parseAmount(source[field]);
    if (amount === undefined) return undefined;
    sum += amount;
  }
  return sum;
}

function headerAmount(headers: HeaderList | undefined, name: string): number | undefined {
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
