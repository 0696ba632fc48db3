import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const hyperfusion: Broker = {
  id: "hyperfusion",
  name: "Hyperfusion",
  baseURL: "https://api.hyperfusion.io/v1",
  dialects: ["chat"],
  signupUrl: "https://console.hyperfusion.io",
  money: "not published",
  modelIdStyle: "gonka-prefixed",
  costRules: KNOWN_COST_RULES,
  quirks: ["Several networks behind one address: Gonka models are those whose id starts with gonka/."],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); gonkalabs/gmeter backend/brokers.json",
};
