import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret, Vault, type VaultPaths } from "../../src/vault/index.ts";
import { type CompiledVault, compileVault } from "../support/compile-vault.ts";

let compiled: CompiledVault;
let folder: string;
let paths: VaultPaths;

beforeAll(async () => {
  compiled = await compileVault();
});
afterAll(() => compiled.remove());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-processes-"));
  paths = { keyFile: join(folder, "vault-key.txt"), vaultFile: join(folder, "secrets.age") };
});

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in a process of its own, with `Vault`, `Secret` and `paths` at hand. */
function runProgram(body: string, prelude = ""): Promise<Ended> {
  const program = [
    prelude,
    `const { Secret, Vault } = await import(${JSON.stringify(compiled.entry)});`,
    `const paths = ${JSON.stringify(paths)};`,
    body,
  ].join("\n");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module"], { stdio: ["pipe", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
    child.stdin.end(program);
  });
}

/** Changes a function of node:fs/promises for the whole program, before the vault is loaded. */
const PATCH = `
  import files from "node:fs/promises";
  import { syncBuiltinESMExports } from "node:module";
  const patch = (name, wrap) => { files[name] = wrap(files[name]); syncBuiltinESMExports(); };
`;

describe("several processes", () => {
  it("lose no change of each other", async () => {
    await Vault.init({ paths });
    const writer = (id: string) => `
      const vault = await Vault.open({ paths });
      for (let index = 0; index < 8; index += 1) await vault.set("${id}_" + index, new Secret("value-${id}-" + index));
    `;
    const ended = await Promise.all(["A", "B", "C"].map((id) => runProgram(writer(id))));
    expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual(Array(3).fill([0, ""]));
    const vault = await Vault.open({ paths });
    const expected = ["A", "B", "C"].flatMap((id) => Array.from({ length: 8 }, (_, index) => `${id}_${index}`));
    expect(vault.names()).toEqual(expected);
    expect(expected.map((name) => vault.get(name)?.reveal())).toEqual(
      expected.map((name) => `value-${name.replace("_", "-")}`),
    );
    expect((await readdir(folder)).filter((name) => /lock|tmp/.test(name))).toEqual([]);
  });

  it("make one vault when several begin at once", async () => {
    const program = `
      await Vault.init({ paths }).then(() => console.log("made"), (error) => console.log(error.code));
    `;
    const ended = await Promise.all([1, 2, 3].map(() => runProgram(program)));
    expect(ended.map(({ stdout }) => stdout.trim()).sort()).toEqual(["made", "vault_exists", "vault_exists"]);
    expect((await Vault.open({ paths })).names()).toEqual([]);
  });
});

describe("a process that is killed", () => {
  it("before the rename leaves the old vault, and the next change goes on and sweeps up", async () => {
    await (await Vault.init({ paths })).set("OLD", new Secret("kept"));
    const before = await readFile(paths.vaultFile);
    const ended = await runProgram(
      'await (await Vault.open({ paths })).set("NEW", new Secret("planted"));',
      `${PATCH} patch("rename", () => () => process.kill(process.pid, "SIGKILL"));`,
    );
    expect(ended.signal).toBe("SIGKILL");
    expect(await readFile(paths.vaultFile)).toEqual(before);
    expect((await readdir(folder)).filter((name) => /\.(?:lock|tmp)$/.test(name))).toHaveLength(2);

    const vault = await Vault.open({ paths });
    expect(vault.names()).toEqual(["OLD"]);
    await vault.set("NEXT", new Secret("x"));
    expect(vault.names()).toEqual(["NEXT", "OLD"]);
    expect((await readdir(folder)).filter((name) => /\.(?:lock|tmp)$/.test(name))).toEqual([]);
  });

  it("between the two files of init has made the vault all the same", async () => {
    const ended = await runProgram(
      "await Vault.init({ paths });",
      `${PATCH}
       patch("rename", (rename) => (from, to) => (to.endsWith("/secrets.age") ? process.kill(process.pid, "SIGKILL") : rename(from, to)));`,
    );
    expect(ended.signal).toBe("SIGKILL");
    const names = async () => (await readdir(folder)).sort();
    expect(await names()).not.toContain("secrets.age");
    const vault = await Vault.open({ paths });
    expect(vault.names()).toEqual([]);
    await expect(Vault.init({ paths })).rejects.toMatchObject({ code: "vault_exists" });
    await vault.set("A", new Secret("1"));
    expect((await Vault.open({ paths })).names()).toEqual(["A"]);
    expect((await names()).filter((name) => !name.endsWith(".bak"))).toEqual(["secrets.age", "vault-key.txt"]);
  });
});

it("at every instant every file belongs to the owner alone, whatever the umask", async () => {
  const ended = await runProgram(
    `
      const vault = await Vault.init({ paths });
      for (const name of ["A", "B", "C", "D", "E", "F", "G"]) await vault.set(name, new Secret("x"));
      await vault.remove("A");
      await Vault.init({ paths, force: true });
      console.log(JSON.stringify([...seen]));
    `,
    `${PATCH}
      import { lstatSync, readdirSync } from "node:fs";
      process.umask(0);
      const seen = new Set();
      const look = () => {
        for (const name of readdirSync(${JSON.stringify(folder)})) {
          const kind = /tmp$|lock$|bak$/.exec(name)?.[0] ?? name;
          seen.add(kind + " " + (lstatSync(${JSON.stringify(folder)} + "/" + name).mode & 0o777).toString(8));
        }
      };
      for (const name of ["open", "writeFile", "rename", "unlink", "mkdir", "readFile", "readdir", "realpath"]) {
        patch(name, (original) => async (...given) => {
          const result = await original(...given);
          look();
          return result;
        });
      }
    `,
  );
  expect(ended.stderr).toBe("");
  const kinds = [".secrets.age.change", "bak", "lock", "secrets.age", "tmp", "vault-key.txt"];
  expect(JSON.parse(ended.stdout).sort()).toEqual(kinds.map((kind) => `${kind} 600`));
});

it("shows no secret when anything fails", async () => {
  await (await Vault.init({ paths })).set("NAME", new Secret("planted-value"));
  const identity = /AGE-SECRET-KEY-1\w+/.exec(await readFile(paths.keyFile, "utf8"))?.[0] ?? "missing";
  const vaultBytes = await readFile(paths.vaultFile);
  const keyBytes = await readFile(paths.keyFile);
  const faults: (readonly [string, Uint8Array])[] = [
    [paths.vaultFile, vaultBytes.subarray(0, 150)],
    [paths.vaultFile, vaultBytes.subarray(0, -3)],
    [paths.vaultFile, Buffer.from('{"NAME":"planted-value"}')],
    [paths.keyFile, Buffer.from(`${keyBytes.toString().trim().slice(0, -1)}\n`)],
    [paths.keyFile, Buffer.from(keyBytes.toString().toLowerCase())],
    [paths.keyFile, Buffer.from(`${identity}${identity}`)],
  ];
  for (const [path, bytes] of faults) {
    await writeFile(path, bytes);
    const ended = await runProgram("await Vault.open({ paths });");
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("vault_unreadable");
    expect((ended.stdout + ended.stderr).toUpperCase()).not.toContain(identity.slice(0, 40));
    expect(ended.stdout + ended.stderr).not.toContain("planted-value");
    await writeFile(paths.vaultFile, vaultBytes);
    await writeFile(paths.keyFile, keyBytes);
  }
});
