import { chmod, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { type CliContextOptions, testCli } from "../../../test/support/cli-context.ts";
import { Secret } from "../../base/secret.ts";
import type { RunCommand } from "../../base/world.ts";
import { vaultPaths } from "../../vault/files.ts";
import { Vault } from "../../vault/vault.ts";
import {
  runVaultCheck,
  runVaultGet,
  runVaultInit,
  runVaultList,
  runVaultPassphrase,
  runVaultRemove,
  runVaultSet,
} from "./vault.ts";
import { runVaultImport } from "./vault-import.ts";

const PLANTED = "planted-7f3a9c";
let homeDir: string;
let folder: string;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-home-"));
  folder = join(homeDir, ".config", "zeph");
});

/** What a command did, and everything it showed. */
async function run<Flags>(
  command: RunCommand<Flags>,
  flags: Flags,
  options: Omit<CliContextOptions, "homeDir"> = {},
): Promise<{ exitCode?: number; error?: unknown; stdout: string; stderr: string; shown: string }> {
  const cli = testCli({ homeDir, ...options });
  const result = await command(cli.context, flags).then(
    (exitCode) => ({ exitCode }),
    (error: unknown) => ({ error }),
  );
  const [stdout, stderr] = [cli.stdout(), cli.stderr()];
  const shown = stdout + stderr + ("error" in result ? JSON.stringify(result.error) + inspect(result.error) : "");
  return { ...result, stdout, stderr, shown };
}

const open = () => Vault.open({ paths: vaultPaths({ env: {}, homeDir, platform: process.platform }) });
const given = async (entries: Record<string, string>) => {
  const vault = await Vault.init({ paths: vaultPaths({ env: {}, homeDir, platform: process.platform }) });
  await vault.setAll(new Map(Object.entries(entries).map(([name, value]) => [name, new Secret(value)])));
};

describe("zeph vault init", () => {
  it("makes a vault and prints both paths", async () => {
    const { exitCode, stdout } = await run(runVaultInit, {});
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`Key file: ${folder}/vault-key.txt\nVault:    ${folder}/secrets.age\n`);
    expect((await open()).names()).toEqual([]);
  });

  it("never touches a vault that is there, without --force", async () => {
    await given({ A: PLANTED });
    expect((await run(runVaultInit, { yes: true })).error).toMatchObject({ code: "vault_exists" });
    expect((await open()).get("A")?.reveal()).toBe(PLANTED);
  });

  it("wants the word replace typed with --force", async () => {
    await given({ A: PLANTED });
    const no = await run(runVaultInit, { force: true }, { keys: [[/Type "replace"/, "yes\r"]] });
    expect(no.error).toMatchObject({ code: "cancelled", detail: "the vault was left as it is" });
    expect((await run(runVaultInit, { force: true })).error).toMatchObject({ code: "not_interactive" });
    expect((await open()).names()).toEqual(["A"]);
    const yes = await run(runVaultInit, { force: true }, { keys: [[/Type "replace"/, "replace\r"]] });
    expect(yes.stderr).toContain(".bak");
    expect((await open()).names()).toEqual([]);
  });

  it("takes --yes in scripts, and makes a plain new vault where none is", async () => {
    const first = await run(runVaultInit, { force: true }, { json: true });
    expect(JSON.parse(first.stdout)).toMatchObject({ ok: true, data: { replaced: [], passphraseProtected: false } });
    const second = await run(runVaultInit, { force: true, yes: true }, { json: true });
    expect(JSON.parse(second.stdout).data.replaced).toEqual([`${folder}/vault-key.txt`, `${folder}/secrets.age`]);
    expect((await readdir(folder)).filter((name) => name.endsWith(".bak"))).toHaveLength(2);
  });

  it("protects the key with a passphrase that is typed twice", async () => {
    const keys = [
      [/Passphrase/, `${PLANTED}\r`],
      [/again/, "another\r"],
      [/not the same/, `\u0015${PLANTED}\r`],
    ] as const;
    const { exitCode, stderr, shown } = await run(runVaultInit, { protect: true }, { keys });
    expect(exitCode).toBe(0);
    expect(stderr).toContain("Zeph does not");
    expect(shown).not.toContain(PLANTED);
    await expect(open()).rejects.toMatchObject({ code: "vault_locked" });
  });

  it("takes the passphrase from the file that is named, and asks nothing", async () => {
    const env = { ZEPH_VAULT_PASSPHRASE_FILE: join(homeDir, "passphrase") };
    await writeFile(env.ZEPH_VAULT_PASSPHRASE_FILE, `${PLANTED}\n`, { mode: 0o600 });
    const { exitCode, shown } = await run(runVaultInit, { protect: true }, { env, keys: [] });
    expect(exitCode).toBe(0);
    expect(shown).not.toContain(PLANTED);
    expect(await readFile(join(folder, "vault-key.txt"), "utf8")).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n/);
  });

  it("needs some source for the passphrase, and makes nothing without", async () => {
    expect((await run(runVaultInit, { protect: true })).error).toMatchObject({ code: "vault_locked" });
    expect(await readdir(homeDir)).toEqual([]);
  });
});

