import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import { REASONING_EFFORTS } from "../rules/parameters.ts";
import { upsertProvider } from "./edit.ts";
import { describeOrigin } from "./layer.ts";
import { type LoadConfigOptions, type LoadedConfig, loadConfig } from "./load.ts";
import { type CompatibleProvider, chooseProvider, type GonkaProvider } from "./providers.ts";
import { secretNameFor } from "./secrets.ts";

const USER = "/home/ann/.config/zeph/config.toml";
const PROJECT = "/work/project/config/default.toml";

function golden(name: string): string {
  return readFileSync(new URL(`../../vectors/config/${name}`, import.meta.url), "utf8");
}

/** Project files are trusted here; those that are not have a file of tests of their own. */
function load(given: Record<string, string>, more: Partial<LoadConfigOptions> = {}) {
  const project = given[PROJECT];
  const files: Record<string, string> = project === undefined ? given : { ...given, ...trusting(PROJECT, project) };
  return loadConfig({
    env: {},
    homeDir: "/home/ann",
    platform: "linux",
    cwd: "/work/project",
    readFile: async (path) => files[path],
    ...more,
  });
}

/** What `zeph config trust` leaves. */
function trusting(path: string, text: string): Record<string, string> {
  const sha256 = createHash("sha256").update(text).digest("hex");
  const list = { version: 1, files: { [path]: { sha256, decision: "trusted" } } };
  return { "/home/ann/.config/zeph/trusted-projects.json": JSON.stringify(list) };
}

async function faultsOf(text: string, more: Partial<LoadConfigOptions> = {}): Promise<string> {
  const error = await load({ [USER]: text }, more).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(ZephError.is(error) && error.code).toBe("config_invalid");
  return ZephError.is(error) ? (error.detail ?? "") : "";
}

const broker = (name: string, more = "") =>
  `[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nbase_url = "https://${name}.example/v1"\n${more}\n`;

describe("loadConfig: the records that set-up writes (B25, B31)", () => {
  it("loads the gateway record", async () => {
    const { config, warnings } = await load({ [USER]: golden("gateway-record.toml") });
    const provider = chooseProvider(config) as CompatibleProvider;
    expect(provider).toMatchObject({
      type: "compatible",
      name: "gonkagate",
      isDefault: true,
      baseURL: "https://api.gonkagate.com/v1",
      model: "example/model-a",
      embeddingModel: undefined,
      maxTokens: 4096,
      maxAttempts: 3,
      requestTimeoutMs: 120_000,
    });
    expect(provider.apiKeyNames).toEqual({
      canonical: "ZEPH_COMPATIBLE_GONKAGATE_API_KEY",
      stored: ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY"],
      aliases: ["GONKAGATE_API_KEY"],
    });
    expect(warnings).toEqual([]);
  });

  it("loads the native record", async () => {
    const { config, warnings } = await load({ [USER]: golden("native-record.toml") });
    expect(chooseProvider(config) as GonkaProvider).toMatchObject({
      type: "gonka",
      name: "gonka",
      chainPrefix: "gonka",
      sourceUrl: undefined,
      nodes: [
        {
          url: "https://node.example/v1",
          address: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
          name: "node.example",
        },
      ],
      privateKeyNames: { canonical: "ZEPH_GONKA_PRIVATE_KEY" },
    });
    expect(warnings).toEqual([]);
  });

  it("writes no embedding model into either", () => {
    expect(golden("gateway-record.toml") + golden("native-record.toml")).not.toContain("embedding");
  });

  it("does not hand Zeph's embedding default to a Gonka provider", async () => {
    const { config } = await load({ [USER]: golden("zeph-full.toml") });
    expect(config.embeddingModel).toBe("qwen3-embedding");
    expect((chooseProvider(config) as CompatibleProvider).embeddingModel).toBeUndefined();
  });
});

