import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { isAddress } from "../wire/endpoint.ts";
import { loadConfig } from "./load.ts";
import { migrateConfig } from "./migrate.ts";
import { maskSecrets, parseConfigText } from "./toml.ts";

const SECTIONS = "\n[timeouts]\n[cost]\n[vault]\n[session]\n";

function migrated(text: string) {
  const result = migrateConfig(text + SECTIONS);
  const again = migrateConfig(result.text);
  expect(again).toEqual({ text: result.text, changes: [] });
  return { ...result, rules: result.changes.map(({ rule }) => rule) };
}

function load(text: string) {
  return loadConfig({
    env: {},
    homeDir: "/home/me",
    platform: "linux",
    cwd: "/work",
    flags: { config: "/work/config.toml" },
    readFile: async () => text,
    checks: { isAddress: (address, prefix) => isAddress(address, { prefix }) },
  });
}

const GATEWAY = `[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
`;

describe("a file that is up to date", () => {
  it("is left as it is, byte for byte", () => {
    const text = `${GATEWAY}model = "a" # mine\n${SECTIONS}`;
    expect(migrateConfig(text)).toEqual({ text, changes: [] });
  });

  it("gets sections it does not have as comments, once", () => {
    const result = migrateConfig(`${GATEWAY}\n[cost]\nenabled = true\n`);
    expect(result.changes.map(({ rule }) => rule)).toEqual(["missing_sections"]);
    expect(result.text.startsWith(GATEWAY)).toBe(true);
    expect(result.text.match(/\[cost\]/g)).toHaveLength(1);
    expect(parseConfigText(result.text)).toEqual(parseConfigText(`${GATEWAY}\n[cost]\nenabled = true\n`));
    expect(migrateConfig(result.text).changes).toEqual([]);
  });

  it.each([...["zeph-full", "native-record", "gateway-record"]])("keeps every value of %s.toml", (name) => {
    const text = readFileSync(new URL(`../../vectors/config/${name}.toml`, import.meta.url), "utf8");
    const result = migrateConfig(text);
    expect(parseConfigText(result.text)).toEqual(parseConfigText(text));
    const comments = text.split("\n").filter((line) => line.trim().startsWith("#"));
    for (const comment of comments) expect(result.text).toContain(comment);
    expect(migrateConfig(result.text).changes).toEqual([]);
  });

  it("keeps CRLF and a byte order mark", () => {
    const text = `\ufeff${GATEWAY}api_key = "gp-planted-key-1"\n`.replaceAll("\n", "\r\n");
    const result = migrateConfig(text);
    expect(result.text.startsWith("\ufeff[[llm.providers]]\r\n")).toBe(true);
    expect(result.text.replaceAll("\r\n", "")).not.toContain("\n");
  });
});

describe("the form of old Zeph versions", () => {
  it("becomes provider records, comments and all", async () => {
    const { text, rules } = migrated(`[llm]
provider = "compatible"
embedding_model = "e" # stays

# my broker
[[llm.compatible]]   # here
name = "gonkagate"   # its name
base_url = "https://api.gonkagate.com/v1"
model = "m"
max_tokens = 2048

[[llm.compatible]]
name = "other"
base_url = "https://other.example/v1"
model = "n"
`);
    expect(rules).toEqual(["legacy_form"]);
    expect(text).toContain(
      '# my broker\n[[llm.providers]]   # here\ntype = "compatible"\ndefault = true\nname = "gonkagate"   # its name\n',
    );
    const { config, warnings } = await load(text);
    expect(config.providers.map(({ name, isDefault }) => [name, isDefault])).toEqual([
      ["gonkagate", true],
      ["other", false],
    ]);
    expect(config.embeddingModel).toBe("e");
    expect(warnings.map(({ kind }) => kind)).toEqual(["irrelevant_field"]);
  });

  it("makes the provider that is named the default", () => {
    const { text } = migrated(
      '[llm]\nprovider = "two"\n[[llm.compatible]]\nname = "one"\nbase_url = "https://a"\n[[llm.compatible]]\nname = "two"\nbase_url = "https://b"\n',
    );
    expect(parseConfigText(text)).toMatchObject({
      llm: { providers: [{ name: "one" }, { name: "two", default: true, type: "compatible" }] },
    });
  });

  it("makes a record of a single provider", () => {
    const { text } = migrated('[llm]\nprovider = "ollama"\nbase_url = "http://localhost:11434"\nmodel = "small"\n');
    expect(parseConfigText(text)).toMatchObject({
      llm: { providers: [{ type: "ollama", name: "ollama", base_url: "http://localhost:11434", model: "small" }] },
    });
  });

  it("is refused beside the present form", () => {
    expect(thrownBy(() => migrateConfig(`[llm]\nprovider = "compatible"\n${GATEWAY}`))).toMatchObject({
      code: "config_invalid",
    });
  });
});

const NATIVE = '[[llm.providers]]\ntype = "gonka"\n';