describe("zeph vault set", () => {
  it("stores what is typed", async () => {
    await given({});
    const keys = [[/Value of ZEPH_SECRET_A/, `${PLANTED}\r`]] as const;
    const { exitCode, stdout, stderr, shown } = await run(runVaultSet, { name: "ZEPH_SECRET_A" }, { keys });
    expect([exitCode, stdout]).toEqual([0, ""]);
    expect(stderr).toContain(`Stored ZEPH_SECRET_A in ${folder}/secrets.age.`);
    expect(shown).not.toContain(PLANTED);
    expect((await open()).get("ZEPH_SECRET_A")?.reveal()).toBe(PLANTED);
  });

  it("stores what is piped, without the last line break", async () => {
    await given({});
    const { stdout, shown } = await run(runVaultSet, { name: "A", stdin: true }, { stdin: `${PLANTED}\n`, json: true });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, data: { name: "A", replaced: false } });
    expect(shown).not.toContain(PLANTED);
    expect((await open()).get("A")?.reveal()).toBe(PLANTED);
  });

  it("reads what is piped in without being told to", async () => {
    await given({});
    const { exitCode, shown } = await run(runVaultSet, { name: "A" }, { stdin: `${PLANTED}\n` });
    expect(exitCode).toBe(0);
    expect(shown).not.toContain(PLANTED);
    expect((await open()).get("A")?.reveal()).toBe(PLANTED);
    expect((await run(runVaultSet, { name: "A" }, { stdin: "new" })).error).toMatchObject({
      code: "vault_entry_exists",
    });
  });

  it("refuses a value as argument before it opens anything", async () => {
    const { error, shown } = await run(runVaultSet, { name: "A", value: PLANTED });
    expect(error).toMatchObject({ code: "secret_on_command_line", hint: expect.stringContaining("--stdin") });
    expect(shown).not.toContain(PLANTED);
    const asName = await run(runVaultSet, { name: `gp-${PLANTED}`, stdin: true }, { stdin: "x" });
    expect(asName.error).toMatchObject({ code: "secret_on_command_line" });
    expect(asName.shown).not.toContain(PLANTED);
  });

  it("replaces only after a yes or with --force", async () => {
    await given({ A: "old" });
    const piped = await run(runVaultSet, { name: "A", stdin: true }, { stdin: "new" });
    expect(piped.error).toMatchObject({ code: "vault_entry_exists", detail: "A" });
    const no = await run(runVaultSet, { name: "A" }, { keys: [[/Replace it/, "n"]] });
    expect(no.error).toMatchObject({ code: "cancelled", detail: "A was left as it is" });
    expect((await open()).get("A")?.reveal()).toBe("old");
    const yes = await run(
      runVaultSet,
      { name: "A" },
      {
        keys: [
          [/Replace it/, "y"],
          [/Value of A/, "new\r"],
        ],
      },
    );
    expect(yes.exitCode).toBe(0);
    expect((await open()).get("A")?.reveal()).toBe("new");
    await run(runVaultSet, { name: "A", stdin: true, force: true }, { stdin: "newer" });
    expect((await open()).get("A")?.reveal()).toBe("newer");
  });

  it("says how to do it where nobody can type, and makes no vault by itself", async () => {
    expect((await run(runVaultSet, { name: "A", stdin: true }, { stdin: "x" })).error).toMatchObject({
      code: "vault_not_found",
    });
    expect(await readdir(homeDir)).toEqual([]);
    await given({});
    expect((await run(runVaultSet, { name: "A" })).error).toMatchObject({ code: "missing_input" });
    const atKeyboard = { ...testCli({ homeDir, keys: [] }).context, interactive: false };
    await expect(runVaultSet(atKeyboard, { name: "A" })).rejects.toMatchObject({
      code: "not_interactive",
      hint: "Pipe the value in: zeph vault set A < FILE",
    });
  });

  it("notes a value that will not work under its name", async () => {
    await given({});
    const flags = { name: "ZEPH_GONKA_PRIVATE_KEY", stdin: true };
    const { stderr, shown } = await run(runVaultSet, flags, { stdin: `0x${PLANTED}` });
    expect(stderr).toContain("Note: the value is not 64 lower-case hex digits");
    expect(shown).not.toContain(PLANTED);
  });
});