describe("loadConfig: a whole file of Zeph", () => {
  it("takes what it knows and minds nothing else", async () => {
    const { config, warnings } = await load({ [USER]: golden("zeph-full.toml") });
    expect(config.providers.map(({ name, type, isDefault }) => [name, type, isDefault])).toEqual([
      ["ollama", "other", false],
      ["claude", "other", false],
      ["gonkagate", "compatible", true],
      ["tiny", "other", false],
    ]);
    expect(config).toMatchObject({
      timeouts: { totalMs: 900_000, embeddingMs: 30_000 },
      cost: { enabled: true, maxDailyCents: 500 },
      vaultBackend: "age",
      localGateway: {},
    });
    expect((chooseProvider(config) as CompatibleProvider).requestTimeoutMs).toBe(90_000);
    expect(new Set(warnings.map((warning) => warning.kind))).toEqual(new Set(["irrelevant_field"]));
    expect(warnings.map(({ message }) => message)).toEqual([
      'kept and not used by zeph: embedding_model, response_cache_enabled, response_cache_ttl_secs, routing of [llm]; stt_model of provider "gonkagate"',
    ]);
  });

  it("names in one line what is kept for other programs", async () => {
    const record =
      '[[llm.providers]]\ntype = "gonka"\nname = "g"\ngonka_source_url = "https://n.example"\nbase_url = "https://b.example"\ngonka_signing_phase = 1\n';
    const other = broker("b", 'vision = true\nembed = true\nembedding_model = "e"\ngonka_chain_id = "c"');
    const { warnings } = await load({ [USER]: `[llm]\nrouting = "ema"\n${record}${other}` });
    expect(warnings).toEqual([
      {
        kind: "irrelevant_field",
        message:
          'kept and not used by zeph: routing of [llm]; base_url, gonka_signing_phase of provider "g"; vision, embed, gonka_chain_id of provider "b"',
        origin: { kind: "file", path: USER, line: 2 },
      },
    ]);
  });

  it("warns of a thinking effort that no model knows, and of no other", async () => {
    const text = (effort: string) =>
      `[[llm.providers]]\ntype = "compatible"\nname = "b"\nbase_url = "https://b.example/v1"\nreasoning_effort = "${effort}"\n`;
    for (const effort of REASONING_EFFORTS) expect((await load({ [USER]: text(effort) })).warnings).toEqual([]);
    const { warnings } = await load({ [USER]: text("max") });
    expect(warnings[0]?.message).toMatch(/reasoning_effort is none of none, minimal, low.*; it is not sent/);
  });

  it("refuses to run a record for another program, by name", async () => {
    const { config } = await load({ [USER]: golden("zeph-full.toml") });
    expect(() => chooseProvider(config, "claude")).toThrow(/"claude" is of type claude/);
  });
});

