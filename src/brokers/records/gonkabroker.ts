import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonkabroker: Broker = {
  id: "gonkabroker",
  name: "Gonka Broker",
  baseURL: "https://proxy.gonkabroker.com/v1",
  dialects: ["chat", "completions", "messages"],
  signupUrl: "https://app.gonkabroker.com",
  money: "card; 1 M tokens a month free",
  modelIdStyle: "hugging-face",
  embeddings: "unclear",
  costRules: KNOWN_COST_RULES,
  quirks: [
    "The model list tells prices and needs no key, so it does not prove that a key is good.",
    "No JSON mode, no vision.",
  ],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkabroker.com documentation",
};
