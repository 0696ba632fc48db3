import { chmod, copyFile, mkdtemp, readdir, readFile, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../internal/secret.ts";
import { checkVault } from "./check.ts";
import type { VaultPaths } from "./paths.ts";
import { Vault } from "./vault.ts";
import { tidyVault } from "./vault-files.ts";

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
