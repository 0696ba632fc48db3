import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonkarouter: Broker = {
  id: "gonkarouter",
  name: "Gonka Router (6Block)",
  baseURL: "https://api.gonkarouter.io/v1",
  otherBaseURLs: ["https://api.gonkascan.com/v1"],
  keyPrefixes: ["sk-"],
  dialects: ["chat", "messages"],
  signupUrl: "https://router.gonkascan.com",
  money: "USDT; $20 start credit",
  modelIdStyle: "hugging-face",
  costRules: KNOWN_COST_RULES,
  quirks: ["The first byte must arrive within 100 s.", "Sign-in is by wallet."],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkalabs/gmeter backend/brokers.json",
};
