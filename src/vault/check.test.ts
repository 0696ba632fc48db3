import { chmod, copyFile, mkdtemp, readdir, readFile, rm, truncate, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { Secret } from "../base/secret.ts";
import { manualClock } from "../base/time.ts";
import { runVaultRestore } from "../cli/commands/vault.ts";
import { checkVault, listVaultBackups, restoreVault } from "./check.ts";
import { tidyVault, type VaultPaths } from "./files.ts";
import { Vault } from "./vault.ts";

describe("check", () => {
  const GOLDEN = join(import.meta.dirname, "../../vectors/vault");
  let folder: string;
  let paths: VaultPaths;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-check-"));
    paths = { keyFile: join(folder, "vault-key.txt"), vaultFile: join(folder, "secrets.age") };
  });

  const check = () => checkVault({ paths, platform: "linux" });

  describe("checkVault", () => {
    it("finds nothing wrong with a good vault, and changes nothing", async () => {
      await (await Vault.init({ paths })).set("ZEPH_SECRET_A", new Secret("x"));
      const before = await readdir(folder);
      expect(await check()).toEqual({ paths, opens: true, entryCount: 1, passphraseProtected: false, findings: [] });
      expect(await readdir(folder)).toEqual(before);
    });

    it("reports open modes with the line that mends them, except on Windows", async () => {
      await Vault.init({ paths });
      await chmod(paths.keyFile, 0o640);
      await chmod(paths.vaultFile, 0o604);
      await chmod(folder, 0o755);
      const { findings } = await check();
      expect(findings.map(({ id, severity, mend }) => [id, severity, mend])).toEqual([
        ["vault.key_mode", "error", `chmod 600 ${paths.keyFile}`],
        ["vault.file_mode", "error", `chmod 600 ${paths.vaultFile}`],
        ["vault.folder_mode", "warning", `chmod 700 ${folder}`],
      ]);
      expect((await checkVault({ paths, platform: "win32" })).findings).toEqual([]);
    });

    it("reports a vault that is missing, locked, or of another key", async () => {
      expect(await check()).toMatchObject({
        opens: false,
        findings: [{ id: "vault.open", mend: expect.stringContaining("zeph vault init") }],
      });
      await Vault.init({ paths, passphrase: new Secret("p"), scryptWorkFactor: 4 });
      expect((await check()).findings).toMatchObject([{ mend: expect.stringContaining("ZEPH_VAULT_PASSPHRASE_FILE") }]);
      await copyFile(join(GOLDEN, "vault-key.txt"), paths.keyFile);
      await chmod(paths.keyFile, 0o600);
      expect((await check()).findings).toMatchObject([
        {
          id: "vault.open",
          message: expect.stringContaining("another key"),
          // Not "run `zeph vault check`": that is what is being run.
          mend: expect.stringMatching(/^Put back the files .*secrets\.age.*zeph vault restore.*vault init --force/),
        },
      ]);
    });

    it("tells what killed processes and a full disk have left, and nothing of those at work", async () => {
      await (await Vault.init({ paths })).set("A", new Secret("x"));
      const left = [
        `${paths.vaultFile}.lock`,
        `${paths.vaultFile}.20260101T000000Z.bak`,
        join(folder, ".secrets.age.0123456789ab.tmp"),
        join(folder, ".vault-key.txt.0123456789ab.tmp"),
        join(folder, ".secrets.age.change"),
      ];
      for (const path of left) await writeFile(path, "", { mode: 0o600 });
      const past = Date.now() / 1000 - 5;
      await utimes(left[0] ?? "", past, past);
      const before = await readdir(folder);
      const report = await check();
      expect(report).toMatchObject({ opens: true, entryCount: 1 });
      expect(report.findings.map(({ id, severity, mend }) => [id, severity, mend])).toEqual(
        left.map(() => ["vault.leftover", "warning", "zeph doctor --fix"]),
      );
      expect(report.findings.map(({ message }) => message.split(" ")[0]).sort()).toEqual(left.sort());
      expect(await readdir(folder)).toEqual(before);

      await tidyVault(paths);
      expect((await check()).findings).toEqual([]);
      await writeFile(join(folder, ".secrets.age.0123456789ab.tmp"), "");
      const owner = { pid: 1, host: "elsewhere.example", ticket: "0123456789ab" };
      await writeFile(`${paths.vaultFile}.lock`, JSON.stringify(owner), { mode: 0o600 });
      expect((await check()).findings).toEqual([]);
    });

    it("names the entry that is no text", async () => {
      await copyFile(join(GOLDEN, "vault-key.txt"), paths.keyFile);
      await copyFile(join(GOLDEN, "secrets.not-strings.age"), paths.vaultFile);
      await chmod(paths.keyFile, 0o600);
      await chmod(paths.vaultFile, 0o600);
      const report = await check();
      expect(report.findings).toMatchObject([
        { message: expect.stringContaining('"ZEPH_SECRET_NUMBER" is a JSON number') },
      ]);
      expect(JSON.stringify(report)).not.toMatch(/4711|planted/);
    });

    it("warns of armour, a second recipient and a comment that names another key", async () => {
      const key = await readFile(join(GOLDEN, "vault-key.txt"), "utf8");
      await writeFile(paths.keyFile, key.replace(/age1\w+/, "age1qqqq"), { mode: 0o600 });
      await copyFile(join(GOLDEN, "secrets.two-recipients.age"), paths.vaultFile);
      await chmod(paths.vaultFile, 0o600);
      const { opens, findings } = await check();
      expect(opens).toBe(true);
      expect(findings.map(({ severity, message }) => [severity, message.replaceAll(folder, "")])).toEqual([
        ["warning", "/secrets.age can be opened with a second key too"],
        ["warning", "/vault-key.txt names a public key in its comment that does not belong to its key"],
      ]);
      await unlink(paths.vaultFile);
      await copyFile(join(GOLDEN, "secrets.armored.age"), paths.vaultFile);
      await chmod(paths.vaultFile, 0o600);
      expect((await check()).findings[0]?.message).toContain("is armoured text");
    });

    it("says which known entries are not well-formed, and shows none", async () => {
      const vault = await Vault.init({ paths });
      await vault.set("ZEPH_GONKA_PRIVATE_KEY", new Secret("0xPLANTED"));
      await vault.set("ZEPH_COMPATIBLE_GONKAGATE_API_KEY", new Secret("gpm-PLANTED"));
      await vault.set("ZEPH_SECRET_EMPTY", new Secret(""));
      const report = await check();
      expect(report.findings.map(({ id, mend }) => [id, mend])).toEqual([
        ["vault.entry", "zeph vault set ZEPH_COMPATIBLE_GONKAGATE_API_KEY --force"],
        ["vault.entry", "zeph vault set ZEPH_GONKA_PRIVATE_KEY --force"],
        ["vault.entry", "zeph vault set ZEPH_SECRET_EMPTY --force"],
      ]);
      expect(JSON.stringify(report)).not.toContain("PLANTED");
    });
  });
});

describe("restore", () => {
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
});
