import { describe, expect, it } from "vitest";
import { planInit } from "./init.ts";
import type { Facts, GatewayAnswers, NativeAnswers } from "./session.ts";

const CONFIG = "/home/me/.config/zeph/config.toml";
const HEADER = "# Written by `zeph init`. Secrets are in the vault; api_key_env is the name of one, not its value.\n\n";

const gateway: GatewayAnswers = {
  path: "gateway",
  name: "gonkagate",
  baseURL: "https://api.gonkagate.com/v1",
  model: "owner/model-a",
  secretName: "ZEPH_COMPATIBLE_GONKAGATE_API_KEY",
  makeDefault: undefined,
};

const native: NativeAnswers = {
  path: "native",
  name: "gonka",
  model: "owner/model-a",
  chainPrefix: "gonka",
  sourceUrl: undefined,
  access: undefined,
  nodes: [
    { url: "https://node.example/v1", address: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6", name: "node.example" },
  ],
  makeDefault: undefined,
};

/** Facts of a file with these providers, the first of which is the default one. */
function facts(
  configText?: string,
  names: readonly string[] = [],
): Pick<Facts, "config" | "configPath" | "configText"> {
  const providers = names.map((name, index) => ({
    type: "other" as const,
    declaredType: "x",
    name,
    isDefault: index === 0,
  }));
  return { configPath: CONFIG, configText, config: { providers } as unknown as Facts["config"] };
}

describe("planInit", () => {
  it("writes the gateway record of the specification", () => {
    expect(planInit(gateway, facts())).toEqual({
      configPath: CONFIG,
      providerName: "gonkagate",
      isDefault: true,
      configText: `${HEADER}[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
model = "owner/model-a"
api_key_env = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"
default = true
`,
    });
  });

  it("writes the native record of the specification", () => {
    expect(planInit(native, facts()).configText).toBe(`${HEADER}[[llm.providers]]
type = "gonka"
name = "gonka"
model = "owner/model-a"
gonka_chain_prefix = "gonka"
default = true

[[llm.providers.gonka_nodes]]
url = "https://node.example/v1"
address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
name = "node.example"
`);
  });

  it("writes no embedding model and no key", () => {
    for (const answers of [gateway, native]) {
      expect(planInit(answers, facts()).configText).not.toMatch(/embedding|api_key =|private_key/);
    }
  });

  it("writes a source without nodes, and no model, for a network that takes no requests", () => {
    const answers = { ...native, model: undefined, nodes: [], sourceUrl: "https://node.example", makeDefault: false };
    const { configText, isDefault } = planInit(answers, facts());
    expect(configText).toContain('gonka_source_url = "https://node.example"\ndefault = false\n');
    expect(configText).not.toContain("gonka_nodes");
    expect(configText).not.toContain("model");
    expect(isDefault).toBe(false);
  });

  it.each([
    ["the first record", [], undefined, true],
    ["a later record", ["other"], undefined, false],
    ["a later record on request", ["other"], true, true],
    ["the first record on request not", [], false, false],
    ["the record that is the default already", ["gonkagate", "other"], undefined, true],
    ["a record that is there and not the default", ["other", "gonkagate"], undefined, false],
  ])("makes %s the default or not", (_which, names, makeDefault, expected) => {
    const text = names.map((name) => `[[llm.providers]]\ntype = "x"\nname = "${name}"\n`).join("\n");
    const plan = planInit({ ...gateway, makeDefault }, facts(text, names));
    expect(plan.isDefault).toBe(expected);
    expect(plan.configText.includes("default = true")).toBe(expected);
  });

  it("changes the record of the same name and nothing else", () => {
    const before = `# mine
[[llm.providers]]
type = "compatible"
name = "gonkagate" # by hand
base_url = "https://old.example/v1"
model = "gone"
max_tokens = 99

[other]
x = 1 # kept
`;
    const { configText } = planInit(gateway, facts(before, ["gonkagate"]));
    expect(configText).toContain(
      'name = "gonkagate" # by hand\nbase_url = "https://api.gonkagate.com/v1"\nmodel = "owner/model-a"\nmax_tokens = 99\n',
    );
    expect(configText).toContain("[other]\nx = 1 # kept\n");
    expect(configText.match(/\[\[llm\.providers\]\]/g)).toHaveLength(1);
  });
});
