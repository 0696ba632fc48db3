import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { systemClock } from "../../src/base/time.ts";
import type { Flags } from "../../src/cli/command-table.ts";
import { runConnect } from "../../src/cli/commands/connect.ts";
import { LOCAL_KEY_NAME } from "../../src/gateway/state.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { testCli } from "../support/cli-context.ts";
import { CHAT } from "./gateway-world.ts";

let sandbox: Sandbox;
let home: string;

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-connect-"));
  await mkdir(join(home, ".config/zeph"), { recursive: true });
  const record = `[[llm.providers]]\ntype = "compatible"\nname = "box"\nbase_url = "${sandbox.broker.baseURL}"\nmodel = "${CHAT}"\n`;
  await writeFile(join(home, ".config/zeph/config.toml"), `${record}[local_gateway]\nport = ${await freePort()}\n`);
});
afterEach(() => rm(home, { recursive: true }));

async function makeVault(): Promise<Vault> {
  const vault = await Vault.init({ paths: vaultPaths({ env: {}, homeDir: home, platform: process.platform }) });
  await vault.set("ZEPH_COMPATIBLE_BOX_API_KEY", new Secret(sandbox.broker.keys.good));
  return vault;
}

async function connect(flags: Flags<"connect">, options: { json?: boolean; env?: Record<string, string> } = {}) {
  const cli = testCli({ homeDir: home, ...options });
  const code = await runConnect({ ...cli.context, fetch: globalThis.fetch, clock: systemClock }, flags);
  return { code, text: cli.stdout() + cli.stderr() };
}

/** Every file below the home but zeph's own, with its text. */
async function files(): Promise<Readonly<Record<string, string>>> {
  const names = await readdir(home, { recursive: true, withFileTypes: true });
  const found = names
    .filter((entry) => !/\/\.(?:config\/zeph|local|cache)\b/.test(join(entry.parentPath, entry.name)))
    .map((entry) => [join(entry.parentPath, entry.name).slice(home.length + 1), entry.isFile()] as const);
  const texts = found.map(async ([name, isFile]) => [name, isFile ? await readFile(join(home, name), "utf8") : "/"]);
  return Object.fromEntries(await Promise.all(texts));
}

const CLAUDE = '{\n\t"theme": "dark",\n\t"env": {"A": "b"}\n}\n';

it.each([
  ["claude", ".claude/settings.json"],
  ["codex", ".codex/zeph.config.toml"],
  ["opencode", ".config/opencode/opencode.json"],
  ["pi", ".pi/agent/models.json"],
  ["cline", ".cline/data/settings/providers.json"],
])("%s is written, tried with one request, and taken back without a trace", async (agent, file) => {
  await makeVault();
  const before = await files();
  const asked = sandbox.broker.requests.length;
  const done = await connect({ agent });
  expect(done).toMatchObject({ code: 0, text: expect.stringContaining("Checked with one request") });
  const posts = sandbox.broker.requests.slice(asked).filter(({ method }) => method === "POST");
  expect(posts).toMatchObject([{ status: 200 }]);
  const vault = await Vault.open({ paths: vaultPaths({ env: {}, homeDir: home, platform: process.platform }) });
  const key = vault.get(LOCAL_KEY_NAME)?.reveal() ?? "no key";
  const written = (await files())[file] ?? "";
  expect(written).toContain(CHAT);
  expect(written.includes(key)).toBe(agent === "cline");
  expect((await stat(join(home, file))).mode & 0o777).toBe(0o600);
  expect(done.text).not.toContain(key);
  expect((await connect({ agent, check: false })).text).toContain("is up to date");
  const undone = await connect({ agent, undo: true });
  expect(undone.text).not.toContain(key);
  expect(await files()).toEqual(before);
});

it("keeps the rest of a file, its backup, and restores every byte", async () => {
  await makeVault();
  await mkdir(join(home, ".claude"));
  await writeFile(join(home, ".claude/settings.json"), CLAUDE, { mode: 0o644 });
  const before = await files();
  await connect({ agent: "claude", check: false });
  const after = await files();
  expect(JSON.parse(after[".claude/settings.json"] ?? "")).toMatchObject({
    theme: "dark",
    env: { A: "b", ANTHROPIC_MODEL: CHAT },
  });
  const backup = Object.keys(after).find((name) => name.endsWith(".bak")) ?? "";
  expect(after[backup]).toBe(CLAUDE);
  expect((await stat(join(home, ".claude/settings.json"))).mode & 0o777).toBe(0o644);
  // Another model, on top of what was written: what was there first is what comes back.
  await connect({ agent: "claude", check: false, model: "sandbox/thinker-1" });
  await connect({ agent: "claude", undo: true });
  expect(await files()).toEqual(before);
  await expect(connect({ agent: "claude", undo: true })).rejects.toMatchObject({ code: "usage" });
});

it("takes only its own back from a file that was changed since", async () => {
  await makeVault();
  await mkdir(join(home, ".claude"));
  const file = join(home, ".claude/settings.json");
  await writeFile(file, CLAUDE);
  await connect({ agent: "claude", check: false });
  await writeFile(file, (await readFile(file, "utf8")).replace("dark", "light"));
  await connect({ agent: "claude", undo: true });
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ theme: "light", env: { A: "b" } });
});

it("--dry-run shows what would be written, without the secrets beside it, and writes nothing", async () => {
  await makeVault();
  await mkdir(join(home, ".claude"));
  const secret = "of-the-user-0123456789abcdef";
  await writeFile(join(home, ".claude/settings.json"), `{\n  "env": { "MY_TOKEN": "${secret}" }\n}\n`);
  const before = await files();
  const asked = sandbox.broker.requests.filter(({ method }) => method === "POST").length;
  const { code, text } = await connect({ agent: "claude", dryRun: true }, { json: true });
  expect(code).toBe(0);
  expect(JSON.parse(text).data).toMatchObject({ agent: "claude", changed: true, keyBy: "command" });
  expect(text).toContain('+  \\"apiKeyHelper\\"');
  expect(text).not.toContain(secret);
  expect(await files()).toEqual(before);
  expect(sandbox.broker.requests.filter(({ method }) => method === "POST")).toHaveLength(asked);
  await expect(connect({ agent: "nobody" })).rejects.toMatchObject({ code: "usage" });
});

it("leaves a file alone that it cannot read, and needs a place for the key", async () => {
  await expect(
    connect({ agent: "claude" }, { env: { ZEPH_COMPATIBLE_BOX_API_KEY: sandbox.broker.keys.good } }),
  ).rejects.toMatchObject({ code: "vault_not_found" });
  await makeVault();
  await mkdir(join(home, ".claude"));
  await writeFile(join(home, ".claude/settings.json"), "{ not json");
  const before = await files();
  await expect(connect({ agent: "claude" })).rejects.toMatchObject({ code: "config_invalid" });
  expect(await files()).toEqual(before);
});

it("says when the settings are written and a request fails all the same", async () => {
  const vault = await makeVault();
  await vault.set("ZEPH_COMPATIBLE_BOX_API_KEY", new Secret(sandbox.broker.keys.outOfMoney), { replace: true });
  await expect(connect({ agent: "claude" })).rejects.toMatchObject({
    message: expect.stringMatching(/the settings are written, but/),
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
