import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const mingles: Broker = {
  id: "mingles",
  name: "Mingles Router",
  baseURL: "https://router.mingles.ai/v1",
  otherBaseURLs: ["https://gonka-gateway.mingles.ai/v1"],
  keyPrefixes: ["sk-"],
  dialects: ["chat"],
  signupUrl: "https://router.mingles.ai",
  money: "card, USDT or USDC; 3.9 M tokens a week free",
  modelIdStyle: "hugging-face",
  balanceProbe: { path: "/api/user/balance" },
  costRules: KNOWN_COST_RULES,
  quirks: ["An empty account answers 402."],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkalabs/gmeter backend/brokers.json",
};
