import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const joingonka: Broker = {
  id: "joingonka",
  name: "JoinGonka",
  baseURL: "https://gate.joingonka.ai/v1",
  keyPrefixes: ["jg-"],
  dialects: ["chat", "messages"],
  signupUrl: "https://gate.joingonka.ai",
  money: "GNK or USDT; 3 M tokens free",
  modelIdStyle: "hugging-face",
  costRules: KNOWN_COST_RULES,
  quirks: [
    "An empty account answers 402.",
    "The base for Messages has no /v1.",
    "The model list tells the longest answer in top_provider.max_completion_tokens.",
  ],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); unameisfine/joingonka-setup 0.4.1",
};
