import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonkaProxy: Broker = {
  id: "gonka-proxy",
  name: "Gonka Labs proxy",
  baseURL: "https://proxy.gonka.gg/v1",
  otherBaseURLs: ["https://api.proxy.gonka.gg/v1"],
  keyPrefixes: ["sk-"],
  dialects: ["chat"],
  signupUrl: "https://proxy.gonka.gg",
  money: "GNK, WGNK or crypto; 1 M tokens free",
  modelIdStyle: "hugging-face",
  costRules: KNOWN_COST_RULES,
  quirks: [],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkalabs/gmeter backend/brokers.json",
};
