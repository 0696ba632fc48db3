import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const dahl: Broker = {
  id: "dahl",
  name: "Dahl Inference",
  baseURL: "https://inference.dahl.global/v1",
  dialects: ["chat"],
  signupUrl: "https://inference.dahl.global",
  money: "100 M tokens per access token",
  modelIdStyle: "unknown",
  costRules: KNOWN_COST_RULES,
  quirks: [
    "Access tokens come from POST /tokens.",
    "The model list is public, so it does not prove that a key is good.",
  ],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source: "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21)",
};
