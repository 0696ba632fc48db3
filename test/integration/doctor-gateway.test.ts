import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { localDay } from "../../src/journal/ledger.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "../../src/sandbox/index.ts";
import { checkOf, doctorJson, newStage, type Stage } from "./doctor-stage.ts";

const NAME = "gonkagate";
const KEY = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";
const MODEL = "sandbox/echo-1";

let stage: Stage;
let sandbox: Sandbox;

beforeEach(async () => {
  stage = await newStage();
});

afterEach(async () => {
  await sandbox.stop();
  await stage.clear();
});

interface Healthy {
  readonly sandboxOptions?: SandboxOptions;
  readonly key?: keyof Sandbox["broker"]["keys"];
  readonly baseURL?: (baseURL: string) => string;
  readonly model?: string | null;
  readonly more?: string;
}

/** A working set-up: config, vault, key, model. Each situation breaks one thing of it. */
async function setUp({ sandboxOptions, key = "good", baseURL = (url) => url, model = MODEL, more = "" }: Healthy = {}) {
  sandbox = await startSandbox(sandboxOptions);
  await stage.store(KEY, sandbox.broker.keys[key]);
  await stage.writeConfig(`# mine
[[llm.providers]]
type = "compatible"
name = "${NAME}"
base_url = "${baseURL(sandbox.broker.baseURL)}"
${model === null ? "" : `model = "${model}"`}
default = true
${more}
[[brokers]]
id = "gonkagate"
base_url = "${sandbox.broker.baseURL}"
`);
}

interface Situation {
  readonly name: string;
  readonly healthy?: Healthy;
  /** Breaks it. */
  readonly arrange?: () => Promise<unknown> | unknown;
  /** The check that names the cause. */
  readonly check: string;
  readonly code?: string;
  readonly says: RegExp;
  readonly exitCode: number;
  /** What a chat ends with, where it is not the doctor's exit code; with the reason. */
  readonly chat?: { readonly exitCode: number; readonly because: string };
  /** Does what the hint says, as the user would; then everything must be well. */
  readonly mend?: (hint: string) => Promise<unknown>;
}

