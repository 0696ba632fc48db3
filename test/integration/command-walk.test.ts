import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { bindKey } from "../../src/config/trust.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { Vault } from "../../src/vault/vault.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

/** What one command goes through: files of ours that run, files of the user that are read, decryptions of the vault. */
const MOST_FILES_OF_ASK = 60;

let sources: CompiledSources;
let sandbox: Sandbox;
let home: string;
const KEY = "ZEPH_COMPATIBLE_BROKER_API_KEY";

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-walk-"));
  [sources, sandbox] = await Promise.all([
    compileSources(["cli/main.ts"], { isFaithful: true }),
    startSandbox({ broker: {} }),
  ]);
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  await writeFile(
    join(home, ".config/zeph/config.toml"),
    `[llm]\n[[llm.providers]]\ntype = "compatible"\nname = "broker"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "sandbox/echo-1"\n`,
  );
  const folder = join(home, ".config/zeph");
  const vault = await Vault.init({
    paths: { keyFile: join(folder, "vault-key.txt"), vaultFile: join(folder, "secrets.age") },
  });
  await vault.set(KEY, new Secret(sandbox.broker.keys.good));
  await vault.set("ZEPH_LOCAL_GATEWAY_API_KEY", new Secret("sk-local-0123456789"));
  const context = { env: {}, homeDir: home, platform: process.platform };
  await bindKey(context, {
    name: KEY,
    secret: new Secret(sandbox.broker.keys.good),
    origins: [new URL(sandbox.broker.baseURL).origin],
  });
}, 60_000);

afterAll(async () => {
  await Promise.all([sandbox?.stop(), sources?.remove()]);
  await rm(home, { recursive: true, force: true });
});

/** What a command did. */
interface Walk {
  readonly stdout: string;
  readonly reads: Readonly<Record<string, number>>;
  readonly decryptions: number;
}

async function run(
  args: readonly string[],
  options: { env?: object; onOutput?: (stop: () => void) => void } = {},
): Promise<Walk> {
  const counts = join(home, "counts.json");
  const child = spawn(
    process.execPath,
    [
      "--require",
      join(import.meta.dirname, "../support/count-reads.cjs"),
      join(sources.folder, "cli/main.js"),
      ...args,
    ],
    { env: { PATH: process.env.PATH, HOME: home, ZEPH_COUNTS: counts, ...options.env } },
  );
  child.stdin.end();
  child.stdout.once("data", () => options.onOutput?.(() => child.kill("SIGINT")));
  const [stdout, stderr, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  expect([exitCode, stderr], stdout).toEqual([0, expect.not.stringContaining("✗")]);
  return { stdout, ...JSON.parse(await readFile(counts, "utf8")) };
}

const CONFIG = ".config/zeph/config.toml";
const VAULT = { ".config/zeph/vault-key.txt": 1, ".config/zeph/secrets.age": 1 };

it.each([
  ["ask", ["ask", "hello"]],
  ["chat", ["chat", "hello"]],
  ["models", ["models"]],
])("reads config and vault once: %s", async (_name, args) => {
  const { stdout, reads, decryptions } = await run(args);
  expect(stdout).toContain(args[0] === "models" ? "sandbox/echo-1" : "Hello!");
  expect(reads).toMatchObject({ ...VAULT, [CONFIG]: 1 });
  expect(decryptions).toBe(1);
});

it("reads config and vault once: serve", async () => {
  const { stdout, reads, decryptions } = await run(["serve", "--port", "0"], { onOutput: (stop) => stop() });
  expect(stdout).toContain("/v1");
  expect(reads).toMatchObject({ ...VAULT, [CONFIG]: 1 });
  expect(decryptions).toBe(1);
});

it("opens the vault three times in set-up: to store, as the next process, and for the doctor", async () => {
  const given = ["--base-url", sandbox.broker.baseURL, "--name", "broker", "--model", "auto"];
  const { reads, decryptions } = await run(["init", "--yes", ...given]);
  expect(reads).toMatchObject({ ".config/zeph/secrets.age": 3 });
  expect(decryptions).toBe(3);
});

it("leaves the vault closed for a key of the environment", async () => {
  const { reads, decryptions } = await run(["ask", "hello", "--vault", "env"], {
    env: { [KEY]: sandbox.broker.keys.good },
  });
  expect(reads[CONFIG]).toBe(1);
  expect(reads).not.toHaveProperty([".config/zeph/secrets.age"]);
  expect(decryptions).toBe(0);
});

it("runs functions of few files in one ask", async () => {
  const folder = join(home, "coverage");
  const { stdout } = await run(["ask", "hello"], { env: { NODE_V8_COVERAGE: folder } });
  expect(stdout).toContain("Hello!");
  const used = new Set<string>();
  for (const file of await readdir(folder)) {
    const { result }: { result: Coverage[] } = JSON.parse(await readFile(join(folder, file), "utf8"));
    for (const { url, functions } of result) {
      const [, name] = url.split(`${sources.folder}/`);
      // The first is the module itself, which runs wherever it is imported.
      const ran = functions.slice(1).some(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
      if (name !== undefined && ran && !/^(?:node_modules|_virtual)\//.test(name)) used.add(name);
    }
  }
  expect([...used]).toContain("cli/commands/ask.js");
  expect(used.size, [...used].sort().join("\n")).toBeLessThanOrEqual(MOST_FILES_OF_ASK);
});

interface Coverage {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly { readonly count: number }[] }[];
}
