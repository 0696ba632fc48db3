import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { testCli } from "../../test/support/cli-context.ts";
import { Secret, Vault } from "../vault/index.ts";
import { openVault, vaultPathsOf } from "./open-vault.ts";

let homeDir: string;
let passphraseFile: string;

beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), "zeph-open-"));
  passphraseFile = join(homeDir, "passphrase");
  const paths = vaultPathsOf(testCli({ homeDir }).context);
  await Vault.init({ paths, passphrase: new Secret("right"), scryptWorkFactor: 4 });
  await writeFile(passphraseFile, "right\n", { mode: 0o600 });
});

describe("openVault", () => {
  it("asks at a terminal, again after a wrong passphrase", async () => {
    const cli = testCli({
      homeDir,
      keys: [
        [/Passphrase/, "planted\r"],
        [/does not open[\s\S]*Passphrase/, "right\r"],
      ],
    });
    expect((await openVault(cli.context)).names()).toEqual([]);
    expect(cli.stderr()).not.toMatch(/planted|right/);
  });

  it("gives up after three wrong ones", async () => {
    const keys = [1, 2, 3].map(() => [/Passphrase/, "planted\r"] as const);
    const cli = testCli({ homeDir, keys });
    await expect(openVault(cli.context)).rejects.toMatchObject({ code: "vault_wrong_passphrase" });
  });

  it("reads the file that is named, also at a terminal", async () => {
    const env = { ZEPH_VAULT_PASSPHRASE_FILE: passphraseFile };
    expect((await openVault(testCli({ homeDir, env }).context)).names()).toEqual([]);
    expect((await openVault(testCli({ homeDir, env, keys: [] }).context)).names()).toEqual([]);
  });

  it("is a clear error where nobody can answer", async () => {
    await expect(openVault(testCli({ homeDir }).context)).rejects.toMatchObject({
      code: "vault_locked",
      hint: expect.stringContaining("ZEPH_VAULT_PASSPHRASE_FILE"),
    });
  });

  it("takes no passphrase from a file that others can read, that is missing, empty or wrong", async () => {
    const open = (path: string) => openVault(testCli({ homeDir, env: { ZEPH_VAULT_PASSPHRASE_FILE: path } }).context);
    await chmod(passphraseFile, 0o644);
    await expect(open(passphraseFile)).rejects.toMatchObject({
      code: "vault_permissions",
      hint: `Run: chmod 600 ${passphraseFile}`,
    });
    await expect(open(join(homeDir, "missing"))).rejects.toMatchObject({ code: "vault_locked" });
    await writeFile(join(homeDir, "empty"), "\n", { mode: 0o600 });
    await expect(open(join(homeDir, "empty"))).rejects.toMatchObject({ code: "vault_locked" });
    await writeFile(join(homeDir, "wrong"), "planted", { mode: 0o600 });
    await expect(open(join(homeDir, "wrong"))).rejects.toMatchObject({ code: "vault_wrong_passphrase" });
  });
});
