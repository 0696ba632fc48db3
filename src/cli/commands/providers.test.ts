import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../../test/support/cli-context.ts";
import { runProviders } from "./providers.ts";

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
