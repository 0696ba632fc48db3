import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

export const opengonka: Broker = {
  id: "opengonka",
  name: "OpenGonka",
  baseURL: "https://api.opengonka.com/v1",
  keyPrefixes: ["gnk-sk-"],
  dialects: ["chat"],
  signupUrl: "https://opengonka.com",
  money: "not published",
  modelIdStyle: "unknown",
  costRules: KNOWN_COST_RULES,
  quirks: ["Announced to pass on requests signed by the client; not verified since."],
  inDirectory: false,
  checkedOn: "2026-05-23",
  source: "gonka-ai/gonka issue #1237 (2026-05-23)",
};