describe("loadConfig: faults", () => {
  it("reports all of a file at once, each with record, field and line", async () => {
    const detail = await faultsOf(`# top
[timeouts]
llm_seconds = "long"

[[llm.providers]]
type = "compatible"
name = "one"
base_url = "ftp://one.example"
max_tokens = 1.5

[[llm.providers]]
type = "compatible"
base_url = "https://two.example/v1"

[[llm.providers]]
type = "gonka"
name = "net"
gonka_chain_prefix = "Gonka"
default = true
  [[llm.providers.gonka_nodes]]
  url = "node.example"
  address = "gonka1node1placeholder00000000000000000000"

[[llm.providers]]
type = "compatible"
name = "three"
default = true
api_key_env = "gp-looks-like-a-key"
request_timeout = "soon"

[cost]
enabled = "yes"

[[llm.providers]]
type = "compatible"
name = "one"
base_url = "https://one.example/v1"
`);
    expect(detail.split("\n").map((line) => line.trim())).toEqual([
      "13 faults",
      `${USER}:3: [timeouts], llm_seconds must be a number of seconds`,
      `${USER}:8: provider "one", base_url must begin with http:// or https://`,
      `${USER}:9: provider "one", max_tokens must be a whole number`,
      `${USER}:11: provider "compatible", name is required: it gives the secret its name`,
      `${USER}:18: provider "net", gonka_chain_prefix must be an address prefix in lower case, such as gonka`,
      `${USER}:21: provider "net", gonka_nodes[1].url is not an address such as https://host.example/v1`,
      `${USER}:22: provider "net", gonka_nodes[1].address is a placeholder that some Zeph versions wrote, not an address; \`zeph init\` finds the real ones`,
      `${USER}:24: provider "three", base_url is required`,
      `${USER}:27: provider "three", default is true for a second provider (first in line 19)`,
      `${USER}:28: provider "three", api_key_env must be the name of a secret, such as ZEPH_COMPATIBLE_GONKAGATE_API_KEY, not the key itself`,
      `${USER}:29: provider "three", request_timeout must be a time such as "30s", or a number of seconds`,
      `${USER}:32: [cost], enabled must be true or false`,
      `${USER}:36: provider "one", name is used twice (first in line 7)`,
    ]);
    expect(detail).not.toContain("looks-like-a-key");
  });

  it("names the line of a syntax error without showing the line", async () => {
    const detail = await faultsOf('[[llm.providers]]\napi_key = "gp-planted-secret\n');
    expect(detail).toMatch(/config\.toml:2: is not valid TOML: /);
    expect(detail).not.toContain("planted");
  });

  it("calls placeholder addresses by that name (B5)", async () => {
    const detail = await faultsOf(`[[llm.providers]]
type = "gonka"
name = "gonka"
[[llm.providers.gonka_nodes]]
url = "http://node1.gonka.ai:8000"
address = "gonka1node1placeholder000000000000000000000"
[[llm.providers.gonka_nodes]]
url = "http://node2.gonka.ai:8000"
address = "gonka1bbb"
`);
    expect(detail).toMatch(/:6: provider "gonka", gonka_nodes\[1\]\.address is a placeholder/);
    expect(detail).toMatch(/:9: provider "gonka", gonka_nodes\[2\]\.address is not a valid address/);
  });

  it("checks every address with the prefix of its own record (B16)", async () => {
    const asked: string[] = [];
    const two = (prefix: string) => `[[llm.providers]]
type = "gonka"
name = "net-${prefix}"
gonka_chain_prefix = "${prefix}"
gonka_nodes = [{ url = "https://${prefix}.example/v1", address = "${prefix}1abc" }]
`;
    const { config } = await load(
      { [USER]: two("gonka") + two("testgonka") },
      {
        checks: {
          isAddress: (text, prefix) => {
            asked.push(`${text} ${prefix}`);
            return true;
          },
        },
      },
    );
    expect(asked).toEqual(["gonka1abc gonka", "testgonka1abc testgonka"]);
    expect(config.providers.map((provider) => provider.type === "gonka" && provider.chainPrefix)).toEqual([
      "gonka",
      "testgonka",
    ]);
  });

  it("refuses two names with one secret name", async () => {
    const detail = await faultsOf(broker("gonka-broker") + broker("gonka_broker"));
    expect(detail).toMatch(
      /:8: provider "gonka_broker", name gives the secret name ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY/,
    );
  });

  it("accepts them when one names another secret", async () => {
    const text = broker("gonka-broker") + broker("gonka_broker", 'api_key_env = "OTHER_KEY"');
    expect((await load({ [USER]: text })).config.providers).toHaveLength(2);
  });

  it("asks for nodes or a source of nodes", async () => {
    expect(await faultsOf('[[llm.providers]]\ntype = "gonka"\nname = "gonka"\n')).toMatch(/:1: .*at least one node/);
    const text = '[[llm.providers]]\ntype = "gonka"\nname = "gonka"\ngonka_source_url = "https://node.example"\n';
    expect((await load({ [USER]: text })).config.providers[0]).toMatchObject({ nodes: [] });
  });

  it("finds fallback names that nobody has", async () => {
    expect(await faultsOf(`[llm]\nfallback = ["one", "two"]\n${broker("one")}`)).toBe(
      `${USER}:2: [llm], fallback names "two", and there is no provider of that name`,
    );
  });

  it("minds letter case of a type it knows", async () => {
    expect(await faultsOf('[[llm.providers]]\ntype = "Gonka"\nname = "g"\n')).toMatch(/:2: .*must be written "gonka"/);
  });

  it("refuses passwords in addresses without repeating them", async () => {
    const detail = await faultsOf(broker("one").replace("https://", "https://ann:planted@"));
    expect(detail).toMatch(/base_url must not hold a user name or password/);
    expect(detail).not.toContain("planted");
  });

  it("names a variable that cannot be read", async () => {
    expect(await faultsOf(broker("one"), { env: { ZEPH_TIMEOUT_LLM: "soon" } })).toBe(
      "env ZEPH_TIMEOUT_LLM: [timeouts], llm_seconds must be a number of seconds",
    );
  });

  it("reports a missing provider only when one is asked for", async () => {
    const { config } = await load({});
    expect(config.providers).toEqual([]);
    expect(() => chooseProvider(config)).toThrow(expect.objectContaining({ code: "config_not_found" }));
  });

  it("lists the names when one is not there", async () => {
    const { config } = await load({ [USER]: broker("one") + broker("two") });
    expect(() => chooseProvider(config, "three")).toThrow(/"three"; there are: one, two/);
  });

  it("says which named file is missing", async () => {
    const env = { ZEPH_CONFIG: "/nowhere.toml" };
    await expect(load({}, { env })).rejects.toThrow(/\/nowhere\.toml \(env ZEPH_CONFIG\) does not exist/);
    const { files } = await load({}, { env, explicitFile: "optional" });
    expect(files.writePath).toBe("/nowhere.toml");
  });

  it("says why a file cannot be read", async () => {
    const readFile = () => Promise.reject(Object.assign(new Error("denied"), { code: "EACCES" }));
    await expect(load({}, { readFile })).rejects.toThrow(/config\.toml cannot be read \(EACCES\)/);
  });
});