describe("native records of old set-ups", () => {
  it("get the name they lacked", () => {
    const { text, rules } = migrated(`${NATIVE}gonka_source_url = "https://node.example"\n`);
    expect(rules).toEqual(["missing_name"]);
    expect(text).toContain('type = "gonka"\nname = "gonka"\n');
  });

  it("get another name where that one is taken", () => {
    const taken = '[[llm.providers]]\ntype = "ollama"\nname = "gonka"\n';
    expect(migrated(`${taken}${NATIVE}gonka_source_url = "https://node.example"\n`).text).toContain('name = "gonka-2"');
  });

  it("find their nodes instead of using invented addresses, and load then", async () => {
    const { text, rules } = migrated(`# native
${NATIVE}name = "gonka"

[[llm.providers.gonka_nodes]]
url = "http://node1.example:8000"
address = "gonka1node1placeholder00000000000000000000"
name = "node1"

# the second
[[llm.providers.gonka_nodes]]
url = "http://node2.example:8000"
address = "gonka1node2placeholder00000000000000000000"
`);
    expect(rules).toEqual(["placeholder_nodes"]);
    const { config } = await load(text);
    expect(config.providers).toMatchObject([{ name: "gonka", nodes: [], sourceUrl: "http://node1.example:8000" }]);
    expect(text).toContain('#url = "http://node2.example:8000"');
    expect(text).toContain("# the second");
    expect(text).toContain("# zeph: these addresses were invented");
  });

  it("do so when their nodes stand on one line", async () => {
    const { text } = migrated(
      `${NATIVE}name = "gonka"\ngonka_nodes = [{ url = "http://node1.example:8000", address = "gonka1placeholder" }]\n`,
    );
    expect((await load(text)).config.providers).toMatchObject([{ nodes: [], sourceUrl: "http://node1.example:8000" }]);
  });

  it("take over nodes of the form that only a README knew", () => {
    const { text, rules } = migrated(`${NATIVE}name = "gonka"

[[llm.gonka_nodes]]
url = "https://node.example/v1"
address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
weight = 10
`);
    expect(rules).toEqual(["loose_nodes"]);
    expect(parseConfigText(text)).toMatchObject({
      llm: {
        providers: [
          {
            gonka_nodes: [{ url: "https://node.example/v1", address: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6" }],
          },
        ],
      },
    });
    expect(text).toContain("#weight = 10");
  });

  it("leave such nodes as comments where there is no native provider", () => {
    const { text, rules } = migrated('[[llm.gonka_nodes]]\nurl = "https://node.example/v1"\nweight = 1\n');
    expect(rules).toEqual(["loose_nodes"]);
    expect(parseConfigText(text).llm).toBeUndefined();
  });
});

describe("values that are known to be bad", () => {
  it.each([
    ["gpt-4o", `${NATIVE}name = "gonka"\ngonka_source_url = "https://n"\nmodel = "gpt-4o"\n`],
    ["the retired default", `${GATEWAY}model = "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"\n`],
  ])("get a note with the command, and keep their value: %s", (_name, text) => {
    const result = migrated(text);
    expect(result.rules).toEqual(["retired_model"]);
    expect(result.text).toMatch(/# zeph: .*zeph config set model ID --provider (?:gonka|gonkagate)\nmodel = /);
    expect(parseConfigText(result.text)).toEqual(parseConfigText(text + SECTIONS));
  });

  it("leave models of others alone", () => {
    expect(migrated('[[llm.providers]]\ntype = "openai"\nname = "o"\nmodel = "gpt-4o"\n').changes).toEqual([]);
  });

  it("get a note above a key in the file", () => {
    const { text, rules } = migrated(`${GATEWAY}  api_key = "gp-planted-key-1"\n`);
    expect(rules).toEqual(["inline_key"]);
    expect(text).toContain("  # zeph: keys belong into the vault: run `zeph vault import`");
  });

  it("are gone where they were only advice", () => {
    const advice =
      '# Migration step 45: Gonka has a native provider now.\n# Consider changing this record to:\n#   type = "gonka"\n';
    const { text, rules } = migrated(`# keep me\n\n${advice}${GATEWAY}`);
    expect(rules).toEqual(["bad_advice"]);
    expect(text).toBe(`# keep me\n\n${GATEWAY}${SECTIONS}`);
  });

  it("are not taken for advice when somebody keeps a record as a comment", () => {
    const own = '# [[llm.providers]]\n# type = "gonka"\n';
    expect(migrated(own + GATEWAY).changes).toEqual([]);
  });
});

describe("maskSecrets", () => {
  it("hides the values of keys and tokens, also in comments", () => {
    const text = `${GATEWAY}api_key = "odd one" # not sk-0123456789\n#api_key = "gp-0123456789"\napi_key_env = "NAME"\n[serve]\nauth_token = 'abc'\n`;
    const masked = maskSecrets(text);
    expect(masked).not.toMatch(/odd one|0123456789|abc/);
    expect(masked).toContain('api_key_env = "NAME"');
    expect(masked.split("\n")).toHaveLength(text.split("\n").length);
  });
});
