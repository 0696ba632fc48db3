import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../../test/support/cli-context.ts";
import { runModels, runProviders } from "./providers.ts";

describe("providers", () => {
  let homeDir: string;

  beforeEach(async () => {
    homeDir = await mkdtemp(join(tmpdir(), "zeph-home-"));
  });

  async function run(config: string | undefined, flags = {}, json = false) {
    if (config !== undefined) {
      const path = join(homeDir, ".config", "zeph", "config.toml");
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, config);
    }
    const cli = testCli({ homeDir, json });
    const exitCode = await runProviders(cli.context, flags);
    return { exitCode, stdout: cli.stdout(), stderr: cli.stderr() };
  }

  const CONFIG = `
[[llm.providers]]
type = "ollama"
model = "x"

[[llm.providers]]
type = "compatible"
name = "mine"
base_url = "https://api.gonkagate.com/v1?key=planted"
model = "example/model-a"
default = true

[[llm.providers]]
type = "gonka"
name = "gonka"
gonka_nodes = [
  { url = "https://a.example/v1", address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6" },
  { url = "https://b.example/v1", address = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6" },
]

[[brokers]]
id = "gonkagate"
signup_url = "https://other.example/register"

[[brokers]]
id = "own"
base_url = "https://own.example/v1"
`;

  describe("zeph providers", () => {
    it("lists what is configured and marks the default", async () => {
      const { exitCode, stdout } = await run(CONFIG);
      expect(exitCode).toBe(0);
      expect(stdout.split("\n").map((line) => line.trimEnd())).toEqual([
        "  name    type        model            endpoint",
        "  ollama  ollama      not run by zeph",
        "● mine    compatible  example/model-a  https://api.gonkagate.com/v1",
        "  gonka   gonka       no model yet     https://a.example/v1 and 1 more",
        "",
      ]);
    });

    it("gives JSON with the broker and the name of the secret", async () => {
      const { stdout } = await run(CONFIG, {}, true);
      const { data } = JSON.parse(stdout);
      expect(data.default).toBe("mine");
      expect(data.providers[1]).toEqual({
        name: "mine",
        type: "compatible",
        default: true,
        runnable: true,
        model: "example/model-a",
        broker: "gonkagate",
        endpoints: ["https://api.gonkagate.com/v1"],
        secret: "ZEPH_COMPATIBLE_MINE_API_KEY",
      });
      expect(stdout).not.toContain("planted");
    });

    it("refuses a node address with one wrong character", async () => {
      await expect(run(CONFIG.replace("gsyg6", "gsyg7"))).rejects.toMatchObject({
        code: "config_invalid",
        detail: expect.stringContaining('provider "gonka", gonka_nodes[1].address is not a valid address'),
      });
    });

    it("says what to do when there is none", async () => {
      const { exitCode, stdout, stderr } = await run(undefined);
      expect([exitCode, stdout]).toEqual([0, ""]);
      expect(stderr).toContain("zeph init");
    });

    it("lists brokers with their sign-up pages, the user's own among them", async () => {
      const { stdout } = await run(CONFIG, { brokers: true });
      expect(stdout.startsWith("gonkagate  GonkaGate (as published 2026-07-07)\n")).toBe(true);
      expect(stdout).toContain("get a key: https://other.example/register");
      expect(stdout).toContain("own  own (your config)\n  https://own.example/v1\n");
      expect(stdout).not.toContain("custom");
    });

    it("lists brokers as JSON", async () => {
      const { data } = JSON.parse((await run(undefined, { brokers: true }, true)).stdout);
      expect(data.brokers).toHaveLength(13);
      expect(data.brokers[0]).toMatchObject({ id: "gonkagate", signupUrl: "https://gonkagate.com/en/register" });
    });
  });
});

describe("models", () => {
  const LIST = {
    data: [
      {
        id: "example/model-a",
        context_length: 128_000,
        pricing: { prompt: 0.22, completion: 0.44 },
        supports_tools: true,
      },
      { id: "example/model-b", supports_tools: false },
      { id: "example/a-model-with-a-long-name" },
      { id: "example/embed-1" },
    ],
  };

  async function models(columns: number): Promise<string> {
    const homeDir = await mkdtemp(join(tmpdir(), "zeph-models-"));
    await mkdir(join(homeDir, ".config", "zeph"), { recursive: true });
    await writeFile(
      join(homeDir, ".config", "zeph", "config.toml"),
      '[[llm.providers]]\ntype = "compatible"\nname = "a"\nbase_url = "https://a.example/v1"\napi_key = "k-planted"\nmodel = "example/model-a"\n',
    );
    const cli = testCli({ homeDir, fetch: () => Promise.resolve(Response.json(LIST)) });
    Object.assign(cli.context.stdout, { columns });
    await runModels(cli.context, {});
    return cli.stdout();
  }

  it("shows a table with a name for every column", async () => {
    const [head = "", ...rows] = (await models(100)).trimEnd().split("\n");
    expect(head.trim().split(/ {2,}/)).toEqual(["model", "context", "in $/1M", "out $/1M", "kind"]);
    expect(rows.map((row) => row.trim().split(/ {2,}/).at(-1))).toEqual([
      "chat, tools",
      "chat, no tools",
      "chat",
      "embedding",
    ]);
  });

  it("puts the facts under the name where the table is too wide", async () => {
    const text = await models(40);
    expect(text).toContain("● example/model-a\n    128K context · $0.22 in, $0.44 out per 1M · chat, tools\n");
    expect(text).toContain("  example/embed-1\n    ? context · $? in, $? out per 1M · embedding\n");
  });
});
