import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonkagate: Broker = {
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
  modelIdStyle: "lower-case",
  embeddings: "no",
  balanceProbe: { path: "/api/v1/whoami", amountPath: ["data", "balance", "usd"] },
  pricingPath: "/api/v1/public/pricing",
  costRules: [
    { from: "usage", fields: ["total_cost_usd"] },
    { from: "usage", fields: ["base_cost_usd", "platform_fee_usd"] },
    ...KNOWN_COST_RULES,
  ],
  quirks: [
    "429 with code insufficient_quota means no money, not too many requests.",
    "Limits on concurrent requests apply to the whole account.",
    "Messages is documented for Claude Code only; whether Responses works must be tried.",
    "The e-mail address must be verified before keys work.",
  ],
  inDirectory: true,
  checkedOn: "2026-07-07",
  source: "gonkagate.com documentation (2026); GonkaGate/gonkagate-doctor 0.2.2; GonkaGate *-setup repositories",
};