/** Runs the command line that stands in a hint. */
async function follow(hint: string, stdin = ""): Promise<void> {
  const line = /(?:zeph) ([^`(]+)/.exec(hint)?.[1]?.trim() ?? "";
  const { exitCode, stderr } = await stage.run(line.replace(/[.,]$/, ""), stdin);
  expect({ line, exitCode, stderr }).toMatchObject({ exitCode: 0 });
}

const storeGoodKey = (hint: string) => {
  const line = /zeph (vault set \S+ --force)/.exec(hint)?.[1] ?? "";
  return stage.run(`${line} --stdin`, sandbox.broker.keys.good);
};

async function addInlineKey(): Promise<void> {
  const text = await readFile(stage.configPath, "utf8");
  await stage.writeConfig(text.replace("default = true", `default = true\napi_key = "${sandbox.broker.keys.good}"`));
}

/** What an answer of today cost. */
async function spend(usd: number): Promise<void> {
  const folder = join(stage.home, ".local/state/zeph");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "spent.jsonl"), `${JSON.stringify({ day: localDay(Date.now()), usd })}\n`);
}

/** A second record with the key of the first. */
const spare = (name: string, more: string) =>
  `\n[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nbase_url = "${sandbox.broker.baseURL}"\napi_key_env = "${KEY}"\n${more}\n`;

async function fallBackTo(names: readonly string[], records: string): Promise<void> {
  const text = await readFile(stage.configPath, "utf8");
  await stage.writeConfig(`${text}${records}\n[llm]\nfallback = ${JSON.stringify(names)}\n`);
}

const LIST = `llm.${NAME}`;

const SITUATIONS: readonly Situation[] = [
  {
    name: "a wrong key",
    healthy: { key: "wrong" },
    check: LIST,
    code: "invalid_api_key",
    says: /Invalid API key/,
    exitCode: 11,
    mend: storeGoodKey,
  },
  {
    name: "a deactivated account",
    healthy: { key: "disabled" },
    check: LIST,
    code: "account_not_ready",
    says: /deactivated/,
    exitCode: 11,
  },
  {
    name: "an e-mail address that was not verified",
    healthy: { key: "unverified" },
    check: LIST,
    code: "account_not_ready",
    says: /e-mail/,
    exitCode: 11,
  },
  {
    name: "a management key",
    healthy: { key: "management" },
    check: `${LIST}.key`,
    code: "management_key",
    says: /management key/,
    exitCode: 11,
  },
  {
    name: "no money",
    healthy: { key: "outOfMoney" },
    check: `${LIST}.credit`,
    code: "insufficient_quota",
    says: /no credit/,
    exitCode: 14,
  },
  {
    name: "no money, said with 402",
    healthy: { key: "outOfMoney", sandboxOptions: { broker: { outOfMoneyStatus: 402 } } },
    check: `${LIST}.credit`,
    code: "insufficient_quota",
    says: /no credit/,
    exitCode: 14,
  },
  {
    name: "too many requests",
    healthy: { key: "rateLimited", sandboxOptions: { broker: { retryAfterSeconds: 90 } } },
    check: LIST,
    code: "rate_limited",
    says: /Rate limit/,
    exitCode: 15,
  },
  {
    name: "a retired model",
    healthy: { model: "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8" },
    check: `${LIST}.model`,
    code: "model_not_found",
    says: /not offered any more; nearest: /,
    exitCode: 12,
    mend: follow,
  },
  {
    name: "a model in other letters",
    healthy: { model: "Sandbox/Echo-1" },
    check: `${LIST}.model`,
    code: "model_not_found",
    says: /called sandbox\/echo-1 here; letter case counts/,
    exitCode: 12,
    mend: follow,
  },
  {
    name: "a model in other letters, which a chat corrects while it remembers the list",
    healthy: { model: "Sandbox/Echo-1" },
    arrange: () => stage.run("models"),
    check: `${LIST}.model`,
    says: /a chat corrects it while it remembers the list/,
    exitCode: 0,
  },
  {
    name: "an embedding model, as the list says",
    healthy: { model: "sandbox/embed-1" },
    check: `${LIST}.model`,
    code: "model_not_found",
    says: /makes embeddings; for chat there are: sandbox\/echo-1/,
    exitCode: 12,
    mend: follow,
  },
  {
    name: "no model",
    healthy: { model: null },
    check: `${LIST}.model`,
    code: "model_missing",
    says: /no model is configured/,
    exitCode: 12,
    mend: follow,
  },
  {
    name: "no key anywhere",
    arrange: async () => {
      await stage.run(`vault rm ${KEY}`);
    },
    check: `${LIST}.key`,
    code: "secret_missing",
    says: new RegExp(KEY),
    exitCode: 17,
    mend: (hint) => {
      const line = /zeph (vault set \S+)`/.exec(hint)?.[1] ?? "";
      return stage.run(`${line} --stdin`, sandbox.broker.keys.good);
    },
  },
  {
    name: "a private key in the place of an API key",
    arrange: () => stage.store(KEY, "ab".repeat(32)),
    check: `${LIST}.key`,
    code: "invalid_api_key",
    says: /private key, not an API key; it was not sent/,
    exitCode: 11,
    mend: storeGoodKey,
  },
  {
    name: "quotation marks around the key",
    arrange: () => stage.store(KEY, `"${sandbox.broker.keys.good}"`),
    check: `${LIST}.key`,
    code: "invalid_api_key",
    says: /quotation marks/,
    exitCode: 11,
    mend: storeGoodKey,
  },
  {
    name: "a wrong path in the address",
    healthy: { baseURL: (url) => url.replace("/v1", "/openai/v1") },
    check: LIST,
    code: "wrong_url",
    says: /not an OpenAI-compatible API/,
    exitCode: 10,
    mend: () => stage.run("doctor --fix --yes"),
  },
  {
    name: "a doubled /v1, which is no fault",
    healthy: { baseURL: (url) => `${url}/v1/` },
    check: LIST,
    says: /the key is good/,
    exitCode: 0,
  },
  {
    name: "an HTML error page",
    arrange: () => sandbox.broker.faults.always({ kind: "html-page" }),
    check: LIST,
    code: "upstream_error",
    says: /HTML page/,
    exitCode: 10,
  },
  {
    name: "a web page where the API should be",
    arrange: () => sandbox.broker.faults.always({ kind: "html-page", status: 200 }),
    check: LIST,
    code: "wrong_url",
    says: /not an OpenAI-compatible API/,
    exitCode: 10,
  },
  {
    name: "a broker without capacity",
    arrange: () => sandbox.broker.faults.always({ kind: "status", status: 503, code: "service_unavailable" }),
    check: LIST,
    code: "service_unavailable",
    says: /no capacity/,
    exitCode: 10,
  },
  {
    name: "a broker that moved",
    arrange: () => sandbox.broker.faults.always({ kind: "moved", newUrl: "https://elsewhere.example/v1" }),
    check: LIST,
    code: "endpoint_moved",
    says: /moved/,
    exitCode: 10,
  },
  {
    name: "a broken model list",
    arrange: () => sandbox.broker.faults.always({ kind: "bad-json" }),
    check: LIST,
    code: "bad_response",
    says: /not JSON/,
    exitCode: 10,
  },
  {
    name: "a broker that closes the connection",
    arrange: () => sandbox.broker.faults.always({ kind: "refuse", how: "reset" }),
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /connection/,
    exitCode: 10,
  },
  {
    name: "nobody at the address",
    healthy: { baseURL: () => "http://127.0.0.1:9/v1" },
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /connection refused|no connection|connection/,
    exitCode: 10,
  },
  {
    name: "a host name that nobody knows",
    healthy: { baseURL: () => "https://broker.invalid/v1" },
    arrange: () => {
      const real = stage.fetch;
      const unknown = Object.assign(new TypeError("fetch failed"), {
        cause: Object.assign(new Error(), { code: "ENOTFOUND" }),
      });
      stage.fetch = (input, init) => (String(input).includes(".invalid") ? Promise.reject(unknown) : real(input, init));
    },
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /DNS: the host name is not known/,
    exitCode: 10,
  },
  {
    name: "an expired certificate",
    healthy: { baseURL: () => "https://broker.invalid/v1" },
    arrange: () => {
      const expired = Object.assign(new TypeError("fetch failed"), {
        cause: Object.assign(new Error(), { code: "CERT_HAS_EXPIRED" }),
      });
      stage.fetch = () => Promise.reject(expired);
    },
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /TLS certificate has expired/,
    exitCode: 10,
  },
  {
    name: "plain http to another computer",
    healthy: { baseURL: () => "http://broker.invalid/v1" },
    check: `${LIST}.reach`,
    code: "insecure_url",
    says: /plain http/,
    exitCode: 17,
  },
  {
    name: "no models now",
    healthy: { sandboxOptions: { broker: { modelList: "empty" } } },
    check: LIST,
    code: "no_models",
    says: /no models are listed now/,
    exitCode: 0,
  },
  {
    name: "a config that is not TOML",
    arrange: () => stage.writeConfig("[[llm.providers]\n"),
    check: "config.parse",
    code: "config_invalid",
    says: /config\.toml:1: is not valid TOML/,
    exitCode: 17,
  },
  {
    name: "a config with a faulty record",
    arrange: () => stage.writeConfig('[[llm.providers]]\ntype = "compatible"\nbase_url = "nowhere"\n'),
    check: "config.parse",
    code: "config_invalid",
    says: /2 faults|faults/,
    exitCode: 17,
  },
  {
    name: "a config in the form of old Zeph versions",
    arrange: async () => {
      const text = (await readFile(stage.configPath, "utf8")).replace("[[llm.providers]]", "[[llm.compatible]]");
      await stage.writeConfig(text.replace('type = "compatible"\n', "").replace("default = true\n", ""));
    },
    check: "config.parse",
    code: "config_invalid",
    says: /form of old Zeph versions/,
    exitCode: 17,
    mend: follow,
  },
  {
    name: "no config at all",
    arrange: () => rm(stage.configPath),
    check: "llm.provider",
    code: "config_not_found",
    says: /no provider is configured/,
    exitCode: 17,
  },
  {
    name: "a default provider of another program",
    arrange: () => stage.writeConfig('[[llm.providers]]\ntype = "ollama"\nname = "local"\n'),
    check: "llm.provider",
    code: "provider_not_supported",
    says: /ollama/,
    exitCode: 17,
  },
  {
    name: "a vault file that was cut",
    arrange: async () => {
      const path = join(stage.home, ".config/zeph/secrets.age");
      await writeFile(path, (await readFile(path)).subarray(0, 220), { mode: 0o600 });
    },
    check: "vault.open",
    code: "vault_unreadable",
    says: /vault/,
    exitCode: 17,
  },
  {
    name: "a key file of another vault",
    arrange: async () => {
      const other = await newStage();
      await other.store("X", "y");
      await writeFile(
        join(stage.home, ".config/zeph/vault-key.txt"),
        await readFile(join(other.home, ".config/zeph/vault-key.txt")),
      );
      await other.clear();
    },
    check: "vault.open",
    code: "vault_unreadable",
    says: /vault/,
    exitCode: 17,
  },
  {
    name: "a vault without its key file",
    arrange: () => rm(join(stage.home, ".config/zeph/vault-key.txt")),
    check: `${LIST}.key`,
    code: "secret_missing",
    says: new RegExp(KEY),
    exitCode: 17,
  },
  {
    name: "a vault that others can read",
    arrange: () => chmod(join(stage.home, ".config/zeph/secrets.age"), 0o644),
    check: "vault.file_mode",
    code: "vault_permissions",
    says: /mode 644/,
    exitCode: 17,
    chat: { exitCode: 0, because: "an open secret file is a danger, not an obstacle" },
    mend: async (hint) => {
      const [, mode = "", path = ""] = /chmod (\d+) (\S+)/.exec(hint) ?? [];
      await chmod(path, Number.parseInt(mode, 8));
    },
  },
  {
    name: "a key file that others can read",
    arrange: () => chmod(join(stage.home, ".config/zeph/vault-key.txt"), 0o640),
    check: "vault.key_mode",
    code: "vault_permissions",
    says: /mode 640/,
    exitCode: 17,
    chat: { exitCode: 0, because: "an open secret file is a danger, not an obstacle" },
    mend: () => stage.run("doctor --fix --yes"),
  },
  {
    name: "a key in the config",
    arrange: () => addInlineKey(),
    check: "config.warnings",
    says: /api_key holds a key in plain text/,
    exitCode: 0,
  },
  {
    name: "a key in a config that others can read",
    arrange: async () => {
      await addInlineKey();
      await chmod(stage.configPath, 0o644);
    },
    check: "config.file_mode",
    code: "vault_permissions",
    says: /holds a key and has mode 644/,
    exitCode: 17,
    chat: { exitCode: 0, because: "an open secret file is a danger, not an obstacle" },
    mend: () => stage.run("doctor --fix --yes"),
  },
  {
    name: "a key in the config beside a vault that does not open",
    arrange: async () => {
      await addInlineKey();
      await writeFile(join(stage.home, ".config/zeph/secrets.age"), "damaged");
    },
    check: "vault.open",
    code: "vault_unreadable",
    says: /no chat needs it now/,
    exitCode: 0,
  },
  {
    name: "a checked-out config file that would send the key elsewhere",
    arrange: () =>
      writeFile(
        join(stage.home, "config.toml"),
        `[[llm.providers]]\ntype = "compatible"\nname = "${NAME}"\nbase_url = "https://elsewhere.invalid/v1"\n`,
      ),
    check: "config.warnings",
    says: /not trusted.*base_url of provider "gonkagate"/,
    exitCode: 0,
  },
  {
    name: "a vault backend that nobody knows",
    arrange: () => {
      stage.env.ZEPH_VAULT_BACKEND = "keychain";
    },
    check: "config.parse",
    code: "vault_backend_unknown",
    says: /keychain/,
    exitCode: 17,
  },
  {
    name: "a clock 90 s off, which signs nothing",
    arrange: () => {
      stage.clockOffsetMs = 90_000;
    },
    check: "clock.skew",
    code: "clock_skew",
    says: /(?:89|90|91) s ahead/,
    exitCode: 0,
  },
  {
    name: "a second broker that is dead",
    healthy: {
      more: '[[llm.providers]]\ntype = "compatible"\nname = "spare"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\napi_key_env = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"\n',
    },
    check: "llm.spare.reach",
    code: "unreachable",
    says: /a chat would not use spare now/,
    exitCode: 0,
  },
  {
    name: "a dead broker with a fallback that is for another program",
    healthy: { baseURL: () => "http://127.0.0.1:9/v1" },
    arrange: () => fallBackTo(["local"], '[[llm.providers]]\ntype = "ollama"\nname = "local"\n'),
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /connection/,
    exitCode: 10,
  },
  {
    name: "a dead broker with a fallback that has no model, and one that lives",
    healthy: { baseURL: () => "http://127.0.0.1:9/v1" },
    arrange: () => fallBackTo(["bare", "spare"], spare("bare", "") + spare("spare", `model = "${MODEL}"`)),
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /a chat would go on with spare/,
    exitCode: 0,
  },
  {
    name: "a broker of the user's own that says too little",
    healthy: { more: '[[brokers]]\nid = "mine"\n' },
    check: `${LIST}.key`,
    code: "config_invalid",
    says: /mine/,
    exitCode: 17,
  },
  {
    name: "a context window of one token, which leaves room for one",
    healthy: { more: "context_length = 1\n" },
    check: `${LIST}.model`,
    says: /sandbox\/echo-1/,
    exitCode: 0,
  },
  {
    name: "a daily limit that is used up",
    healthy: { more: "[cost]\nenabled = true\nmax_daily_cents = 10\n" },
    arrange: () => spend(0.11),
    check: "cost.daily_limit",
    code: "budget_reached",
    says: /11\.0 of 10 cents are spent today/,
    exitCode: 14,
  },
  {
    name: "a daily limit that is not used up",
    healthy: { more: "[cost]\nenabled = true\nmax_daily_cents = 10\n" },
    arrange: () => spend(0.09),
    check: "cost.daily_limit",
    says: /9\.0 of 10 cents are spent today/,
    exitCode: 0,
  },
  {
    name: "a dead broker with a fallback that lives",
    healthy: {
      baseURL: () => "http://127.0.0.1:9/v1",
      more: "",
    },
    arrange: async () => {
      const { baseURL } = sandbox.broker;
      const more = `\n[[llm.providers]]\ntype = "compatible"\nname = "spare"\nbase_url = "${baseURL}"\nmodel = "${MODEL}"\napi_key_env = "${KEY}"\n\n[llm]\nfallback = ["spare"]\n`;
      await stage.writeConfig((await readFile(stage.configPath, "utf8")) + more);
    },
    check: `${LIST}.reach`,
    code: "unreachable",
    says: /a chat would go on with spare/,
    exitCode: 0,
  },
];

describe("zeph doctor and a broker", () => {
  it("passes everything that is well", async () => {
    await setUp();
    const report = await doctorJson(stage);
    expect(report).toMatchObject({ exitCode: 0, schema_version: 1, failures: 0 });
    // What zeph knows about a broker grows old by itself.
    expect(report.checks.filter(({ status, name }) => status !== "ok" && name !== `${LIST}.facts`)).toEqual([]);
    expect(report.served_by).toBe(NAME);
    expect((await stage.chat()).exitCode).toBe(0);
  });

  it.each(SITUATIONS)("names the cause: $name", async (situation) => {
    await setUp(situation.healthy);
    await situation.arrange?.();
    const report = await doctorJson(stage);
    const found = checkOf(report, situation.check);
    expect(found.detail).toMatch(situation.says);
    expect(found.code).toBe(situation.code);
    expect(report.exitCode).toBe(situation.exitCode);
    expect(report.exit_code).toBe(situation.exitCode);
    expect(report.overall === "fail").toBe(situation.exitCode !== 0);
    if (found.status === "fail") expect(found.hint).toMatch(/\S/);
    expect(sandbox.broker.requests.filter(({ method }) => method !== "GET")).toEqual([]);
    for (const secret of stage.secrets) expect(JSON.stringify(report)).not.toContain(secret);

    expect(await stage.chat()).toMatchObject({ exitCode: situation.chat?.exitCode ?? situation.exitCode });
    if (situation.mend === undefined) return;
    await situation.mend(found.hint ?? "");
    const mended = await doctorJson(stage);
    expect(mended.checks.filter(({ status }) => status === "fail")).toEqual([]);
    expect(mended.exitCode).toBe(0);
    expect((await stage.chat()).exitCode).toBe(0);
  });

  it("takes a provider that is named for the only one, as a chat does", async () => {
    await setUp({ baseURL: () => "http://127.0.0.1:9/v1" });
    await fallBackTo(["spare"], spare("spare", `model = "${MODEL}"`));
    expect((await doctorJson(stage)).exitCode).toBe(0);
    const report = await doctorJson(stage, `--provider ${NAME}`);
    expect(report).toMatchObject({ exitCode: 10, served_by: null });
    expect(checkOf(report, "llm.provider").detail).not.toContain("then spare");
    expect((await stage.run(`ask hello --provider ${NAME}`)).exitCode).toBe(10);
  });

  it("asks with the key, on the right path, and costs nothing (B15, B44)", async () => {
    await setUp();
    await doctorJson(stage);
    expect(sandbox.broker.requests.map(({ method, path, key }) => `${method} ${path} ${key}`).sort()).toEqual([
      "GET /api/v1/whoami good",
      "GET /v1/models good",
    ]);
  });

  it("warns when what it knows about the broker has grown old", async () => {
    await setUp();
    stage.clockOffsetMs = 5 * 365 * 24 * 3_600_000;
    const found = checkOf(await doctorJson(stage), `${LIST}.facts`);
    expect(found).toMatchObject({ status: "warn", detail: expect.stringMatching(/GonkaGate is \d{4} days old/) });
  });

  it("sends one tiny request with --smoke", async () => {
    await setUp();
    const report = await doctorJson(stage, "--smoke");
    expect(checkOf(report, `${LIST}.smoke`)).toMatchObject({ status: "ok" });
    const posts = sandbox.broker.requests.filter(({ method }) => method === "POST");
    expect(posts.map(({ path, model }) => `${path} ${model}`)).toEqual([`/v1/chat/completions ${MODEL}`]);
  });

  it("reports a billing refusal of the paid probe as such", async () => {
    await setUp({ key: "outOfMoney" });
    // Without the broker's record nobody tells the balance beforehand.
    await stage.writeConfig((await readFile(stage.configPath, "utf8")).replace(/\[\[brokers\]\][\s\S]*/, ""));
    const free = await doctorJson(stage);
    expect(checkOf(free, `${LIST}.credit`)).toMatchObject({ status: "ok", detail: expect.stringContaining("--smoke") });
    expect(free).toMatchObject({ overall: "ok", warnings: 0 });
    const paid = await doctorJson(stage, "--smoke");
    expect(checkOf(paid, `${LIST}.smoke`)).toMatchObject({ status: "fail", code: "insufficient_quota" });
    expect(paid.exitCode).toBe(14);
  });

  it("sends no paid probe when something else is broken", async () => {
    await setUp({ key: "wrong" });
    const report = await doctorJson(stage, "--smoke");
    expect(checkOf(report, `${LIST}.smoke`).detail).toBe(`skipped: ${LIST} failed`);
    expect(sandbox.broker.requests.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("ends within its deadline when the broker hangs", async () => {
    await setUp();
    sandbox.broker.faults.always({ kind: "hang" });
    const startedAtMs = performance.now();
    const report = await doctorJson(stage, "--timeout-secs 0.5");
    expect(performance.now() - startedAtMs).toBeLessThan(12_000);
    expect(checkOf(report, `${LIST}.reach`)).toMatchObject({ status: "fail", code: "timeout_headers" });
    expect(checkOf(report, LIST).detail).toBe(`skipped: ${LIST}.reach failed`);
    expect(report.exitCode).toBe(10);
  });

  it("warns where prices are unknown and a daily limit should count them", async () => {
    await setUp({
      sandboxOptions: { broker: { modelList: "bare" } },
      more: "[cost]\nenabled = true\nmax_daily_cents = 100\n",
    });
    expect(checkOf(await doctorJson(stage), `${LIST}.price`).detail).toMatch(/\$[\d.]+ per 1M tokens/);
    await stage.writeConfig((await readFile(stage.configPath, "utf8")).replace(/\[\[brokers\]\][\s\S]*/, ""));
    const report = await doctorJson(stage);
    expect(checkOf(report, `${LIST}.price`)).toMatchObject({ status: "warn", code: "pricing_unavailable" });
    expect(report.exitCode).toBe(0);
    expect((await doctorJson(stage, "--strict")).exitCode).toBe(13);
  });

  it("offers the change and makes it only after a yes", async () => {
    await setUp({ model: "Sandbox/Echo-1" });
    const before = await readFile(stage.configPath, "utf8");
    const refused = await stage.run("doctor --fix");
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain("set model of gonkagate to sandbox/echo-1");
    expect(await readFile(stage.configPath, "utf8")).toBe(before);
    const { exitCode, stderr } = await stage.run("doctor --fix --yes");
    expect(stderr).toContain("is sandbox/echo-1 now");
    expect(exitCode).toBe(0);
    expect(await readFile(stage.configPath, "utf8")).toBe(before.replace("Sandbox/Echo-1", MODEL));
  });

  it("writes a bundle without secrets", async () => {
    await setUp({ key: "wrong", more: '[gateway]\nauth_token = "planted-token-1234567"\n' });
    stage.env.ZEPH_GONKA_PRIVATE_KEY = "cd".repeat(32);
    const file = join(stage.home, "bundle.json");
    await stage.run(`doctor --bundle ${file}`);
    const text = await readFile(file, "utf8");
    const bundle = JSON.parse(text) as { report: { schema_version: number }; variables: string[]; settings: string[] };
    expect(bundle.report.schema_version).toBe(1);
    expect(bundle.variables).toEqual(["ZEPH_GONKA_PRIVATE_KEY"]);
    expect(bundle.settings.length).toBeGreaterThan(5);
    for (const secret of [...stage.secrets, "cd".repeat(32), "planted-token-1234567", stage.home]) {
      expect(text).not.toContain(secret);
    }
  });

  it("prints lines of at most 80 columns, without colour on what is no terminal", async () => {
    await setUp({ key: "wrong" });
    const { stdout, exitCode } = await stage.run("doctor");
    expect(exitCode).toBe(11);
    expect(stdout).toMatch(/^\[OK {2}\] node\.version {27,}\(\d+ ms\) Node /);
    expect(stdout).toMatch(/\[FAIL\] llm\.gonkagate {23} {4}\s*\(\d+ ms\)/);
    expect(stdout).toMatch(/\n\d check\(s\) failed, \d warning\(s\)\.\n$/);
    expect(stdout).not.toContain("\u001b");
    const wide = stdout.split("\n").filter((line) => line.length > 80 && line.trim().includes(" "));
    expect(wide).toEqual([]);
  });
});

describe("a server that repeats what it was sent", () => {
  let server: Server;
  afterEach(() => server.close());

  it("cannot make the doctor print the key", async () => {
    server = createServer((request, response) => {
      const { authorization } = request.headers;
      response.writeHead(401, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { message: `who is ${authorization?.slice(7)}?`, code: "nope" } }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await setUp({ baseURL: () => `http://127.0.0.1:${port}/v1` });
    await stage.store(KEY, "an-odd-key-of-no-known-shape");
    const report = await doctorJson(stage);
    expect(checkOf(report, LIST).detail).toContain("who is [redacted]?");
    expect(JSON.stringify(report)).not.toContain("odd-key");
    expect((await stage.run("doctor")).stdout).not.toContain("odd-key");
  });
});
