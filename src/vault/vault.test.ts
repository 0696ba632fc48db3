import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { armor, Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { manualClock } from "../base/time.ts";
import { checkVault } from "./check.ts";
import { listBackups, type VaultPaths } from "./files.ts";
import { generateKeyPair, inspectAgeFile } from "./key.ts";
import { openContents, sealContents, Vault } from "./vault.ts";

describe("vault", () => {
  let folder: string;
  let paths: VaultPaths;
  const clock = manualClock(Date.UTC(2026, 10, 22, 20, 9, 5));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-vault-"));
    paths = { keyFile: join(folder, "vault-key.txt"), vaultFile: join(folder, "secrets.age") };
  });

  const open = () => Vault.open({ paths, clock });
  const init = (options: { force?: boolean } = {}) => Vault.init({ paths, clock, ...options });
  const files = async () => (await readdir(folder)).sort();
  const mode = async (path: string) => (await stat(path)).mode & 0o777;

  describe("Vault.init", () => {
    it("makes a key file and an empty vault that only the owner can read", async () => {
      const deep = {
        keyFile: join(folder, "zeph", "k", "key.txt"),
        vaultFile: join(folder, "zeph", "v", "secrets.age"),
      };
      const vault = await Vault.init({ paths: deep, clock });
      expect(vault.names()).toEqual([]);
      expect(vault.passphraseProtected).toBe(false);
      expect(await mode(deep.keyFile)).toBe(0o600);
      expect(await mode(deep.vaultFile)).toBe(0o600);
      for (const made of [join(folder, "zeph"), dirname(deep.keyFile), dirname(deep.vaultFile)]) {
        expect(await mode(made)).toBe(0o700);
        expect((await readdir(made)).filter((name) => /lock|tmp|bak/.test(name))).toEqual([]);
      }
    });

    it.each(["keyFile", "vaultFile"] as const)(
      "refuses when the %s alone is there, and touches nothing",
      async (which) => {
        await writeFile(paths[which], "precious");
        await expect(init()).rejects.toMatchObject({ code: "vault_exists", detail: paths[which] });
        expect(await readFile(paths[which], "utf8")).toBe("precious");
        expect(await readdir(folder)).toHaveLength(1);
      },
    );

    it("makes one vault when called several times at once", async () => {
      const attempts = await Promise.allSettled([1, 2, 3, 4].map(() => Vault.init({ paths })));
      expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect((await open()).names()).toEqual([]);
    });

    it("refuses when the vault is a link to something that is not there now", async () => {
      await symlink(join(folder, "not-mounted", "secrets.age"), paths.vaultFile);
      await expect(init()).rejects.toMatchObject({ code: "vault_exists" });
      expect(await files()).toEqual(["secrets.age"]);
    });

    it("with force keeps both files, and the kept pair still opens", async () => {
      await (await init()).set("NAME", new Secret("old"));
      const vault = await init({ force: true });
      expect(vault.names()).toEqual([]);
      const [oldKey = "", oldVault = ""] = [
        (await listBackups(paths.keyFile))[0],
        (await listBackups(paths.vaultFile))[0],
      ];
      expect([await mode(oldKey), await mode(oldVault)]).toEqual([0o600, 0o600]);
      const old = await Vault.open({ paths: { keyFile: oldKey, vaultFile: oldVault }, clock });
      expect(old.get("NAME")?.reveal()).toBe("old");
    });

    it("puts the old key back when the vault cannot be written", async () => {
      await (await init()).set("NAME", new Secret("old"));
      const key = await readFile(paths.keyFile);
      const elsewhere = { ...paths, vaultFile: join(folder, "occupied") };
      await mkdir(elsewhere.vaultFile);
      await expect(Vault.init({ paths: elsewhere, clock, force: true })).rejects.toMatchObject({
        code: "file_unwritable",
      });
      expect(await readFile(paths.keyFile)).toEqual(key);
      expect((await open()).get("NAME")?.reveal()).toBe("old");
    });

    it("leaves no lone key behind when the vault cannot be written", async () => {
      const elsewhere = { ...paths, vaultFile: join(folder, "x".repeat(255)) };
      await expect(Vault.init({ paths: elsewhere, clock })).rejects.toThrow();
      expect(await files()).toEqual([]);
    });

    it("protects the key file with a passphrase", async () => {
      const passphrase = new Secret("planted passphrase");
      const vault = await Vault.init({ paths, clock, passphrase, scryptWorkFactor: 4 });
      expect(vault.passphraseProtected).toBe(true);
      await vault.set("NAME", new Secret("x"));
      await expect(open()).rejects.toMatchObject({ code: "vault_locked" });
      const again = await Vault.open({ paths, clock, passphrase: async () => passphrase });
      expect(again.get("NAME")?.reveal()).toBe("x");
    });
  });

  describe("Vault.open", () => {
    it("says what is missing", async () => {
      await expect(open()).rejects.toMatchObject({
        code: "vault_not_found",
        detail: expect.stringMatching(/^neither/),
      });
      await init();
      await rename(paths.vaultFile, join(folder, "aside"));
      await expect(open()).rejects.toMatchObject({
        code: "vault_not_found",
        detail: expect.stringMatching(/^the key file .* is there/),
      });
      await rename(join(folder, "aside"), paths.vaultFile);
      await unlink(paths.keyFile);
      await expect(open()).rejects.toMatchObject({
        code: "vault_not_found",
        detail: expect.stringMatching(/its key file .* is not/),
      });
    });

    it("names the path that cannot be read", async () => {
      await init();
      await unlink(paths.vaultFile);
      await mkdir(paths.vaultFile);
      await expect(open()).rejects.toMatchObject({
        code: "vault_unreadable",
        detail: `${paths.vaultFile} is a folder, not a file`,
      });
    });
  });

  describe("changes", () => {
    it("are there for the next process", async () => {
      const vault = await init();
      await vault.set("B", new Secret("2"));
      await vault.set("A", new Secret("line\nline"));
      const next = await open();
      expect(next.names()).toEqual(["A", "B"]);
      expect(next.get("A")?.reveal()).toBe("line\nline");
      expect(next.get("C")).toBeUndefined();
      await next.remove("A");
      expect((await open()).names()).toEqual(["B"]);
    });

    it("see what another process has written in the meantime", async () => {
      await init();
      const [one, two] = [await open(), await open()];
      await one.set("A", new Secret("1"));
      await two.set("B", new Secret("2"));
      expect(two.names()).toEqual(["A", "B"]);
      await expect(one.set("B", new Secret("mine"))).rejects.toMatchObject({ code: "vault_entry_exists", detail: "B" });
      expect((await open()).get("B")?.reveal()).toBe("2");
    });

    it("of one process at the same time are all kept", async () => {
      const vault = await Vault.init({ paths });
      const names = Array.from({ length: 12 }, (_, index) => `NAME_${index}`);
      await Promise.all(names.map((name) => vault.set(name, new Secret(name))));
      expect((await open()).names()).toEqual(names.sort());
    });

    it("replace only when told, and keep the old value in the backup", async () => {
      const vault = await init();
      await vault.set("A", new Secret("old"));
      await expect(vault.set("A", new Secret("new"))).rejects.toMatchObject({
        code: "vault_entry_exists",
        detail: "A",
      });
      const { backupPath = "" } = await vault.set("A", new Secret("new"), { replace: true });
      expect(await mode(backupPath)).toBe(0o600);
      const before = await Vault.open({ paths: { ...paths, vaultFile: backupPath }, clock });
      expect([before.get("A")?.reveal(), vault.get("A")?.reveal()]).toEqual(["old", "new"]);
    });

    it("of several names are made together or not at all", async () => {
      const vault = await init();
      await vault.set("B", new Secret("old"));
      const entries = new Map(["A", "B", "C"].map((name) => [name, new Secret("new")]));
      await expect(vault.setAll(entries)).rejects.toMatchObject({ code: "vault_entry_exists" });
      expect((await open()).names()).toEqual(["B"]);
      await vault.setAll(entries, { replace: true });
      expect((await open()).names()).toEqual(["A", "B", "C"]);
    });

    it("do not remove what is not there", async () => {
      const vault = await init();
      await expect(vault.remove("NOPE")).rejects.toMatchObject({ code: "vault_entry_not_found", detail: "NOPE" });
      await expect(vault.remove("gp-0123456789planted")).rejects.toMatchObject({ detail: "[redacted]" });
      expect(await files()).toEqual(["secrets.age", "vault-key.txt"]);
    });

    it.each(["", "1A", "A B", "A=B", "ключ", "A\nB", "x".repeat(129), "-rf"])("refuse the name %j", async (name) => {
      const vault = await init();
      await expect(vault.set(name, new Secret("x"))).rejects.toMatchObject({ code: "usage" });
      expect(await files()).toEqual(["secrets.age", "vault-key.txt"]);
    });

    it.each(["gp-0123456789planted", "f".repeat(64), "AGE-SECRET-KEY-1QQQQQQ"])(
      "see a secret in the place of the name: %s",
      async (name) => {
        const vault = await init();
        const error = await vault.set(name, new Secret("x")).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: "secret_on_command_line" });
        expect(JSON.stringify(error) + inspect(error)).not.toContain(name);
      },
    );

    it("keep entries of names that zeph would not make", async () => {
      await init();
      const vault = await open();
      const strange = new Map([["with space", new Secret("kept")]]);
      const { sealContents } = await import("./vault.ts");
      const { readKeyFile } = await import("./key.ts");
      await writeFile(
        paths.vaultFile,
        await sealContents(strange, (await readKeyFile(await readFile(paths.keyFile))).recipient),
      );
      await vault.set("A", new Secret("1"));
      expect(vault.names()).toEqual(["A", "with space"]);
      await vault.remove("with space");
      expect(vault.names()).toEqual(["A"]);
    });

    it("never bring a vault back that was taken away, nor write into another one", async () => {
      const vault = await init();
      await rename(paths.vaultFile, join(folder, "moved"));
      await expect(vault.set("A", new Secret("1"))).rejects.toMatchObject({ code: "vault_not_found" });
      expect(await files()).toEqual(["moved", "vault-key.txt"]);
      await rename(join(folder, "moved"), paths.vaultFile);
      await init({ force: true });
      await expect(vault.set("A", new Secret("1"))).rejects.toMatchObject({
        code: "vault_unreadable",
        detail: expect.stringContaining("another key"),
      });
      expect((await open()).names()).toEqual([]);
    });

    it("write through a link, and lock the file it leads to", async () => {
      await init();
      const real = join(folder, "dotfiles", "real.age");
      await mkdir(dirname(real));
      await rename(paths.vaultFile, real);
      await symlink(real, paths.vaultFile);
      const vault = await open();
      await writeFile(`${real}.lock`, JSON.stringify({ pid: 1, host: "elsewhere.example", ticket: "0123456789ab" }));
      await expect(vault.set("A", new Secret("1"))).rejects.toMatchObject({
        code: "vault_busy",
        detail: `lock file ${real}.lock of process 1 on elsewhere.example`,
      });
      await unlink(`${real}.lock`);
      await vault.set("A", new Secret("1"));
      expect(await files()).toEqual(["dotfiles", "secrets.age", "vault-key.txt"]);
      expect((await readdir(dirname(real))).filter((name) => !name.endsWith(".bak"))).toEqual(["real.age"]);
      expect((await Vault.open({ paths: { ...paths, vaultFile: real } })).names()).toEqual(["A"]);
      expect(await mode(real)).toBe(0o600);
    });

    it("close a file that others could read", async () => {
      const vault = await init();
      await chmod(paths.vaultFile, 0o644);
      await vault.set("A", new Secret("1"));
      expect(await mode(paths.vaultFile)).toBe(0o600);
    });

    it("sweep up what a killed process left behind", async () => {
      const vault = await init();
      await writeFile(join(folder, ".secrets.age.0123456789ab.tmp"), "half");
      await writeFile(join(folder, ".secrets.age.mine.tmp"), "not ours");
      await vault.set("A", new Secret("1"));
      expect((await files()).filter((name) => name.endsWith(".tmp"))).toEqual([".secrets.age.mine.tmp"]);
    });
  });

  describe("backups", () => {
    it("of changes are kept for the last five states, beside a copy of the newest", async () => {
      const vault = await init();
      for (let change = 0; change < 8; change += 1) {
        await vault.set(`NAME_${change}`, new Secret("x"));
        await clock.advance(1000);
      }
      const counts = (await listBackups(paths.vaultFile)).map(
        async (vaultFile) => (await Vault.open({ paths: { ...paths, vaultFile } })).names().length,
      );
      expect(await Promise.all(counts)).toEqual([8, 7, 6, 5, 4, 3]);
    });

    it("of one second are all kept, in order", async () => {
      const vault = await init();
      for (let change = 0; change < 12; change += 1) await vault.set(`NAME_${change}`, new Secret("x"));
      const counts = (await listBackups(paths.vaultFile)).map(
        async (vaultFile) => (await Vault.open({ paths: { ...paths, vaultFile } })).names().length,
      );
      expect(await Promise.all(counts)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    });

    it("of the last change is kept when the clock was set back", async () => {
      const vault = await init();
      for (let change = 0; change < 8; change += 1) {
        clock.set(clock.nowMs() - 1000);
        const { backupPath } = await vault.set(`NAME_${change}`, new Secret("x"));
        if (change > 0) expect(await listBackups(paths.vaultFile)).toContain(backupPath);
      }
    });

    it("of a replaced vault and key are kept for good", async () => {
      await (await init()).set("PRECIOUS", new Secret("x"));
      const vault = await init({ force: true });
      for (let change = 0; change < 12; change += 1) {
        await clock.advance(1000);
        await vault.set(`NAME_${change}`, new Secret("x"));
      }
      const [oldKey = ""] = await listBackups(paths.keyFile);
      const opened = await Promise.all(
        (await listBackups(paths.vaultFile)).map((vaultFile) =>
          Vault.open({ paths: { keyFile: oldKey, vaultFile } }).then(
            (old) => old.names(),
            () => [],
          ),
        ),
      );
      expect(opened.flat()).toContain("PRECIOUS");
      expect(opened).toHaveLength(7);
    });
  });

  describe("the passphrase of a vault that is there", () => {
    const passphrase = new Secret("open sesame ключ");
    const protect = (vault: Vault, given: Secret | undefined) => vault.protect(given, { scryptWorkFactor: 4 });
    const openWith = (given: Secret) => Vault.open({ paths, clock, passphrase: async () => given });

    it("is set, changed and taken away; secrets and the vault file stay as they are", async () => {
      const vault = await init();
      await vault.set("A", new Secret("1"));
      const [keyText, vaultBytes] = [await readFile(paths.keyFile, "utf8"), await readFile(paths.vaultFile)];
      const { backupPath = "" } = await protect(vault, passphrase);
      expect(await readFile(backupPath, "utf8")).toBe(keyText);
      expect([await mode(backupPath), await mode(paths.keyFile)]).toEqual([0o600, 0o600]);
      expect(vault.passphraseProtected).toBe(true);
      await expect(open()).rejects.toMatchObject({ code: "vault_locked" });

      await protect(await openWith(passphrase), new Secret("another"));
      await expect(openWith(passphrase)).rejects.toMatchObject({ code: "vault_wrong_passphrase" });
      const opened = await openWith(new Secret("another"));
      await opened.set("B", new Secret("2"));

      await protect(opened, undefined);
      expect(await readFile(paths.keyFile, "utf8")).toBe(keyText);
      expect((await open()).names()).toEqual(["A", "B"]);
      expect(await readFile((await listBackups(paths.vaultFile))[1] ?? "")).toEqual(vaultBytes);
    });

    it("keeps the comments of a key file that others have made", async () => {
      await init();
      const text = `# created: 2026-01-01\r\n${await readFile(paths.keyFile, "utf8")}# mine\n`;
      await writeFile(paths.keyFile, text);
      await protect(await open(), passphrase);
      await protect(await openWith(passphrase), undefined);
      expect(await readFile(paths.keyFile, "utf8")).toBe(text);
    });

    it("is not put on a key that another process has replaced", async () => {
      const vault = await init();
      await init({ force: true });
      const newKey = await readFile(paths.keyFile, "utf8");
      await expect(protect(vault, passphrase)).rejects.toMatchObject({ code: "vault_unreadable" });
      expect(await readFile(paths.keyFile, "utf8")).toBe(newKey);
    });

    it("must not be empty, and then nothing is changed", async () => {
      const vault = await init();
      const before = await files();
      await expect(protect(vault, new Secret(""))).rejects.toMatchObject({ code: "missing_input" });
      expect(await files()).toEqual(before);
      expect((await open()).passphraseProtected).toBe(false);
    });

    it("is worth nothing beside a copy without it, and the check says so", async () => {
      const { backupPath } = await protect(await init(), passphrase);
      const report = await checkVault({ paths, platform: "linux", passphrase: async () => passphrase });
      expect(report.findings).toMatchObject([
        { id: "vault.key_backup", severity: "warning", mend: `rm ${backupPath}` },
      ]);
    });
  });

  describe("an empty vault", () => {
    it("is not kept as a backup, but what is written into it is", async () => {
      const vault = await init();
      expect(await vault.set("A", new Secret("1"))).toEqual({ backupPath: undefined });
      const [backup = "", ...others] = await listBackups(paths.vaultFile);
      expect(others).toEqual([]);
      expect(await readFile(backup)).toEqual(await readFile(paths.vaultFile));
      expect(await mode(backup)).toBe(0o600);
      // Not a second name of the same file, which would share its fate.
      expect((await stat(backup)).nlink).toBe(1);
    });
  });

  describe("a vault that others have made", () => {
    const golden = (name: string) => join(import.meta.dirname, "../../vectors/vault", name);
    const decrypt = (bytes: Uint8Array, identity: string) => {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      return decrypter.decrypt(bytes, "text");
    };
    /** For the given recipients, by the library alone. */
    const made = (recipients: readonly string[], contents: Record<string, string>) => {
      const encrypter = new Encrypter();
      for (const recipient of recipients) encrypter.addRecipient(recipient);
      return encrypter.encrypt(JSON.stringify(contents));
    };
    const pairs = async (count: number) =>
      Promise.all(
        Array.from({ length: count }, async () => {
          const identity = await generateX25519Identity();
          return { identity, recipient: await identityToRecipient(identity) };
        }),
      );

    it.each([0, 10, 65_536, 200_000])("for several keeps all of them, with %i bytes in it", async (size) => {
      const [mine, yours, theirs] = await pairs(3);
      if (mine === undefined || yours === undefined || theirs === undefined) throw new Error("keys");
      await writeFile(paths.keyFile, `${mine.identity}\n`, { mode: 0o600 });
      await writeFile(paths.vaultFile, await made([yours.recipient, mine.recipient, theirs.recipient], { OLD: "1" }));
      const header = inspectAgeFile(await readFile(paths.vaultFile))?.header;
      await (await open()).set("NEW", new Secret("x".repeat(size)));
      await (await open()).remove("OLD");
      const written = await readFile(paths.vaultFile);
      expect(inspectAgeFile(written)?.header).toEqual(header);
      for (const { identity } of [mine, yours, theirs]) {
        expect(JSON.parse(await decrypt(written, identity))).toEqual({ NEW: "x".repeat(size) });
      }
      const again = await readFile(paths.vaultFile);
      await (await open()).set("OTHER", new Secret("1"));
      // The key of the payload is a new one every time: the nonce behind the header differs.
      const nonceOf = (file: Buffer) => file.subarray(header?.length ?? 0, (header?.length ?? 0) + 16).toString("hex");
      expect(nonceOf(await readFile(paths.vaultFile))).not.toBe(nonceOf(again));
    });

    it("keeps its armour, also with several recipients", async () => {
      await copyFile(golden("vault-key.txt"), paths.keyFile);
      for (const [name, recipients] of [
        ["secrets.armored.age", 1],
        ["secrets.two-recipients.age", 2],
      ] as const) {
        const bytes = await readFile(golden(name));
        const isArmored = inspectAgeFile(bytes)?.armored === true;
        await writeFile(paths.vaultFile, isArmored ? bytes : armor.encode(bytes));
        await (await open()).set("A", new Secret("1"));
        const file = inspectAgeFile(await readFile(paths.vaultFile));
        expect(file).toMatchObject({ armored: true, recipientTypes: Array(recipients).fill("X25519") });
        expect((await open()).names()).toHaveLength(5);
      }
    });

    it("opens with any key of a file of several, and stays for the one it was for", async () => {
      const [first, second] = await pairs(2);
      if (first === undefined || second === undefined) throw new Error("keys");
      const text = `# two\n${first.identity}\n# public key: x\n${second.identity}\n`;
      await writeFile(paths.keyFile, text, { mode: 0o600 });
      await writeFile(paths.vaultFile, await made([second.recipient], { OLD: "1" }));
      const vault = await open();
      await vault.set("NEW", new Secret("2"));
      expect(JSON.parse(await decrypt(await readFile(paths.vaultFile), second.identity))).toEqual({
        NEW: "2",
        OLD: "1",
      });
      await vault.protect(new Secret("p"), { scryptWorkFactor: 4 });
      const again = await Vault.open({ paths, clock, passphrase: async () => new Secret("p") });
      expect(again.names()).toEqual(["NEW", "OLD"]);
      await again.protect(undefined);
      expect(await readFile(paths.keyFile, "utf8")).toBe(text);
    });

    it.each(["keyFile", "vaultFile"] as const)("in UTF-16 is named as such: %s", async (which) => {
      await copyFile(golden("vault-key.txt"), paths.keyFile);
      await copyFile(golden("secrets.armored.age"), paths.vaultFile);
      await writeFile(paths[which], Buffer.from(`\uFEFF${await readFile(paths[which], "utf8")}`, "utf16le"));
      await expect(open()).rejects.toMatchObject({
        code: "vault_unreadable",
        detail: expect.stringContaining(`${paths[which]} is UTF-16 text`),
        hint: expect.stringContaining("-Encoding utf8"),
      });
    });
  });

  it("prints nothing of what it holds", async () => {
    const vault = await init();
    await vault.set("NAME", new Secret("planted-value"));
    const identity = /AGE-SECRET-KEY-1\w+/.exec(await readFile(paths.keyFile, "utf8"))?.[0] ?? "missing";
    const shown = `${inspect(vault, { depth: 9, showHidden: true })}${JSON.stringify(vault)}${String(vault)}`;
    expect(shown).not.toContain("planted-value");
    expect(shown).not.toContain(identity);
  });
});

