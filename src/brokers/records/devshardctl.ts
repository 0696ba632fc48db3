import type { Broker } from "../broker.ts";
import { KNOWN_COST_RULES } from "../cost.ts";

/** The user's own network gateway. Not a third party, but the same wire and the same kind of key. */
export const devshardctl: Broker = {
  id: "devshardctl",
  name: "Own devshard gateway",
  baseURL: "http://127.0.0.1:18080/v1",
  keyPrefixes: ["sk-"],
  dialects: ["chat"],
  signupUrl: "https://github.com/gonka-ai/gonka-docs/blob/main/docs/developer/quickstart.md",
  money: "GNK from your own escrow",
  modelIdStyle: "network",
  costRules: KNOWN_COST_RULES,
  quirks: [
    "Needs a creator address on the network's allow-list, which takes a governance vote.",
    "Keys are those of its DEVSHARD_API_KEYS setting.",
    "Default answer length 3072 tokens, cap 4096, unless its operator changed them.",
  ],
  inDirectory: false,
  checkedOn: "2026-08-21",
  source:
    "gonka-ai/gonka-docs docs/developer/quickstart.md section 2 (2026-08-21); gonka-ai/gonka devshard/cmd/devshardctl",
};
