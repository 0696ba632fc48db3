import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { runVaultInit, runVaultSet } from "../../src/cli/commands/vault.ts";
import { listBackups, Secret, Vault, type VaultPaths } from "../../src/vault/index.ts";
import { testCli } from "../support/cli-context.ts";

/* The three ways in which an earlier program lost its users' secrets (bug-ops/zeph issues #6475, #5955, #5874). */

let homeDir: string;
let live: VaultPaths;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-loss-"));
  live = { keyFile: join(homeDir, "live", "key.txt"), vaultFile: join(homeDir, "live", "vault.age") };
});

async function makeLiveVault(paths: VaultPaths, count: number): Promise<string[]> {
  const vault = await Vault.init({ paths });
  const names = Array.from({ length: count }, (_, index) => `SECRET_${String(index).padStart(3, "0")}`);
  await vault.setAll(new Map(names.map((name) => [name, new Secret(`value of ${name}`)])));
  return names;
}

const bytesOf = (paths: VaultPaths) => Promise.all([readFile(paths.keyFile), readFile(paths.vaultFile)]);

describe("#6475: init ignored the path overrides and overwrote a live vault of 19 secrets", () => {
  const defaultPaths = () => ({
    keyFile: join(homeDir, ".config/zeph/vault-key.txt"),
    vaultFile: join(homeDir, ".config/zeph/secrets.age"),
  });

  it("init goes where the overrides say and leaves the vault in the default folder alone", async () => {
    const names = await makeLiveVault(defaultPaths(), 19);
    const before = await bytesOf(defaultPaths());
    const env = { ZEPH_VAULT_KEY: live.keyFile, ZEPH_VAULT_PATH: live.vaultFile };
    expect(await runVaultInit(testCli({ homeDir, env }).context, {})).toBe(0);
    expect(await bytesOf(defaultPaths())).toEqual(before);
    expect((await Vault.open({ paths: defaultPaths() })).names()).toEqual(names);
    expect((await Vault.open({ paths: live })).names()).toEqual([]);
  });

  it.each(["variables", "flags"])("init refuses a live vault that is named by %s", async (by) => {
    await makeLiveVault(live, 19);
    const before = await bytesOf(live);
    const env = by === "variables" ? { ZEPH_VAULT_KEY: live.keyFile, ZEPH_VAULT_PATH: live.vaultFile } : {};
    const paths = by === "flags" ? { vaultKey: live.keyFile, vaultFile: live.vaultFile } : {};
    for (const flags of [{}, { yes: true }]) {
      const { context } = testCli({ homeDir, env, paths });
      await expect(runVaultInit(context, flags)).rejects.toMatchObject({ code: "vault_exists" });
    }
    expect(await bytesOf(live)).toEqual(before);
    expect((await readdir(homeDir)).filter((name) => name !== "live")).toEqual([]);
  });

  it("one override alone does not pair a new key with an old vault", async () => {
    await makeLiveVault(live, 19);
    const before = await bytesOf(live);
    const { context } = testCli({ homeDir, env: { ZEPH_VAULT_PATH: live.vaultFile } });
    await expect(runVaultInit(context, {})).rejects.toMatchObject({ code: "vault_exists", detail: live.vaultFile });
    expect(await bytesOf(live)).toEqual(before);
    expect(await readdir(homeDir)).toEqual(["live"]);
  });
});

describe("#5955: set overwrote a value silently", () => {
  it("set refuses, and with --force the old value is in a backup", async () => {
    await makeLiveVault(live, 3);
    const paths = { vaultKey: live.keyFile, vaultFile: live.vaultFile };
    const cli = testCli({ homeDir, paths, stdin: "new", json: true });
    const before = await bytesOf(live);
    const refused = runVaultSet(cli.context, { name: "SECRET_001", stdin: true });
    await expect(refused).rejects.toMatchObject({ code: "vault_entry_exists" });
    expect(await bytesOf(live)).toEqual(before);

    await runVaultSet(cli.context, { name: "SECRET_001", stdin: true, force: true });
    expect((await Vault.open({ paths: live })).get("SECRET_001")?.reveal()).toBe("new");
    const { backupPath } = JSON.parse(cli.stdout()).data;
    const old = await Vault.open({ paths: { ...live, vaultFile: backupPath } });
    expect(old.get("SECRET_001")?.reveal()).toBe("value of SECRET_001");
  });
});

describe("#5874: a rotated key orphaned 169 payloads", () => {
  it("a replaced vault opens again from its backups, also many changes later", async () => {
    const names = await makeLiveVault(live, 169);
    const paths = { vaultKey: live.keyFile, vaultFile: live.vaultFile };
    await runVaultInit(testCli({ homeDir, paths }).context, { force: true, yes: true });
    const fresh = await Vault.open({ paths: live });
    for (let change = 0; change < 8; change += 1) await fresh.set(`NEW_${change}`, new Secret("x"));

    const [keyFile = ""] = await listBackups(live.keyFile);
    const opened = await Promise.all(
      (await listBackups(live.vaultFile)).map((vaultFile) =>
        Vault.open({ paths: { keyFile, vaultFile } }).then(
          (vault) => vault.names(),
          () => [],
        ),
      ),
    );
    expect(opened).toContainEqual(names);
  });

  it("a key whose vault is elsewhere for the moment is not replaced", async () => {
    await makeLiveVault(live, 2);
    const elsewhere = { vaultKey: live.keyFile, vaultFile: join(homeDir, "mounted-later", "vault.age") };
    const before = await readFile(live.keyFile);
    await expect(runVaultInit(testCli({ homeDir, paths: elsewhere }).context, {})).rejects.toMatchObject({
      code: "vault_exists",
      detail: live.keyFile,
    });
    expect(await readFile(live.keyFile)).toEqual(before);
  });
});
