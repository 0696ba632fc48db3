import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonkaApi: Broker = {
  id: "gonka-api",
  name: "gonka-api.org",
  baseURL: "https://api.gonka-api.org/v1",
  keyPrefixes: ["sk-"],
  dialects: ["chat"],
  signupUrl: "https://gonka-api.org",
  money: "not published",
  modelIdStyle: "hugging-face",
  costRules: KNOWN_COST_RULES,
  quirks: ["The plugins field is dropped without a word."],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkalabs/gmeter backend/brokers.json",
};
