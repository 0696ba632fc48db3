import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startSandbox } from "../../src/sandbox/index.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

let sources: CompiledSources;
let folder: string;

beforeAll(async () => {
  sources = await compileSources(["cli/main.ts"]);
  folder = await mkdtemp(join(tmpdir(), "zeph-process-"));
}, 60_000);

afterAll(async () => {
  await sources.remove();
  await rm(folder, { recursive: true, force: true });
});

interface RunOptions {
  readonly home?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Where standard output goes; default: it is collected. */
  readonly output?: string;
}

/** The command line in a process of its own: what only the real outside world can show. */
async function run(argv: readonly string[], { home = folder, env = {}, output }: RunOptions = {}) {
  const file = output === undefined ? undefined : await open(output, "w");
  const child = spawn(process.execPath, [join(sources.folder, "cli/main.js"), ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: home, ...env },
    stdio: ["ignore", file?.fd ?? "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (text) => (stdout += String(text)));
  child.stderr?.on("data", (text) => (stderr += String(text)));
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  await file?.close();
  return { exitCode, stdout, stderr };
}

describe("zeph as a process", () => {
  it.each(["", "relative"])("keeps nothing in the working folder when HOME is %j", async (home) => {
    const { stdout } = await run(["config", "path"], { home });
    expect(isAbsolute(stdout.trim())).toBe(true);
    expect(stdout).not.toContain(folder);
  });

  it("takes a model in any letter case once it has seen the list", async () => {
    const sandbox = await startSandbox();
    try {
      const { baseURL, keys, models } = sandbox.broker;
      const id = models[0]?.id ?? "";
      const config = join(folder, "letter-case.toml");
      const record = `[[llm.providers]]\ntype = "compatible"\nname = "x"\nbase_url = "${baseURL}"\nmodel = "${id}"\n`;
      await writeFile(config, record);
      const options = { env: { ZEPH_COMPATIBLE_X_API_KEY: keys.good } };
      const ask = ["--config", config, "ask", "--json", "-m", id.toUpperCase(), "hello"];
      expect(JSON.parse((await run(ask, options)).stdout)).toMatchObject({ error: { code: "model_not_found" } });
      await run(["--config", config, "models"], options);
      expect(JSON.parse((await run(ask, options)).stdout)).toMatchObject({ ok: true, data: { model: id } });
    } finally {
      await sandbox.stop();
    }
  });

  it.runIf(existsSync("/dev/full"))("says in one line that a full disk takes no answer", async () => {
    const { exitCode, stderr } = await run(["config", "show"], { output: "/dev/full" });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("✗ The output could not be written (ENOSPC)\n");
    expect(stderr).not.toContain("    at ");
  });
});
