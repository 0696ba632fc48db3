import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../../test/support/cli-context.ts";
import { type ConfigMigrateFlags, runConfigMigrate } from "./config-migrate.ts";

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

async function run(flags: ConfigMigrateFlags = {}, json = false) {
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
