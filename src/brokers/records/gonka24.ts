import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const gonka24: Broker = {
  id: "gonka24",
  name: "Gonka24",
  baseURL: "https://api.gonka24.com/v1",
  keyEnv: "GONKA24_API_KEY",
  dialects: ["chat"],
  signupUrl: "https://gonka24.com",
  money: "not published",
  modelIdStyle: "short",
  costRules: KNOWN_COST_RULES,
  quirks: [
    "30 requests a minute and 600 an hour per key; 5 a second and 60 a minute per IP address.",
    "No vision, no n above 1, no logprobs; of the thinking settings only the thinking switch counts.",
  ],
  inDirectory: true,
  checkedOn: "2026-09-21",
  source:
    "gonka-ai/gonka-docs docs/developer/quickstart.md (2026-08-21); public provider records of LiteLLM, llmgateway",
};