describe("zeph vault get, list and rm", () => {
  it("get prints the plain value and nothing else", async () => {
    await given({ A: "line\nline" });
    expect(await run(runVaultGet, { name: "A" })).toMatchObject({ exitCode: 0, stdout: "line\nline\n", stderr: "" });
    expect(JSON.parse((await run(runVaultGet, { name: "A" }, { json: true })).stdout)).toEqual({
      ok: true,
      data: { name: "A", value: "line\nline" },
    });
    expect((await run(runVaultGet, { name: "B" })).error).toMatchObject({ code: "vault_entry_not_found", detail: "B" });
  });

  it("list prints names only, sorted", async () => {
    await given({ B: PLANTED, A: PLANTED });
    const { stdout, stderr, shown } = await run(runVaultList, {});
    expect([stdout, stderr]).toEqual(["A\nB\n", ""]);
    expect(shown).not.toContain(PLANTED);
    const { stdout: json } = await run(runVaultList, {}, { json: true });
    expect(JSON.parse(json)).toEqual({ ok: true, data: { names: ["A", "B"] } });
  });

  it("rm removes one and names the backup", async () => {
    await given({ A: PLANTED, B: PLANTED });
    const { stdout, shown } = await run(runVaultRemove, { name: "A" }, { json: true });
    expect(shown).not.toContain(PLANTED);
    expect((await open()).names()).toEqual(["B"]);
    const { backupPath } = JSON.parse(stdout).data;
    const before = await Vault.open({ paths: { keyFile: join(folder, "vault-key.txt"), vaultFile: backupPath } });
    expect(before.names()).toEqual(["A", "B"]);
    expect((await run(runVaultRemove, { name: "A" })).error).toMatchObject({ code: "vault_entry_not_found" });
  });
});

describe("zeph vault check", () => {
  it("says that all is well", async () => {
    await given({ A: PLANTED });
    const { exitCode, stdout, shown } = await run(runVaultCheck, {});
    expect([exitCode, stdout]).toEqual([0, `✓ ${folder}/secrets.age opens: 1 secret\n`]);
    expect(shown).not.toContain(PLANTED);
  });

  it("names each fault with the line that mends it, and exits with 17", async () => {
    await given({ ZEPH_GONKA_PRIVATE_KEY: PLANTED });
    await chmod(join(folder, "secrets.age"), 0o644);
    const { exitCode, stdout, shown } = await run(runVaultCheck, {});
    expect(exitCode).toBe(17);
    expect(stdout).toContain(`  → chmod 600 ${folder}/secrets.age\n`);
    expect(stdout).toContain("  → zeph vault set ZEPH_GONKA_PRIVATE_KEY --force\n");
    expect(shown).not.toContain(PLANTED);
  });

  it("gives a report as JSON when there is nothing to open", async () => {
    const { exitCode, stdout } = await run(runVaultCheck, {}, { json: true });
    expect(exitCode).toBe(17);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, data: { healthy: false, opens: false } });
  });
});