describe("loadConfig: warnings", () => {
  it("warns of plain http to another computer (B20)", async () => {
    const text =
      broker("far").replace("https:", "http:") + broker("near").replace("https://near.example", "http://127.0.0.1:1");
    const { warnings } = await load({ [USER]: text });
    expect(warnings).toMatchObject([{ kind: "insecure_url", origin: { line: 4 } }]);
  });

  it("warns of a key in the file and does not show it", async () => {
    const loaded = await load({ [USER]: broker("one", 'api_key = "gp-planted-secret"') });
    expect(loaded.warnings.map((warning) => warning.kind)).toEqual(["inline_key"]);
    expect((chooseProvider(loaded.config) as CompatibleProvider).inlineApiKey?.reveal()).toBe("gp-planted-secret");
    expect(JSON.stringify([loaded.config, loaded.settings, loaded.warnings])).not.toContain("planted");
  });

  it("tells when a project file decides where requests go", async () => {
    const { warnings } = await load({ [PROJECT]: broker("gonkagate") });
    expect(warnings).toMatchObject([{ kind: "project_endpoint", origin: { path: PROJECT, line: 4 } }]);
  });
});

describe("loadConfig: layers", () => {
  it("merges records of one name field by field, the project's above the user's", async () => {
    const { config, origins, warnings } = await load({
      [USER]: broker("one", 'model = "user"\nmax_tokens = 7\ndefault = true') + broker("two"),
      [PROJECT]: '[llm]\n[[llm.providers]]\ntype = "compatible"\nname = "one"\nmodel = "project"\n',
    });
    expect(config.providers[0]).toMatchObject({ name: "one", model: "project", maxTokens: 7, isDefault: true });
    expect(describeOrigin(origins.get("llm.providers.one.model")!)).toBe(`file ${PROJECT}:5`);
    expect(describeOrigin(origins.get("llm.providers.one.max_tokens")!)).toBe(`file ${USER}:6`);
    expect(warnings).toEqual([]);
  });

  it("lets a project's default beat the user's", async () => {
    const { config } = await load({
      [USER]: broker("one", "default = true"),
      [PROJECT]: broker("two", "default = true"),
    });
    expect(config.providers.map(({ name, isDefault }) => [name, isDefault])).toEqual([
      ["two", true],
      ["one", false],
    ]);
  });

  it("replaces a record of another type whole", async () => {
    const { config } = await load({
      [USER]: broker("one", "max_tokens = 7"),
      [PROJECT]: '[[llm.providers]]\ntype = "gonka"\nname = "one"\ngonka_source_url = "https://node.example"\n',
    });
    expect(config.providers).toMatchObject([{ type: "gonka", maxTokens: 4096 }]);
  });

  it("applies variables to the default provider and flags to the one in use", async () => {
    const text = broker("one") + broker("two", "default = true");
    const { config } = await load(
      { [USER]: text },
      { env: { ZEPH_LLM_MODEL: "from-env" }, flags: { provider: "one", model: "from-flag" } },
    );
    expect(config.providers).toMatchObject([
      { name: "one", model: "from-flag" },
      { name: "two", model: "from-env" },
    ]);
    expect(chooseProvider(config).name).toBe("one");
  });

  it("makes a provider of variables alone", async () => {
    const { config } = await load({}, { env: { ZEPH_LLM_BASE_URL: "https://x.example/v1", ZEPH_LLM_MODEL: "m" } });
    expect(chooseProvider(config)).toMatchObject({ type: "compatible", name: "compatible", model: "m" });
  });

  it("reads the variables of other programs under the env backend only", async () => {
    const env = { GONKAGATE_MODEL: "alias" };
    const text = broker("gonkagate", 'model = "file"');
    const model = async (more: Partial<LoadConfigOptions>) =>
      ((await load({ [USER]: text }, more)).config.providers[0] as CompatibleProvider).model;
    expect(await model({ env })).toBe("file");
    expect(await model({ env, flags: { vaultBackend: "env" } })).toBe("alias");
    expect(await model({ env: { ...env, ZEPH_LLM_MODEL: "own" }, flags: { vaultBackend: "env" } })).toBe("own");
  });

  it("takes nodes from GONKA_ENDPOINTS under the env backend", async () => {
    const address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
    const { config } = await load(
      { [USER]: '[vault]\nbackend = "env"\n[[llm.providers]]\ntype = "gonka"\nname = "gonka"\n' },
      { env: { GONKA_ENDPOINTS: `https://a.example/v1;${address},https://b.example/v1;${address}` } },
    );
    expect((config.providers[0] as GonkaProvider).nodes.map((node) => node.url)).toEqual([
      "https://a.example/v1",
      "https://b.example/v1",
    ]);
  });

  it("asks for proofs, or does without, by gonka_verify_proof and by GONKA_VERIFY_PROOF under the env backend", async () => {
    const proof = async (text: string, value?: string) => {
      const record = '[[llm.providers]]\ntype = "gonka"\nname = "gonka"\ngonka_source_url = "https://a.example"\n';
      const env = value === undefined ? {} : { GONKA_VERIFY_PROOF: value };
      const { config } = await load({ [USER]: `[vault]\nbackend = "env"\n${record}${text}` }, { env });
      return (config.providers[0] as GonkaProvider).trust.proof;
    };
    expect(await proof("")).toBeUndefined();
    expect(await proof("gonka_verify_proof = false")).toBe("none");
    expect(await proof("gonka_verify_proof = false", "1")).toBe("required");
    expect(await proof("", "0")).toBe("none");
    await expect(proof("", "perhaps")).rejects.toMatchObject({
      detail: expect.stringMatching(/GONKA_VERIFY_PROOF.*must be true or false/),
    });
  });

  it("gives every value in force an origin", async () => {
    const { settings } = await load(
      { [USER]: golden("gateway-record.toml"), [PROJECT]: "[llm]\n[cost]\nenabled = true\n" },
      { env: { ZEPH_TIMEOUT_LLM: "45" }, flags: { model: "flagged", vaultBackend: "env" } },
    );
    expect(
      settings.map(({ key, value, origin }) => `${key} = ${JSON.stringify(value)} (${describeOrigin(origin)})`),
    ).toMatchInlineSnapshot(`
      [
        "llm.providers.gonkagate.model = "flagged" (flag --model)",
        "llm.providers.gonkagate.type = "compatible" (file /home/ann/.config/zeph/config.toml:2)",
        "llm.providers.gonkagate.name = "gonkagate" (file /home/ann/.config/zeph/config.toml:3)",
        "llm.providers.gonkagate.base_url = "https://api.gonkagate.com/v1" (file /home/ann/.config/zeph/config.toml:4)",
        "llm.providers.gonkagate.api_key_env = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY" (file /home/ann/.config/zeph/config.toml:6)",
        "llm.providers.gonkagate.default = true (file /home/ann/.config/zeph/config.toml:7)",
        "llm.providers.gonkagate.max_tokens = 4096 (default)",
        "llm.providers.gonkagate.max_retries = 3 (default)",
        "llm.providers.gonkagate.request_timeout = 45 (env ZEPH_TIMEOUT_LLM)",
        "cost.enabled = true (file /work/project/config/default.toml:3)",
        "cost.max_daily_cents = 0 (default)",
        "llm.fallback = [] (default)",
        "session.keep_conversations = true (default)",
        "session.provider_persistence = true (default)",
        "timeouts.embedding_seconds = 30 (default)",
        "timeouts.llm_request_timeout_secs = 600 (default)",
        "timeouts.llm_seconds = 45 (env ZEPH_TIMEOUT_LLM)",
        "vault.backend = "env" (flag --vault)",
      ]
    `);
  });

  it("masks tokens of the local gateway", async () => {
    const { settings } = await load({ [USER]: '[local_gateway]\nport = 1\nauth_token = "planted"\n' });
    expect(JSON.stringify(settings)).not.toContain("planted");
    expect(settings.find((setting) => setting.key === "local_gateway.port")?.value).toBe(1);
  });

  it("reads the user's brokers", async () => {
    const { config } = await load({
      [USER]: '[[brokers]]\nid = "Mine"\nbase_url = "https://mine.example/v1"\nkey_prefixes = ["my-"]\n',
    });
    expect(config.brokers).toEqual([{ id: "mine", baseURL: "https://mine.example/v1", keyPrefixes: ["my-"] }]);
    expect(await faultsOf('[[brokers]]\nname = "x"\ndialects = ["smoke"]\n')).toMatch(
      /:1: \[\[brokers\]\] number 1, id is required\n.*:3: \[\[brokers\]\] number 1, dialects\[1\] must be one of chat/,
    );
  });
});

