import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { runVaultRestore } from "../cli/commands/vault-restore.ts";
import { manualClock } from "../internal/manual-clock.ts";
import { Secret } from "../internal/secret.ts";
import type { VaultPaths } from "./paths.ts";
import { listVaultBackups, restoreVault } from "./restore.ts";
import { Vault } from "./vault.ts";

let folder: string;
let paths: VaultPaths;
let clock: ReturnType<typeof manualClock>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-restore-"));
  paths = { keyFile: join(folder, "vault-key.txt"), vaultFile: join(folder, "secrets.age") };
  clock = manualClock(Date.UTC(2026, 10, 22, 20, 9, 5));
});

const open = () => Vault.open({ paths, clock });

/** A second between changes, so that every state has a time of its own. */
async function withValues(...values: readonly string[]): Promise<Vault> {
  const vault = await Vault.init({ paths, clock });
  for (const value of values) {
    await clock.advance(1000);
    await vault.set("A", new Secret(value), { replace: true });
  }
  return vault;
}

async function restore(number: number) {
  const { backups } = await listVaultBackups({ paths });
  const backup = backups[number - 1];
  if (backup === undefined) throw new Error("no such backup");
  await clock.advance(1000);
  return restoreVault({ paths, backup, clock });
}

describe("a vault", () => {
  it("comes back as it was before the last change, and that state can come back too", async () => {
    await withValues("1", "2", "3");
    const { backups, copyOfCurrent } = await listVaultBackups({ paths });
    expect(backups.map(({ kind, madeAtMs, entryCount, keyFile }) => [kind, madeAtMs, entryCount, keyFile])).toEqual([
      ["vault", Date.UTC(2026, 10, 22, 20, 9, 7), 1, paths.keyFile],
      ["vault", Date.UTC(2026, 10, 22, 20, 9, 6), 1, paths.keyFile],
    ]);
    expect(copyOfCurrent).toBe(`${paths.vaultFile}.20261122T200908Z.bak`);
    const { entryCount, vaultBackupPath } = await restore(1);
    expect([entryCount, vaultBackupPath]).toEqual([1, copyOfCurrent]);
    expect((await open()).get("A")?.reveal()).toBe("2");
    await restore(1);
    expect((await open()).get("A")?.reveal()).toBe("3");
  });

  it.each([
    ["cut off", () => truncate(paths.vaultFile, 100)],
    ["emptied", () => truncate(paths.vaultFile, 0)],
    ["overwritten", () => writeFile(paths.vaultFile, "something else")],
    ["deleted", () => rm(paths.vaultFile)],
  ])("that was %s after the very first write comes back whole", async (_how, damage) => {
    await withValues("1");
    await damage();
    await expect(open()).rejects.toMatchObject({ hint: expect.stringContaining("zeph vault") });
    await restore(1);
    expect((await open()).get("A")?.reveal()).toBe("1");
    expect((await readdir(folder)).filter((name) => /\.(?:tmp|lock|change)$/.test(name))).toEqual([]);
  });

  it("that was replaced comes back with the key that opens it, and what replaced it as well", async () => {
    await withValues("old");
    await clock.advance(1000);
    await Vault.init({ paths, clock, force: true });
    await clock.advance(1000);
    await (await open()).set("B", new Secret("new"));
    const { backups } = await listVaultBackups({ paths });
    expect(backups.map(({ kind, entryCount, keyFile }) => [kind, entryCount, keyFile])).toEqual([
      ["vault", 1, `${paths.keyFile}.20261122T200907Z.bak`],
      ["key", undefined, undefined],
    ]);
    await restore(1);
    expect((await open()).get("A")?.reveal()).toBe("old");
    await restore(1);
    expect((await open()).names()).toEqual(["B"]);
  });

  it("that no key here opens stays where it is", async () => {
    await withValues("1", "2");
    await rm(paths.keyFile);
    const before = await readdir(folder);
    await expect(restore(1)).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: expect.stringContaining("no key"),
    });
    expect(await readdir(folder)).toEqual(before);
  });
});

it("a key file comes back by itself", async () => {
  await withValues("1");
  const key = await readFile(paths.keyFile, "utf8");
  await (await open()).protect(new Secret("forgotten"), { scryptWorkFactor: 4 });
  const { backups } = await listVaultBackups({ paths });
  const number = backups.findIndex(({ kind }) => kind === "key") + 1;
  const { keyFile, vaultFile, keyBackupPath } = await restore(number);
  expect([keyFile, vaultFile]).toEqual([paths.keyFile, undefined]);
  expect(await readFile(paths.keyFile, "utf8")).toBe(key);
  expect(keyBackupPath).toBeDefined();
  expect((await open()).get("A")?.reveal()).toBe("1");
});

describe("zeph vault restore", () => {
  const run = async (flags: { readonly backup?: string }, json = false) => {
    const cli = testCli({
      homeDir: folder,
      json,
      paths: { vaultKey: paths.keyFile, vaultFile: paths.vaultFile },
    });
    const code = await runVaultRestore(cli.context, flags);
    return { code, stdout: cli.stdout(), stderr: cli.stderr() };
  };

  it("lists states with dates and says what to type", async () => {
    await withValues("1", "2");
    const { stdout, stderr } = await run({});
    expect(stdout).toBe("1  2026-11-22 20:09:06 UTC  1 secret  secrets.age.20261122T200906Z.bak\n");
    expect(stderr).toContain(`A copy of the vault as it is now: ${paths.vaultFile}.20261122T200907Z.bak\n`);
    expect(stderr).toContain("zeph vault restore NUMBER");
    expect(JSON.parse((await run({}, true)).stdout).data).toEqual({
      vaultFile: paths.vaultFile,
      copyOfCurrent: `${paths.vaultFile}.20261122T200907Z.bak`,
      backups: [
        {
          number: 1,
          kind: "vault",
          path: `${paths.vaultFile}.20261122T200906Z.bak`,
          madeAt: "2026-11-22T20:09:06.000Z",
          secrets: 1,
          keyFile: paths.keyFile,
        },
      ],
    });
  });

  it.each([
    ["number", () => "1"],
    ["name", () => `${basename(paths.vaultFile)}.20261122T200906Z.bak`],
    ["path", () => `${paths.vaultFile}.20261122T200906Z.bak`],
  ])("brings one back by its %s", async (_by, wanted) => {
    await withValues("1", "2");
    const { code, stdout } = await run({ backup: wanted() }, true);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).data).toMatchObject({ madeAt: "2026-11-22T20:09:06.000Z", secrets: 1, keyFile: null });
    expect((await open()).get("A")?.reveal()).toBe("1");
  });

  it("says so when there is nothing, or not that", async () => {
    const none = await run({});
    expect([none.code, none.stdout]).toEqual([0, ""]);
    expect(none.stderr).toContain("no other state");
    await expect(run({ backup: "7" })).rejects.toMatchObject({
      code: "usage",
      hint: expect.stringContaining("zeph vault restore"),
    });
  });
});