describe("zeph vault import", () => {
  const dotenv = `export GONKAGATE_API_KEY="gp-${PLANTED}"\nZEPH_SECRET_A=${PLANTED}\nOTHER=${PLANTED}\n`;

  it("shows names, asks, stores, and leaves the file as it is", async () => {
    await given({});
    await writeFile(join(homeDir, ".env"), dotenv);
    const { exitCode, stderr, shown } = await run(
      runVaultImport,
      { file: ".env" },
      { keys: [[/Store 2 of them/, "\r"]] },
    );
    expect(exitCode).toBe(0);
    expect(stderr).toContain("ZEPH_COMPATIBLE_GONKAGATE_API_KEY (from GONKAGATE_API_KEY): new");
    expect(shown).not.toContain(PLANTED);
    const vault = await open();
    expect(vault.names()).toEqual(["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "ZEPH_SECRET_A"]);
    expect(vault.get("ZEPH_COMPATIBLE_GONKAGATE_API_KEY")?.reveal()).toBe(`gp-${PLANTED}`);
    expect(await readFile(join(homeDir, ".env"), "utf8")).toBe(dotenv);
  });

  it("stores nothing after a no, nor in a script without --yes", async () => {
    await given({});
    await writeFile(join(homeDir, ".env"), dotenv);
    const no = await run(runVaultImport, { file: ".env" }, { keys: [[/Store 2 of them/, "n"]] });
    expect(no.error).toMatchObject({ code: "cancelled" });
    expect((await run(runVaultImport, { file: ".env" })).error).toMatchObject({
      code: "not_interactive",
      hint: expect.stringContaining("--yes"),
    });
    expect((await open()).names()).toEqual([]);
  });

  it("looks at the environment, keeps what is stored, and takes no malformed value", async () => {
    await given({ ZEPH_SECRET_SAME: "same", ZEPH_SECRET_OTHER: "stored" });
    const env = {
      ZEPH_SECRET_SAME: "same",
      ZEPH_SECRET_OTHER: PLANTED,
      ZEPH_SECRET_NEW: PLANTED,
      GONKA_PRIVATE_KEY: PLANTED,
    };
    const { stdout, shown } = await run(runVaultImport, { yes: true }, { env, json: true });
    expect(JSON.parse(stdout).data).toEqual({
      source: "the environment",
      stored: 1,
      moved: [],
      configBackupPath: null,
      entries: [
        { name: "ZEPH_GONKA_PRIVATE_KEY", variable: "GONKA_PRIVATE_KEY", fate: "malformed" },
        { name: "ZEPH_SECRET_NEW", variable: "ZEPH_SECRET_NEW", fate: "store" },
        { name: "ZEPH_SECRET_OTHER", variable: "ZEPH_SECRET_OTHER", fate: "kept" },
        { name: "ZEPH_SECRET_SAME", variable: "ZEPH_SECRET_SAME", fate: "same" },
      ],
    });
    expect(shown).not.toContain(PLANTED);
    expect((await open()).get("ZEPH_SECRET_OTHER")?.reveal()).toBe("stored");
    await run(runVaultImport, { yes: true, force: true }, { env });
    expect((await open()).get("ZEPH_SECRET_OTHER")?.reveal()).toBe(PLANTED);
  });

  describe("of a key in the config", () => {
    const record = `# mine
[[llm.providers]]
type = "compatible"
name = "gonkagate"
base_url = "https://api.gonkagate.com/v1"
api_key = "gp-${PLANTED}" # ordinary
`;
    const name = "ZEPH_COMPATIBLE_GONKAGATE_API_KEY";
    const configPath = () => join(folder, "config.toml");
    const config = () => readFile(configPath(), "utf8");

    it("stores it, and after a yes of its own puts its name in its place, keeping comments and a private copy", async () => {
      await given({});
      await writeFile(configPath(), record);
      const keys = [
        [/Store 1 of them/, "\r"],
        [/in the place of the key/, "\r"],
      ] as const;
      const { exitCode, stderr, shown } = await run(runVaultImport, {}, { keys });
      expect(exitCode).toBe(0);
      expect((await open()).get(name)?.reveal()).toBe(`gp-${PLANTED}`);
      expect(await config()).toBe(record.replace(`api_key = "gp-${PLANTED}"`, `api_key_env = "${name}"`));
      const backup = /with the key: (\S+\.bak)/.exec(stderr)?.[1] ?? "";
      expect(await readFile(backup, "utf8")).toBe(record);
      expect((await stat(backup)).mode & 0o777).toBe(0o600);
      expect(shown).not.toContain(PLANTED);
    });

    it("leaves it where it is in a script without --move, and moves it with", async () => {
      await given({});
      await writeFile(configPath(), record);
      const kept = await run(runVaultImport, { yes: true });
      expect(kept.stderr).toContain("--move");
      expect(await config()).toBe(record);
      const { stdout } = await run(runVaultImport, { yes: true, move: true }, { json: true });
      expect(JSON.parse(stdout)).toMatchObject({
        data: { stored: 0, entries: [{ name, fate: "same" }], moved: [name], configBackupPath: expect.any(String) },
      });
      expect(await config()).not.toContain(PLANTED);
    });

    it("takes nothing out that the vault does not hold, nor where the vault is not looked at", async () => {
      await given({ [name]: "gp-another-7f3a9c" });
      await writeFile(configPath(), record);
      await run(runVaultImport, { yes: true, move: true });
      expect(await config()).toBe(record);
      await run(runVaultImport, { yes: true, move: true, force: true }, { env: { ZEPH_VAULT_BACKEND: "env" } });
      expect(await config()).toBe(record);
    });

    it("is not taken from a file of the folder one works in", async () => {
      await given({});
      await writeFile(join(homeDir, "config.toml"), record);
      expect((await run(runVaultImport, { yes: true, move: true })).stderr).toMatch(/^No secret of a known name/);
      expect((await open()).names()).toEqual([]);
    });
  });

  it("says so when there is nothing to import or nothing to read", async () => {
    await given({});
    const { exitCode, stderr } = await run(runVaultImport, {});
    expect([exitCode, stderr]).toEqual([0, "No secret of a known name in the environment.\n"]);
    expect((await run(runVaultImport, { file: "missing" })).error).toMatchObject({
      code: "usage",
      detail: "missing does not exist",
    });
    await writeFile(join(homeDir, ".env"), `A=1\n${PLANTED}\n`);
    const faulty = await run(runVaultImport, { file: ".env" });
    expect(faulty.error).toMatchObject({ code: "usage", detail: "line 2 of the .env file is not NAME=value" });
    expect(faulty.shown).not.toContain(PLANTED);
  });
});

describe("zeph vault passphrase", () => {
  const twice = [
    [/New passphrase/, `${PLANTED}\r`],
    [/again/, "another\r"],
    [/not the same/, `\u0015${PLANTED}\r`],
  ] as const;
  const current = [/Passphrase of the vault/, `${PLANTED}\r`] as const;

  it("is asked for twice, protects the vault and is taken away again", async () => {
    await given({ A: "1" });
    const set = await run(runVaultPassphrase, {}, { keys: twice });
    expect(set.exitCode).toBe(0);
    expect(set.stderr).toMatch(/As it was: \S+\.bak\n.*delete it/);
    await expect(open()).rejects.toMatchObject({ code: "vault_locked" });
    const removed = await run(runVaultPassphrase, { remove: true }, { keys: [current] });
    expect(removed.stderr).toContain("has no passphrase any more");
    expect((await open()).names()).toEqual(["A"]);
    expect(set.shown + removed.shown).not.toContain(PLANTED);
  });

  it("comes from standard input in scripts, and the old one from its file", async () => {
    await given({ A: "1" });
    expect((await run(runVaultPassphrase, {})).error).toMatchObject({
      code: "not_interactive",
      hint: expect.stringContaining("--stdin"),
    });
    const { stdout } = await run(runVaultPassphrase, { stdin: true }, { stdin: `${PLANTED}\n`, json: true });
    expect(JSON.parse(stdout)).toMatchObject({ data: { passphraseProtected: true, backupPath: expect.any(String) } });
    const env = { ZEPH_VAULT_PASSPHRASE_FILE: join(homeDir, "passphrase") };
    await writeFile(env.ZEPH_VAULT_PASSPHRASE_FILE, PLANTED, { mode: 0o600 });
    expect((await run(runVaultPassphrase, { remove: true }, { env })).exitCode).toBe(0);
    expect((await open()).passphraseProtected).toBe(false);
    const again = await run(runVaultPassphrase, { remove: true }, { json: true });
    expect(JSON.parse(again.stdout)).toMatchObject({ data: { changed: false } });
  });
});
