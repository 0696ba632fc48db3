import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type CliContextOptions, testCli } from "../../../test/support/cli-context.ts";
import type { RunCommand } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { vaultPaths } from "../../vault/files.ts";
import type { Flags } from "../command-table.ts";
import { runConfigMigrate, runConfigPath, runConfigSet, runConfigShow, unifiedDiff } from "./config.ts";

describe("config", () => {
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

  async function run<Flags>(
    command: RunCommand<Flags>,
    flags: Flags,
    options: Omit<CliContextOptions, "homeDir"> = {},
  ) {
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
});

describe("config migrate", () => {
  let homeDir: string;
  let path: string;

  const OLD = `# mine
[llm]
provider = "compatible"

[[llm.compatible]]
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
api_key = "planted-secret-value"
[timeouts]
[cost]
[vault]
[session]
`;

  beforeEach(async () => {
    homeDir = await mkdtemp(join(tmpdir(), "zeph-migrate-"));
    path = join(homeDir, ".config", "zeph", "config.toml");
    await mkdir(dirname(path), { recursive: true });
  });

  async function run(flags: Flags<"config migrate"> = {}, json = false) {
    const cli = testCli({ homeDir, json });
    const exitCode = await runConfigMigrate(cli.context, flags);
    return { exitCode, stdout: cli.stdout(), stderr: cli.stderr() };
  }

  describe("zeph config migrate", () => {
    it("prints the result, keys masked, and writes nothing", async () => {
      await writeFile(path, OLD);
      const { stdout, stderr } = await run();
      expect(stdout).toContain('[[llm.providers]]\ntype = "compatible"\n');
      expect(stdout).not.toContain("planted");
      expect(stderr).toContain("zeph config migrate --in-place");
      expect(await readFile(path, "utf8")).toBe(OLD);
    });

    it("prints the difference", async () => {
      await writeFile(path, OLD);
      const { stdout } = await run({ diff: true });
      expect(stdout).toMatch(/^@@ -1,\d+ \+1,\d+ @@$/m);
      expect(stdout).toContain("-[[llm.compatible]]\n+[[llm.providers]]\n");
      expect(stdout).not.toContain("planted");
      expect(stdout).not.toContain("[session]");
    });

    it("writes the file with everything in it, and keeps the old one", async () => {
      await writeFile(path, OLD);
      const { stderr, exitCode } = await run({ inPlace: true });
      expect(exitCode).toBe(0);
      expect(stderr).toMatch(/- the form of old Zeph versions became/);
      const text = await readFile(path, "utf8");
      expect(text).toContain('api_key = "planted-secret-value"');
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      const [backup = ""] = (await readdir(dirname(path))).filter((name) => name.endsWith(".bak"));
      expect(await readFile(join(dirname(path), backup), "utf8")).toBe(OLD);
      expect((await run({ inPlace: true })).stderr).toBe(`${path} is up to date.\n`);
      expect(await readFile(path, "utf8")).toBe(text);
    });

    it("tells in JSON what it would do", async () => {
      await writeFile(path, OLD);
      const { data } = JSON.parse((await run({ diff: true }, true)).stdout) as { data: Record<string, unknown> };
      expect(data).toMatchObject({
        path,
        changed: true,
        changes: [{ rule: "legacy_form" }, { rule: "inline_key" }],
        diff: expect.stringContaining("+[[llm.providers]]"),
      });
    });

    it("says when there is nothing to migrate", async () => {
      await expect(run()).rejects.toMatchObject({ code: "config_not_found" });
    });
  });
});

describe("unifiedDiff", () => {
  it("is empty for equal texts", () => {
    expect(unifiedDiff("a\nb\n", "a\nb\n")).toBe("");
  });

  it("shows a change with three lines around it", () => {
    const before = ["1", "2", "3", "4", "5", "6", "7", "8", "9", ""].join("\n");
    expect(unifiedDiff(before, before.replace("5", "five"))).toBe(
      "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n",
    );
  });

  it("joins changes that are close and parts those that are not", () => {
    const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`);
    const changed = lines.map((line, index) => ([3, 6, 30].includes(index) ? `${line}!` : line));
    const hunks = unifiedDiff(lines.join("\n"), changed.join("\n")).match(/^@@/gm);
    expect(hunks).toHaveLength(2);
  });

  it("takes one text to the other", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 12 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const [from, to] = [before, after].map((text) => text.map((line) => `${line}\n`).join(""));
        expect(apply(from ?? "", unifiedDiff(from ?? "", to ?? ""))).toBe(to);
      }),
      { numRuns: 100 },
    );
  });
});

/** What `patch` does. */
function apply(text: string, diff: string): string {
  const lines = text.split("\n").slice(0, -1);
  const result: string[] = [];
  let at = 0;
  for (const line of diff.split("\n").slice(0, -1)) {
    const start = /^@@ -(\d+),/.exec(line)?.[1];
    if (start !== undefined) {
      while (at < Number(start) - 1) result.push(lines[at++] ?? "");
    } else if (line.startsWith("+")) result.push(line.slice(1));
    else {
      expect(lines[at]).toBe(line.slice(1));
      if (line.startsWith(" ")) result.push(line.slice(1));
      at += 1;
    }
  }
  return [...result, ...lines.slice(at)].map((line) => `${line}\n`).join("");
}
