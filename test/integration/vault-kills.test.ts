import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkVault, Secret, Vault, type VaultPaths } from "../../src/vault/index.ts";
import { type CompiledVault, compileVault } from "../support/compile-vault.ts";

/* `kill -9`, and a full disk, at every step of every change. The long version: npm run soak -- vault. */

const HOOK = join(import.meta.dirname, "../../scripts/kill-hook.mjs");

let compiled: CompiledVault;
let origin: string;

beforeAll(async () => {
  compiled = await compileVault();
  origin = await mkdtemp(join(tmpdir(), "zeph-kills-"));
  const vault = await Vault.init({ paths: pathsIn(origin) });
  await vault.set("OLD", new Secret("1"));
  await vault.set("OLD", new Secret("2"), { replace: true });
});
afterAll(() => compiled.remove());

const pathsIn = (folder: string): VaultPaths => ({
  keyFile: join(folder, "vault-key.txt"),
  vaultFile: join(folder, "secrets.age"),
});

interface Change {
  readonly program: string;
  /** The states of the vault that are right afterwards: as it was, or as it was to be. */
  readonly states: readonly Readonly<Record<string, string>>[];
  /** There is no vault before. */
  readonly fromNothing?: boolean;
  /** Another process was killed before, while it held the lock. */
  readonly onStaleLock?: boolean;
}

const SET = 'await (await Vault.open({ paths })).set("NEW", new Secret("3"));';

const CHANGES: Readonly<Record<string, Change>> = {
  set: {
    program: SET,
    states: [{ OLD: "2" }, { OLD: "2", NEW: "3" }],
  },
  "init --force": { program: "await Vault.init({ paths, force: true });", states: [{ OLD: "2" }, {}] },
  "the first init": { program: "await Vault.init({ paths });", states: [{}], fromNothing: true },
  restore: {
    program:
      "const { backups } = await listVaultBackups({ paths }); await restoreVault({ paths, backup: backups[0] });",
    states: [{ OLD: "2" }, { OLD: "1" }],
  },
  "set, in the place of one that was killed": {
    program: SET,
    states: [{ OLD: "2" }, { OLD: "2", NEW: "3" }],
    onStaleLock: true,
  },
  passphrase: {
    program: 'await (await Vault.open({ paths })).protect(new Secret("p"), { scryptWorkFactor: 4 });',
    states: [{ OLD: "2" }],
  },
};

/** Runs the change in a process of its own. */
function run(folder: string, program: string, env: Readonly<Record<string, string>>) {
  const code = [
    `const { Secret, Vault, listVaultBackups, restoreVault } = await import(${JSON.stringify(compiled.entry)});`,
    `const paths = ${JSON.stringify(pathsIn(folder))};`,
    `await (async () => { ${program} })().catch((error) => { console.error(error.code); process.exitCode = 1; });`,
  ].join("\n");
  return new Promise<{ readonly signal: string | null; readonly stderr: string }>((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", HOOK, "--input-type=module"], {
      env: { PATH: process.env.PATH ?? "", ...env },
      stdio: ["pipe", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (text) => (stderr += String(text)));
    child.on("error", reject);
    child.on("close", (_code, signal) => resolve({ signal, stderr }));
    child.stdin.end(code);
  });
}

async function copyOfOrigin({ fromNothing = false, onStaleLock = false }: Change): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zeph-kill-"));
  if (!fromNothing) await cp(origin, folder, { recursive: true });
  if (onStaleLock) {
    await run(folder, SET, { TRIAL_AT: "6", TRIAL_KIND: "before" });
    expect(await readdir(folder)).toContain("secrets.age.lock");
  }
  return folder;
}

const passphrase = async () => new Secret("p");
const isLeft = (name: string) => /\.(?:tmp|lock|change)$|\.lock\./.test(name);

/** Nobody touches a file by hand: the vault opens, the doctor is right, the next change works and tidies up. */
async function expectWell(folder: string, { states, fromNothing = false }: Change, where: string): Promise<void> {
  const paths = pathsIn(folder);
  const left = (await readdir(folder)).filter(isLeft);
  // A lock that does not say yet whose it is may be on its way; two seconds later it is nobody's.
  const past = Date.now() / 1000 - 3;
  for (const name of left) await utimes(join(folder, name), past, past);
  const report = await checkVault({ paths, platform: "linux", passphrase });
  const told = report.findings.filter(({ id }) => id === "vault.leftover").length;
  expect(told, `${where}: ${left}`).toBe(left.length);
  if (fromNothing && !report.opens) {
    // Nothing has been made yet, so it is made now.
    await Vault.init({ paths });
  } else {
    expect(report, where).toMatchObject({ opens: true });
  }
  const vault = await Vault.open({ paths, passphrase });
  const held = Object.fromEntries(vault.names().map((name) => [name, vault.get(name)?.reveal()]));
  expect(states, where).toContainEqual(held);
  await vault.set("NEXT", new Secret("x"));
  expect((await Vault.open({ paths, passphrase })).get("NEXT")?.reveal(), where).toBe("x");
  const names = await readdir(folder);
  expect(names.filter(isLeft), where).toEqual([]);
  for (const name of names) expect((await readFile(join(folder, name))).length, `${where}: ${name}`).toBeGreaterThan(0);
}

describe.each(Object.entries(CHANGES))("%s", (name, change) => {
  // Half-written files and full disks look the same to all of them; the soak tries each.
  const kinds = name === "set" ? ["before", "half", "full"] : ["before"];
  it.each(kinds)("%s every step", { timeout: 240_000 }, async (kind) => {
    const counter = await copyOfOrigin(change);
    const count = join(counter, "count");
    await run(counter, change.program, { TRIAL_COUNT: count });
    const steps = Number(await readFile(count, "utf8"));
    expect(steps).toBeGreaterThan(8);
    let killed = 0;
    const trial = async (step: number) => {
      const folder = await copyOfOrigin(change);
      const { signal, stderr } = await run(folder, change.program, { TRIAL_AT: String(step), TRIAL_KIND: kind });
      const where = `step ${step} of ${steps}, ${kind}: ${stderr}`;
      if (kind === "full") {
        expect(signal, where).toBeNull();
        expect(stderr.trim(), where).toMatch(/^(?:file_unwritable)?$/);
        // Nothing is left where nobody was killed.
        expect((await readdir(folder)).filter(isLeft), where).toEqual([]);
      } else if (signal === "SIGKILL") killed += 1;
      await expectWell(folder, change, where);
    };
    for (let step = 1; step <= steps; step += 2) {
      await Promise.all([trial(step), ...(step < steps ? [trial(step + 1)] : [])]);
    }
    if (kind !== "full") expect(killed).toBe(steps);
  });
});

describe("a lock that is left", () => {
  it.runIf(process.platform === "linux")("by a process whose id another has by now, holds nobody up", async () => {
    const change = CHANGES.set as Change;
    const folder = await copyOfOrigin(change);
    const { signal } = await run(folder, change.program, { TRIAL_AT: "9", TRIAL_KIND: "before" });
    expect(signal).toBe("SIGKILL");
    const lock = join(folder, "secrets.age.lock");
    const owner = JSON.parse(await readFile(lock, "utf8"));
    await writeFile(lock, `${JSON.stringify({ ...owner, pid: process.pid })}\n`);
    await expectWell(folder, change, "reused");
  });
});
