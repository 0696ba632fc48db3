import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { type CliContextOptions, testCli } from "../../../test/support/cli-context.ts";
import { zephFolders } from "../../config/paths.ts";
import { vaultPaths } from "../../vault/index.ts";
import type { RunCommand } from "../context.ts";
import { runConfigPath, runConfigSet, runConfigShow } from "./config.ts";

let homeDir: string;
let path: string;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-home-"));
  path = join(homeDir, ".config", "zeph", "config.toml");
});

const RECORD = `# mine
[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
model = "example/model-a" # good
api_key = "gp-planted-7f3a9c"
`;

async function given(text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

async function run<Flags>(command: RunCommand<Flags>, flags: Flags, options: Omit<CliContextOptions, "homeDir"> = {}) {
  const cli = testCli({ homeDir, ...options });
  const exitCode = await command(cli.context, flags);
  return { exitCode, stdout: cli.stdout(), stderr: cli.stderr() };
}

describe("zeph config show", () => {
  it("shows what is in force, and where it comes from when asked", async () => {
    await given(RECORD);
    const env = { ZEPH_LLM_MODEL: "example/model-b" };
    const { stdout } = await run(runConfigShow, { origin: true }, { env });
    expect(stdout).toMatch(/^llm\.providers\.gonkagate\.model = "example\/model-b" +# env ZEPH_LLM_MODEL$/m);
    expect(stdout).toContain(`# file ${path}:5\n`);
    expect(stdout).toMatch(/^timeouts\.llm_seconds = 120 +# default$/m);
    expect((await run(runConfigShow, {}, { env })).stdout).not.toContain("#");
  });

  it("never shows a key", async () => {
    await given(RECORD);
    for (const json of [false, true]) {
      const { stdout, stderr } = await run(runConfigShow, { origin: true }, { json });
      expect(stdout + stderr).not.toContain("planted");
      expect(stdout).toContain("[redacted]");
    }
  });

  it("warns on standard error", async () => {
    await given(RECORD);
    expect((await run(runConfigShow, {})).stderr).toMatch(/api_key holds a key in plain text.*config\.toml:7/);
  });

  it("gives one JSON object", async () => {
    await given(RECORD);
    const { stdout, stderr } = await run(runConfigShow, {}, { json: true });
    const { ok, data } = JSON.parse(stdout);
    expect(ok).toBe(true);
    expect(data).toMatchObject({
      files: [{ path, role: "user" }],
      vaultBackend: { backend: "env", origin: "default" },
      warnings: [{ kind: "inline_key" }],
    });
    expect(data.settings).toContainEqual({
      key: "llm.providers.gonkagate.model",
      value: "example/model-a",
      origin: `file ${path}:6`,
    });
    expect(stderr).toBe("");
  });

  it("works before there is a file", async () => {
    const { exitCode, stderr } = await run(runConfigShow, {});
    expect(exitCode).toBe(0);
    expect(stderr).toContain("zeph init");
  });
});

describe("zeph config path", () => {
  it("names the file to edit, and nothing else on standard output", async () => {
    const before = await run(runConfigPath, {});
    expect(before.stdout).toBe(`${path}\n`);
    expect(before.stderr).toContain("does not exist yet");
    await given("[llm\n");
    expect(await run(runConfigPath, {})).toEqual({ exitCode: 0, stdout: `${path}\n`, stderr: "" });
  });

  it("tells of a project file above it", async () => {
    await given(RECORD);
    const project = join(homeDir, "config.toml");
    await writeFile(project, "[llm]\n");
    expect((await run(runConfigPath, {})).stderr).toBe(`Also read, above it: ${project}\n`);
  });

  it("lies beside the vault", () => {
    const context = { env: {}, homeDir, platform: process.platform };
    expect(dirname(vaultPaths(context).vaultFile)).toBe(zephFolders(context).config);
  });
});

describe("zeph config set", () => {
  it("changes the model in place and keeps a backup", async () => {
    await given(RECORD);
    const { exitCode, stderr } = await run(runConfigSet, { key: "model", value: "example/model-c" });
    expect([exitCode, stderr]).toEqual([0, `${path} is changed.\n`]);
    expect(await readFile(path, "utf8")).toBe(RECORD.replace("model-a", "model-c"));
    expect((await readdir(dirname(path))).filter((name) => name.endsWith(".bak"))).toHaveLength(1);
  });

  it("looks the model up: writes the list's spelling, warns and writes all the same, says nothing without a list", async () => {
    await given(RECORD);
    const list = { data: [{ id: "example/Model-A" }, { id: "example/model-b" }, { id: "example/embed-1" }] };
    const fetch = () => Promise.resolve(Response.json(list));
    const set = (value: string) => run(runConfigSet, { key: "model", value }, { fetch });
    expect((await set("EXAMPLE/model-a")).stderr).toContain("The list spells it example/Model-A");
    expect(await readFile(path, "utf8")).toBe(RECORD.replace("model-a", "Model-A"));
    const { exitCode, stderr } = await set("example/model-x");
    expect([exitCode, stderr]).toEqual([
      0,
      `${path} is changed.\n! gonkagate does not list example/model-x now. Nearest: example/Model-A, example/model-b.\n`,
    ]);
    expect(await readFile(path, "utf8")).toContain('model = "example/model-x"');
    expect((await set("embed-1")).stderr).toContain("a chat needs another model");
  });

  it("changes the default provider", async () => {
    await given(
      `${RECORD}\n[[llm.providers]]\ntype = "gonka"\nname = "gonka"\ngonka_source_url = "https://n.example"\n`,
    );
    await run(runConfigSet, { key: "provider", value: "gonka" });
    expect(await readFile(path, "utf8")).toMatch(/gonka_source_url = .*\ndefault = true\n$/);
  });

  it("refuses what it does not know, and what is not there", async () => {
    await expect(run(runConfigSet, { key: "model", value: "m" })).rejects.toMatchObject({ code: "config_not_found" });
    await given(RECORD);
    await expect(run(runConfigSet, { key: "colour", value: "red" })).rejects.toMatchObject({ code: "usage" });
    await expect(run(runConfigSet, { key: "provider", value: "x" })).rejects.toMatchObject({
      code: "provider_not_found",
    });
    expect(await readFile(path, "utf8")).toBe(RECORD);
  });
});