describe("loadConfig: durations", () => {
  it.each([
    ['"30s"', 30_000],
    ['"500ms"', 500],
    ['"2m"', 120_000],
    ['"45"', 45_000],
    ["45", 45_000],
    ["1.5", 1_500],
  ])("request_timeout = %s", async (written, expectedMs) => {
    const { config } = await load({ [USER]: broker("one", `request_timeout = ${written}`) });
    expect((chooseProvider(config) as CompatibleProvider).requestTimeoutMs).toBe(expectedMs);
  });
});

describe("loadConfig: the form of old Zeph versions", () => {
  const OLD = '[llm]\nprovider = "compatible"\n[[llm.compatible]]\nname = "a"\nbase_url = "https://a.example/v1"\n';

  it("is no configuration, and the hint is the command that mends it", async () => {
    await expect(load({ [USER]: OLD })).rejects.toMatchObject({
      code: "config_invalid",
      detail: `${USER}:2: [llm] is in the form of old Zeph versions`,
      hint: "Run: zeph config migrate --in-place",
    });
    await expect(load({ "/tmp/x.toml": OLD }, { flags: { config: "/tmp/x.toml" } })).rejects.toMatchObject({
      hint: "Run: zeph config migrate --in-place --config /tmp/x.toml",
    });
  });

  it("is a warning where another file names a provider", async () => {
    const { config, warnings } = await load({ [USER]: OLD, [PROJECT]: broker("b") });
    expect(config.providers.map(({ name }) => name)).toEqual(["b"]);
    const [warning] = warnings.filter(({ kind }) => kind === "legacy_form");
    expect(warning?.message).toContain("`zeph config migrate --in-place` brings it up to date");
  });

  it("is a warning beside today's form in one file, which no migration could mend", async () => {
    const { warnings } = await load({ [USER]: `[llm]\nprovider = "b"\n${broker("b")}` });
    expect(warnings.map(({ message }) => message)).toEqual([
      "[llm] provider is the form of old Zeph versions, which is not read; delete that part of it",
    ]);
  });

  it("does not promise a migration that would mend nothing", async () => {
    await expect(load({ [USER]: '[[llm.providers]]\ntype = "compatible"\n' })).rejects.toMatchObject({
      code: "config_invalid",
      hint: expect.not.stringMatching(/^Run:/),
    });
  });
});