const keyPair = await generateKeyPair();
const reveal = (contents: ReadonlyMap<string, Secret>) => [...contents].map(([name, value]) => [name, value.reveal()]);

async function encrypt(plaintext: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(keyPair.recipient);
  return encrypter.encrypt(plaintext);
}

describe("sealContents and openContents", () => {
  it("writes binary age v1 with exactly one X25519 recipient", async () => {
    const file = await sealContents(new Map(), keyPair.recipient);
    expect(inspectAgeFile(file)).toMatchObject({ armored: false, recipientTypes: ["X25519"] });
    expect(Buffer.from(file).toString("latin1")).toMatch(
      /^age-encryption\.org\/v1\n-> X25519 \S{43}\n\S{43}\n--- \S{43}\n/,
    );
  });

  it("keeps every name and value, sorted, also those that JavaScript objects treat apart", async () => {
    const entries = [
      ["b", "2"],
      ["__proto__", "p"],
      ["10", "ten"],
      ["9", "nine"],
      ['a "quoted" 🔑', "line\nline\u2028"],
    ] as const;
    const file = await sealContents(
      new Map(entries.map(([name, value]) => [name, new Secret(value)])),
      keyPair.recipient,
    );
    expect(reveal(await openContents(file, { pairs: [keyPair] }))).toEqual(
      [...entries].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });

  it("tells a foreign key from a damaged file", async () => {
    const file = await sealContents(new Map([["A", new Secret("x")]]), keyPair.recipient);
    await expect(openContents(file, { pairs: [await generateKeyPair()] })).rejects.toMatchObject({
      code: "vault_unreadable",
      detail: expect.stringContaining("another key"),
    });
    for (const damaged of [file.with(-1, (file.at(-1) ?? 0) ^ 1), file.subarray(0, -1), file.with(170, 0)]) {
      await expect(openContents(damaged, { pairs: [keyPair] })).rejects.toMatchObject({
        detail: expect.stringContaining("damaged"),
      });
    }
    await expect(openContents(Buffer.from("{}"), { pairs: [keyPair] })).rejects.toMatchObject({
      detail: expect.stringContaining("not an age file"),
    });
  });

  it.each([
    ['{"GOOD":"planted","BAD":4711}', 'the entry "BAD" is a JSON number, not text'],
    ['{"BAD":{"deep":"planted"}}', 'the entry "BAD" is a JSON object, not text'],
    ['{"BAD":["planted"]}', 'the entry "BAD" is a list, not text'],
    ['{"BAD":null}', 'the entry "BAD" is null, not text'],
    ['["planted"]', "what the vault file decrypts to is not a JSON object of names and values"],
    ['{"A":"planted"', "what the vault file decrypts to is not JSON"],
    ["planted", "what the vault file decrypts to is not JSON"],
  ])("refuses %s without showing a value", async (plaintext, detail) => {
    const error = await openContents(await encrypt(plaintext), { pairs: [keyPair] }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "vault_unreadable", detail });
    expect(JSON.stringify(error) + inspect(error, { depth: 9 })).not.toContain("planted");
  });
});
