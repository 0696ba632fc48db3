import { execFileSync, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";

/* Whatever lies where zeph reads a file: an answer comes soon, and memory stays small. */

let sources: CompiledSources;
let root: string;

beforeAll(async () => {
  sources = await compileSources(["cli/main.ts"]);
  root = await mkdtemp(join(tmpdir(), "zeph-special-"));
}, 60_000);

afterAll(async () => {
  await sources.remove();
  await rm(root, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly peakMiB: number;
}

/* Of /proc, since what `getrusage` tells begins with the memory of the process that started this one. */
const TELL_PEAK = `data:text/javascript,${encodeURIComponent(
  "import{readFileSync}from'node:fs';process.on('exit',()=>process.stderr.write('peak '+" +
    "/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status','utf8'))[1]))",
)}`;

/** Ended by force after a while that no machine needs: then `code` is null and every expectation fails. */
async function zeph(home: string, args: readonly string[], { env = {}, stdin = "" } = {}): Promise<Ended> {
  const child = spawn(process.execPath, ["--import", TELL_PEAK, join(sources.folder, "cli/main.js"), ...args], {
    cwd: home,
    env: { PATH: process.env.PATH ?? "", HOME: home, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: 45_000,
    killSignal: "SIGKILL",
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += String(text)));
  child.stderr.on("data", (text) => (stderr += String(text)));
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr, peakMiB: Number(/peak (\d+)/.exec(stderr)?.[1] ?? Number.NaN) / 1024 };
}

async function well(...given: Parameters<typeof zeph>): Promise<void> {
  const { code, stderr } = await zeph(...given);
  expect(code, stderr).toBe(0);
}

const KINDS: Readonly<Record<string, (path: string) => unknown>> = {
  "a link to /dev/zero": (path) => symlink("/dev/zero", path),
  "a named pipe": (path) => execFileSync("mkfifo", [path]),
  "5 GB": async (path) => {
    const file = await open(path, "w", 0o600);
    await file.truncate(5 * 1024 ** 3);
    await file.close();
  },
};

interface Place {
  readonly at: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly before?: (home: string) => Promise<unknown>;
}

const CONFIG = ".config/zeph/config.toml";
const VAULT = ".config/zeph/secrets.age";
const KEY = ".config/zeph/vault-key.txt";
const STATE = ".local/state/zeph";
const RECORD = '[[llm.providers]]\ntype = "compatible"\nname = "x"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n';

const NATIVE = '[[llm.providers]]\ntype = "gonka"\nname = "n"\ngonka_source_url = "http://127.0.0.1:9"\nmodel = "m"\n';

const config =
  (more = "") =>
  (home: string) =>
    put(home, CONFIG, `${RECORD}${more}`);
const vault = async (home: string) => {
  await well(home, ["vault", "init"]);
  await well(home, ["vault", "set", "A", "--stdin"], { stdin: "1" });
};
const without = (path: string) => async (home: string) => {
  await vault(home);
  await rm(join(home, path));
};

async function put(home: string, name: string, text: string): Promise<void> {
  await mkdir(dirname(join(home, name)), { recursive: true, mode: 0o700 });
  await writeFile(join(home, name), text, { mode: 0o600 });
}

const PLACES: Readonly<Record<string, Place>> = {
  "the user's config": { at: CONFIG, args: ["providers"] },
  "the config of a project, to be trusted": { at: "config.toml", args: ["config", "trust"] },
  "the other config of a project, to be trusted": { at: "config/default.toml", args: ["config", "trust"] },
  "--config": { at: "x.toml", args: ["--config", "x.toml", "config", "show"] },
  "a config to migrate": { at: CONFIG, args: ["config", "migrate"] },
  "a config to be written": { at: "x.toml", args: ["init", "--yes", "-o", "x.toml", "--broker", "gonkagate"] },
  "the vault": { at: VAULT, args: ["vault", "list"], before: without(VAULT) },
  "a vault to be changed": { at: VAULT, args: ["vault", "rm", "A"], before: without(VAULT) },
  "a vault to be looked at": { at: VAULT, args: ["vault", "check"], before: without(VAULT) },
  "the key file": { at: KEY, args: ["vault", "get", "A"], before: without(KEY) },
  "the passphrase file": {
    at: "pass",
    args: ["vault", "list"],
    env: { ZEPH_VAULT_PASSPHRASE_FILE: "pass" },
    before: async (home) => {
      const golden = join(import.meta.dirname, "../../vectors/vault");
      await put(home, KEY, await readFile(join(golden, "vault-key.passphrase.txt"), "utf8"));
      await copyFile(join(golden, "secrets.age"), join(home, VAULT));
    },
  },
  "a .env file": { at: ".env", args: ["vault", "import", ".env"], before: vault },
  "the body to sign": {
    at: "body",
    args: ["gonka", "sign", "--file", "body", "--endpoint-account", "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le"],
    before: async (home) => put(home, CONFIG, NATIVE),
    env: { ZEPH_GONKA_PRIVATE_KEY: "11".repeat(32) },
  },
  "the journal": { at: `${STATE}/failures.jsonl`, args: ["explain", "no-such-id"] },
  "the journal, to be written": {
    at: `${STATE}/failures.jsonl`,
    args: ["ask", "hi"],
    env: { ZEPH_COMPATIBLE_X_API_KEY: "k" },
    before: config(),
  },
  "the ledger": {
    at: `${STATE}/spent.jsonl`,
    args: ["ask", "hi"],
    env: { ZEPH_COMPATIBLE_X_API_KEY: "k" },
    before: config("[cost]\nenabled = true\nmax_daily_cents = 1\n"),
  },
  "the ledger, to the doctor": {
    at: `${STATE}/spent.jsonl`,
    args: ["doctor"],
    env: { ZEPH_COMPATIBLE_X_API_KEY: "k" },
    before: config("[cost]\nenabled = true\nmax_daily_cents = 1\n"),
  },
  "the open escrows": {
    at: `${STATE}/devshard/open.json`,
    args: ["devshard", "status"],
    env: { ZEPH_GONKA_PRIVATE_KEY: "11".repeat(32) },
    before: async (home) => put(home, CONFIG, NATIVE),
  },
};

/** Places where nothing is wrong but what is remembered: the command goes on as without it. */
const REMEMBERED = new Set(["the journal", "the journal, to be written", "the ledger"]);

describe.runIf(process.platform === "linux")("in the place of", () => {
  describe.each(Object.entries(PLACES))("%s", (name, { at, args, env = {}, before }) => {
    it.concurrent.each(Object.entries(KINDS))("%s", { timeout: 150_000 }, async (_kind, make) => {
      const home = await mkdtemp(join(root, "home-"));
      await before?.(home);
      await mkdir(dirname(join(home, at)), { recursive: true, mode: 0o700 });
      await make(join(home, at));
      const ended = await zeph(home, args, { env });
      expect(ended.code, ended.stderr).toBeGreaterThan(0);
      expect(ended.stderr).not.toMatch(/internal|TypeError|\n {4}at /);
      if (!REMEMBERED.has(name))
        expect((ended.stdout + ended.stderr).replace(/\s+/g, " ")).toMatch(/not a file|is larger than|too many bytes/);
      expect(ended.peakMiB).toBeLessThan(200);
    });
  });

  it("UTF-16, as PowerShell writes it, is named as such", { timeout: 150_000 }, async () => {
    const home = await mkdtemp(join(root, "home-"));
    await vault(home);
    for (const mark of ["", "\uFEFF"]) {
      await writeFile(join(home, "u16.toml"), Buffer.from(`${mark}${RECORD}`, "utf16le"));
      await writeFile(join(home, "u16.env"), Buffer.from(`${mark}ZEPH_SECRET_X=1\n`, "utf16le").swap16());
      for (const [args, name] of [
        [["--config", "u16.toml", "providers"], "u16.toml"],
        [["vault", "import", "u16.env"], "u16.env"],
      ] as const) {
        const { code, stderr } = await zeph(home, args);
        expect(code).toBeGreaterThan(0);
        expect(stderr).toContain(`${name} is UTF-16 text`);
        expect(stderr).toMatch(/Save it as UTF-8.*Set-Content/);
      }
    }
  });

  it("standard input", { timeout: 150_000 }, async () => {
    const home = await mkdtemp(join(root, "home-"));
    await vault(home);
    await config()(home);
    const run = (command: string) => {
      const quoted = [process.execPath, "--import", TELL_PEAK, join(sources.folder, "cli/main.js")].map(
        (w) => `'${w.replaceAll("'", "'\\''")}'`,
      );
      return new Promise<Ended>((resolve) => {
        const child = spawn("sh", ["-c", `exec ${quoted.join(" ")} ${command} < /dev/zero`], {
          cwd: home,
          env: { PATH: process.env.PATH ?? "", HOME: home, ZEPH_COMPATIBLE_X_API_KEY: "k" },
          timeout: 45_000,
          killSignal: "SIGKILL",
        });
        let stderr = "";
        child.stderr.on("data", (text) => (stderr += String(text)));
        child.on("close", (code) =>
          resolve({ code, stdout: "", stderr, peakMiB: Number(/peak (\d+)/.exec(stderr)?.[1]) / 1024 }),
        );
      });
    };
    for (const command of [
      "ask",
      "ask hi",
      "chat",
      "vault set B --stdin",
      "vault passphrase --stdin",
      "init --yes --broker gonkagate --key-stdin",
      "gonka sign",
      "gonka verify",
    ]) {
      const { code, stderr, peakMiB } = await run(command);
      expect(code, `${command}: ${stderr}`).toBeGreaterThan(0);
      expect(peakMiB, command).toBeLessThan(200);
    }
  });
});
