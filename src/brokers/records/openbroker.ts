import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const openbroker: Broker = {
  id: "openbroker",
  name: "OpenBroker (Gonka Labs)",
  baseURL: "https://api.openbroker.gonka.gg/v1",
  keyPrefixes: ["obk-"],
  dialects: ["chat"],
  signupUrl: "https://openbroker.gonka.gg",
  money: "GNK at network price, no mark-up; needs a deposit",
  modelIdStyle: "hugging-face",
  costRules: KNOWN_COST_RULES,
  quirks: ["The way the network's documentation advises for paying in GNK."],
  inDirectory: false,
  checkedOn: "2026-08-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md section 3 (2026-08-21)",
};
