import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { inlineKeys, replaceInlineKey, setDefaultProvider, setModel, upsertProvider } from "./edit.ts";
import { loadConfig } from "./load.ts";

const read = (name: string) => readFileSync(new URL(`../../vectors/config/${name}`, import.meta.url), "utf8");
const full = read("zeph-full.toml");

const gateway = {
  type: "compatible",
  name: "gonkagate",
  base_url: "https://api.gonkagate.com/v1",
  model: "example/model-b",
  api_key_env: "ZEPH_COMPATIBLE_GONKAGATE_API_KEY",
  default: true,
};
const native = {
  type: "gonka",
  name: "gonka",
  model: "example/model-a",
  gonka_chain_prefix: "gonka",
  gonka_nodes: [
    {
      url: "https://node.example/v1",
      address: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
      name: "node.example",
    },
  ],
};

/** Lines that an edit took out and put in, without regard to their place. */
function difference(before: string, after: string) {
  const minus = (a: string, b: string) => {
    const rest = b.split("\n");
    return a.split("\n").filter((line) => {
      const index = rest.indexOf(line);
      if (index !== -1) rest.splice(index, 1);
      return index === -1;
    });
  };
  return { removed: minus(before, after), added: minus(after, before) };
}

describe("upsertProvider", () => {
  it("writes the gateway record of the golden file into an empty one", () => {
    expect(upsertProvider("", { ...gateway, model: "example/model-a" })).toBe(
      read("gateway-record.toml").replace(/ +#.*/g, ""),
    );
  });

  it("writes the native record of the golden file into an empty one", () => {
    expect(upsertProvider("", native)).toBe(read("native-record.toml").replace(/ +#.*/g, ""));
  });

  it("changes the record of the same name and nothing else", () => {
    const after = upsertProvider(full, gateway);
    expect(difference(full, after)).toEqual({
      removed: ['  model = "example/model-a"'],
      added: ['  model = "example/model-b"', '  api_key_env = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"'],
    });
  });

  it("adds a record behind the others, with its nodes, and unsets the earlier default", () => {
    const after = upsertProvider(full, { ...native, default: true });
    expect(difference(full, after).removed).toEqual(["  default = true"]);
    expect(after).toContain(`filename = "model.gguf"

[[llm.providers]]
type = "gonka"
name = "gonka"
model = "example/model-a"
gonka_chain_prefix = "gonka"
default = true

[[llm.providers.gonka_nodes]]
url = "https://node.example/v1"
address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
name = "node.example"

# [[llm.providers]]
# type = "compatible"
# name = "commented-out"
`);
  });

  it("gives a file that the loader accepts", async () => {
    const text = upsertProvider(upsertProvider(full, native), { ...gateway, name: "other", default: undefined });
    const { config } = await loadConfig({
      env: {},
      homeDir: "/home/ann",
      platform: "linux",
      cwd: "/",
      readFile: async (path) => (path.startsWith("/home/ann") ? text : undefined),
    });
    expect(config.providers.map(({ name }) => name)).toEqual([
      "ollama",
      "claude",
      "gonkagate",
      "tiny",
      "gonka",
      "other",
    ]);
    expect(config.providers.find(({ isDefault }) => isDefault)?.name).toBe("gonkagate");
  });

  it("changes nothing when nothing is new", () => {
    const once = upsertProvider(full, gateway);
    expect(upsertProvider(once, gateway)).toBe(once);
    const withNodes = upsertProvider(full, native);
    expect(upsertProvider(withNodes, native)).toBe(withNodes);
  });

  it("replaces nodes and keeps the comments around them", () => {
    const before = `[[llm.providers]]
type = "gonka"  # signed
name = "gonka"

# the nodes
[[llm.providers.gonka_nodes]]
url = "https://old.example/v1" # old one
address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"

# next section
[agent]
name = "Zeph"
`;
    const after = upsertProvider(before, native);
    expect(after).toContain('type = "gonka"  # signed\nname = "gonka"\nmodel = "example/model-a"\n');
    expect(after).toContain("# the nodes\n");
    expect(after).toContain('\n# next section\n[agent]\nname = "Zeph"\n');
    expect(after).not.toContain("old.example");
  });

  it("puts a new field into the record, not into the node that follows directly", () => {
    const before =
      '[[llm.providers]]\ntype = "gonka"\nname = "gonka"\n[[llm.providers.gonka_nodes]]\nurl = "https://old.example"\n# end\n';
    expect(
      upsertProvider(before, { type: "gonka", name: "gonka", model: "m", gonka_nodes: [{ url: "https://n.example" }] }),
    ).toBe(
      '[[llm.providers]]\ntype = "gonka"\nname = "gonka"\nmodel = "m"\n\n[[llm.providers.gonka_nodes]]\nurl = "https://n.example"\n# end\n',
    );
  });

  it("replaces a record of another type whole", () => {
    const before = '[[llm.providers]]\ntype = "compatible" # was\nname = "gonka"\nbase_url = "https://x.example"\n';
    const after = upsertProvider(before, native);
    expect(after).not.toContain("base_url");
    expect(after).toContain('type = "gonka" # was\n');
  });

  it("takes an inline key out when the key is named instead", () => {
    const before =
      '[[llm.providers]]\ntype = "compatible"\nname = "gonkagate"\napi_key = "gp-planted"\nmax_tokens = 9\n';
    const after = upsertProvider(before, gateway);
    expect(after).not.toContain("planted");
    expect(after).toContain("max_tokens = 9\n");
  });

  it("keeps Windows line ends, a byte order mark and a missing line end", () => {
    const before = '\ufeff[agent]\r\nname = "Zeph" # ü\r\n[[llm.providers]]\r\ntype = "ollama"';
    const after = upsertProvider(before, { type: "compatible", name: "x", base_url: "https://x.example/v1" });
    expect(after).toBe(
      `${before}\r\n\r\n[[llm.providers]]\r\ntype = "compatible"\r\nname = "x"\r\nbase_url = "https://x.example/v1"\r\n`,
    );
  });

  it("edits records that are written inline", () => {
    const before =
      '[llm]\n# mine\nproviders = [ { type = "compatible", name = "gonkagate", base_url = "https://x.example" } ]\n';
    const after = upsertProvider(before, gateway);
    expect(after).toContain("# mine\n");
    expect(after).toContain('model = "example/model-b"');
  });

  it("writes strange names and texts so that they are read back", () => {
    const record = {
      type: "compatible",
      name: 'quo"te \\ \u007f\n',
      base_url: "https://x.example/v1",
      pricing: { prompt_usd_per_1m: 0.5 },
    };
    const once = upsertProvider(full, record);
    expect(upsertProvider(once, record)).toBe(once);
    expect(once).toContain("pricing = { prompt_usd_per_1m = 0.5 }");
  });

  it("refuses a file that is not TOML, with the line", () => {
    expect(() => upsertProvider("[llm\n", gateway)).toThrow(/:1: is not valid TOML/);
  });
});

describe("setModel", () => {
  it("keeps the comment behind the value", () => {
    const after = setModel(full, "ollama", "new-model");
    expect(difference(full, after)).toEqual({
      removed: ['model = "local-model"               # small'],
      added: ['model = "new-model"               # small'],
    });
  });

  it("adds the field when there is none", () => {
    expect(setModel('[[llm.providers]]\ntype = "gonka" # t\n', "gonka", "m")).toBe(
      '[[llm.providers]]\ntype = "gonka" # t\nmodel = "m"\n',
    );
  });

  it("names the providers when there is none of that name", () => {
    expect(() => setModel(full, "nobody", "m")).toThrow(/"nobody"; there are: ollama, claude, gonkagate, tiny/);
  });
});

describe("setDefaultProvider", () => {
  it("moves the mark", () => {
    expect(difference(full, setDefaultProvider(full, "tiny"))).toEqual({
      removed: ["  default = true"],
      added: ["  default = false", "default = true"],
    });
  });

  it("leaves the file alone when it is the default already", () => {
    expect(setDefaultProvider(full, "gonkagate")).toBe(full);
  });
});

describe("a name with control signs", () => {
  it("is written with escapes, and read back the same", () => {
    const model = "m/\u001b[2J\u009b31m\u202eevil";
    const text = setModel('[[llm.providers]]\ntype = "compatible"\nname = "a"\n', "a", model);
    expect(text).not.toMatch(/[\p{Cf}]|[^\P{Cc}\n]/u);
    expect(parse(text)).toMatchObject({ llm: { providers: [{ model }] } });
  });
});

describe("a key that stands in the file", () => {
  const text = `# mine
[[llm.providers]]
type = "compatible"
name = "gonkagate"
# where it came from
  api_key   =   "gp-planted" # mine
base_url = "https://api.gonkagate.com/v1"

[[llm.providers]]
type = "compatible"
name = "other"
api_key = "planted-too"
api_key_env = "ZEPH_SECRET_OTHER"

[[llm.providers]]
type = "openai"
name = "zeph-only"
api_key = "sk-planted"
`;

  it("is found in the records that zeph runs, with its name in the vault", () => {
    const found = inlineKeys(text).map(({ provider, secretName, value }) => [provider, secretName, value.reveal()]);
    expect(found).toEqual([
      ["gonkagate", "ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-planted"],
      ["other", "ZEPH_SECRET_OTHER", "planted-too"],
    ]);
    expect(inlineKeys("[llm")).toEqual([]);
    expect(JSON.stringify(inlineKeys(text))).not.toContain("planted");
  });

  it("gives its line to its name, and everything else stays", () => {
    const changed = inlineKeys(text).reduce(replaceInlineKey, text);
    expect(changed).toBe(
      text
        .replace('api_key   =   "gp-planted"', 'api_key_env = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"')
        .replace('api_key = "planted-too"\n', ""),
    );
  });

  it("goes from inline tables too", () => {
    const inline =
      '[llm]\nproviders = [{ type = "compatible", name = "a", base_url = "https://a.example", api_key = "k" }]\n';
    const [key] = inlineKeys(inline);
    const changed = key === undefined ? "" : replaceInlineKey(inline, key);
    expect(changed).not.toContain('"k"');
    expect(changed).toContain("ZEPH_COMPATIBLE_A_API_KEY");
  });
});
