import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

/** Any OpenAI-compatible endpoint the user names. */
export const custom: Broker = {
  id: "custom",
  name: "Another endpoint",
  dialects: ["chat"],
  money: "depends on the endpoint",
  modelIdStyle: "unknown",
  costRules: KNOWN_COST_RULES,
  quirks: [],
  inDirectory: false,
  checkedOn: "2026-11-22",
  source: "zeph",
};
