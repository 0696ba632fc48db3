import { parse as parseToml } from "smol-toml";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { type AgentRun, agentEnvironment, CODING_AGENTS, limits } from "./agents.ts";

const run: AgentRun = {
  url: "http://127.0.0.1:4711",
  key: "sk-run-0123456789",
  model: { id: "Qwen/Q-3", contextTokens: 200_000, outputTokens: 16_000 },
  folder: "/tmp/zeph-run",
};
const start = (id: string, more: Partial<AgentRun> = {}) => {
  const agent = CODING_AGENTS.find((each) => each.id === id);
  if (agent === undefined) throw new Error(`no agent ${id}`);
  return agent.start({ ...run, ...more });
};
const fileOf = (id: string) => start(id).files[0]?.text ?? "";

describe.each(CODING_AGENTS.map((agent) => [agent.name, agent] as const))("%s", (_, agent) => {
  it("gets the address, the model and the key, the key never as an argument", () => {
    const { args, env, files } = agent.start(run);
    const everything = JSON.stringify([args, env, files]);
    expect(everything).toContain("127.0.0.1:4711");
    expect(everything).toContain("Qwen/Q-3");
    expect(everything).toContain(run.key);
    expect(JSON.stringify(args)).not.toContain(run.key);
  });

  it("finds every file in the folder of the run", () => {
    const { args, env, files } = agent.start(run);
    const said = JSON.stringify([args, env]);
    for (const { name } of files)
      expect(said.includes(`${run.folder}/${name}`) || said.includes(run.folder)).toBe(true);
    expect(files.every(({ name }) => !name.startsWith("/") && !name.includes(".."))).toBe(true);
  });

  it("has an id, a program and a way to be installed", () => {
    expect(agent.id).toMatch(/^[a-z]+$/);
    expect(agent.install).toMatch(/^(?:npm install -g|python -m pip install) /);
  });
});

it("ids are different", () => {
  expect(new Set(CODING_AGENTS.map(({ id }) => id)).size).toBe(CODING_AGENTS.length);
});

describe("what each is told", () => {
  it("Claude Code: the address without /v1, the window, and settings that win over the user's own", () => {
    const { env, args } = start("claude");
    expect(env).toMatchObject({
      ANTHROPIC_BASE_URL: "http://127.0.0.1:4711",
      ANTHROPIC_API_KEY: "",
      ANTHROPIC_DEFAULT_HAIKU_MODEL: "Qwen/Q-3",
      CLAUDE_CODE_AUTO_COMPACT_WINDOW: "200000",
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "16000",
      CLAUDE_CODE_USE_BEDROCK: undefined,
    });
    expect(args).toEqual(["--settings", "/tmp/zeph-run/claude.json"]);
    expect(JSON.parse(fileOf("claude"))).toMatchObject({ model: "Qwen/Q-3", env: { ANTHROPIC_AUTH_TOKEN: run.key } });
  });

  it("Codex: settings that are TOML", () => {
    const settings = start("codex").args.filter((arg) => arg !== "-c");
    expect(parseToml(settings.join("\n"))).toEqual({
      model_provider: "zeph",
      model: "Qwen/Q-3",
      model_context_window: 200_000,
      model_providers: {
        zeph: {
          name: "zeph",
          base_url: "http://127.0.0.1:4711/v1",
          wire_api: "responses",
          env_key: "ZEPH_LAUNCH_KEY",
        },
      },
    });
    expect(start("codex", { model: { id: "m" } }).args.join(" ")).not.toContain("model_context_window");
  });

  it.each([
    ["opencode", "OPENCODE_CONFIG_CONTENT"],
    ["kilo", "KILO_CONFIG_CONTENT"],
  ])("%s: settings in %s, the key by its variable", (id, variable) => {
    const { env } = start(id);
    expect(JSON.parse(env[variable] ?? "")).toMatchObject({
      model: "zeph/Qwen/Q-3",
      provider: {
        zeph: {
          options: { baseURL: "http://127.0.0.1:4711/v1", apiKey: "{env:ZEPH_LAUNCH_KEY}" },
          models: { "Qwen/Q-3": { limit: { context: 200_000, output: 16_000 } } },
        },
      },
    });
  });

  it("Continue: a file that is YAML, the key by its variable", () => {
    expect(parseYaml(fileOf("continue"))).toMatchObject({
      schema: "v1",
      models: [{ provider: "openai", apiKey: `\${{ secrets.ZEPH_LAUNCH_KEY }}`, capabilities: ["tool_use"] }],
    });
  });

  it("pi: an extension that registers the provider", async () => {
    const { env, args } = start("pi");
    expect(args).toEqual(["-e", "/tmp/zeph-run/zeph.js", "--model", "zeph/Qwen/Q-3"]);
    const module = await import(`data:text/javascript,${encodeURIComponent(fileOf("pi"))}`);
    const seen: unknown[] = [];
    const before = { ...process.env };
    Object.assign(process.env, env);
    try {
      module.default({ registerProvider: (...given: unknown[]) => seen.push(...given) });
    } finally {
      process.env = before;
    }
    expect(seen).toMatchObject([
      "zeph",
      { apiKey: run.key, baseUrl: "http://127.0.0.1:4711/v1", models: [{ id: "Qwen/Q-3", contextWindow: 200_000 }] },
    ]);
  });
});

describe("limits", () => {
  it.each([
    [{ id: "m" }, 131_072, 8192],
    [{ id: "m", contextTokens: 10_000 }, 10_000, 5000],
    [{ id: "m", contextTokens: 32_000, outputTokens: 32_000 }, 32_000, 16_000],
  ])("%j", (model, context, output) => {
    expect(limits(model)).toEqual({ context, output });
  });
});

describe("the environment", () => {
  it("keeps the user's own, takes away what would lead elsewhere, and keeps loopback off proxies", () => {
    const user = { PATH: "/bin", CLAUDE_CODE_USE_BEDROCK: "1", HTTPS_PROXY: "http://p.test", no_proxy: "x.test" };
    const env = agentEnvironment(user, start("claude"));
    expect(env).toMatchObject({ PATH: "/bin", HTTPS_PROXY: "http://p.test", NO_PROXY: "127.0.0.1,localhost,x.test" });
    expect(env).not.toHaveProperty("CLAUDE_CODE_USE_BEDROCK");
  });
});