const template = readFileSync(new URL("../../docs/config-template.toml", import.meta.url), "utf8");
const uncommented = template.replace(/^#(?=\S)/gm, "");

function loadInConfigTemplate(text: string): Promise<LoadedConfig> {
  return loadConfig({
    env: {},
    homeDir: "/home/ann",
    platform: "linux",
    cwd: "/",
    readFile: async (path) => (path.startsWith("/home/ann") ? text : undefined),
  });
}

describe("docs/config-template.toml (E4)", () => {
  it("changes nothing as it is", async () => {
    const { config, warnings } = await loadInConfigTemplate(template);
    expect(config).toEqual((await loadInConfigTemplate("")).config);
    expect(warnings).toEqual([]);
  });

  it("loads without a fault or warning when uncommented", async () => {
    const { config, warnings } = await loadInConfigTemplate(uncommented);
    expect(warnings).toEqual([]);
    expect(config.providers).toMatchObject([
      { type: "compatible", name: "gonkagate", isDefault: true, baseURL: "https://api.gonkagate.com/v1" },
      { type: "gonka", name: "gonka", nodes: [{ url: "https://node.example/v1" }] },
    ]);
    expect(config).toMatchObject({ fallback: ["gonka"], cost: { maxDailyCents: 500 }, brokers: [{ id: "my-broker" }] });
  });

  it("shows the defaults as they are", async () => {
    const [template, none] = [
      (await loadInConfigTemplate(uncommented)).config,
      (await loadInConfigTemplate("")).config,
    ];
    for (const key of ["timeouts", "providerPersistence", "keepConversations"] as const) {
      expect(template[key]).toEqual(none[key]);
    }
  });

  it("names the sign-up page and the command that stores the key", () => {
    expect(template).toContain("https://gonkagate.com/en/register");
    expect(template).toContain(`zeph vault set ${secretNameFor("gonkagate")}`);
  });

  it("can be filled in by set-up with every comment kept", () => {
    const record = { type: "compatible", name: "gonkagate", base_url: "https://api.gonkagate.com/v1" };
    expect(upsertProvider(template, record).startsWith(template)).toBe(true);
  });
});
