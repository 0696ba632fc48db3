// Kills zeph with -9 while it changes a vault or a config, at chosen steps and at random moments, fills the disk, and gives
// the process ids in locks that are left to living processes. After every kill the built command has to work, the doctor
// has to tell what lies there, and nothing may be lost; nobody removes a file. `SOAK_KILLS=200 npm run soak -- vault`.
import { execFileSync, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const HOOK = fileURLToPath(new URL("kill-hook.mjs", import.meta.url));
const kills = Number(process.env.SOAK_KILLS ?? 200);
const seed = Number(process.env.SOAK_SEED ?? Date.now() % 1_000_000);
const random = seededRandom(seed);

const root = mkdtempSync(join(tmpdir(), "zeph-soak-vault-"));
const counts = {};
let trials = 0;
/** Some changes are over before they are killed; those do not count. */
let killed = 0;

console.log(`${kills} kills, seed ${seed}, in ${root}`);
const home = await newHome(join(root, "home"));
/** What the vault has to hold; a set of allowed values for each name, `undefined` for none. */
let expected = new Map([["A", new Set(["a"])]]);

const CHANGES = [
  ["set", () => change(`N${pick(6)}`, `value-${trials}`)],
  ["set --force", () => change("A", `a-${trials}`)],
  ["rm", () => remove([...expected.keys()].find((name) => name !== "A") ?? "N0")],
  ["import", () => importFile(`N${pick(6)}`, `imported-${trials}`)],
  ["init --force", replaceVault],
  ["config set", () => ({ args: ["config", "set", "model", `m${trials}`], allow: () => {} })],
];

while (killed < kills) {
  const [name, plan] = CHANGES[trials % CHANGES.length];
  await trial(name, plan());
}
await fullDisk();
rmSync(root, { recursive: true, force: true });
console.log(counts);
console.log(`well: ${killed} kills in ${trials} changes, nothing lost, nothing removed by hand`);

/** One change that is killed, and everything after it. */
async function trial(name, { args, stdin, allow }) {
  trials += 1;
  const how = ["before", "after", "half", "random"][pick(4)];
  const env = how === "random" ? {} : { TRIAL_AT: String(1 + pick(24)), TRIAL_KIND: how };
  const killAfterMs = how === "random" ? 50 + pick(500) : undefined;
  const { signal } = await zeph(args, { stdin, env, killAfterMs });
  if (signal === "SIGKILL") killed += 1;
  if (signal === "SIGKILL" && killed % 20 === 0) console.log(`${killed} kills`);
  const label = `${name}: ${signal === "SIGKILL" ? `killed (${how})` : "was through"}`;
  counts[label] = (counts[label] ?? 0) + 1;
  allow();
  const where = `kill ${trials}, ${name}, ${JSON.stringify(env)}`;
  ageWhatIsLeft();
  reusePids();
  await doctorTellsTheTruth(where);
  await everythingIsThere(where);
  // The next change takes over and tidies up.
  await change("NEXT", String(trials)).run(where);
  // A config is tidied up by its own next change.
  if (name === "config set") await zeph(["config", "set", "model", `again-${trials}`]);
  const left = readdirSync(home.folder).filter(isLeft);
  if (left.length > 0) fail(where, `left: ${left}`);
  for (const file of readdirSync(home.folder)) {
    if (statSync(join(home.folder, file)).size === 0) fail(where, `${file} is empty`);
  }
}

function change(name, value) {
  const args = ["vault", "set", name, "--stdin", "--force"];
  return {
    args,
    stdin: value,
    allow: () => expected.set(name, new Set([...(expected.get(name) ?? [undefined]), value])),
    async run(where) {
      const { code, stderr } = await zeph(args, { stdin: value });
      if (code !== 0) fail(where, stderr);
      expected.set(name, new Set([value]));
    },
  };
}

function remove(name) {
  const allow = () => expected.has(name) && expected.get(name).add(undefined);
  return { args: ["vault", "rm", name], allow };
}

function importFile(name, value) {
  const variable = `ZEPH_SECRET_${name}`;
  const path = join(root, "import.env");
  writeFileSync(path, `${variable}=${value}\n`);
  const allow = () => expected.set(variable, new Set([...(expected.get(variable) ?? [undefined]), value]));
  return { args: ["vault", "import", path, "--yes", "--force"], allow };
}

/** The old vault, or a new and empty one; the old one can be brought back, with its key. */
function replaceVault() {
  const before = expected;
  const allow = () => {
    expected = new Map([...before].map(([name, values]) => [name, new Set([...values, undefined])]));
  };
  return { args: ["vault", "init", "--force", "--yes"], allow };
}

async function everythingIsThere(where) {
  const { code, stdout, stderr } = await zeph(["vault", "list"]);
  if (code !== 0) fail(where, stderr);
  const names = stdout.split("\n").filter((line) => line !== "");
  for (const name of names) if (!expected.has(name)) fail(where, `${name} came from nowhere`);
  const replaced = names.length === 0 && expected.size > 0;
  for (const [name, values] of expected) {
    const found = names.includes(name) ? (await zeph(["vault", "get", name])).stdout.trimEnd() : undefined;
    if (!values.has(found)) fail(where, `${name} is ${found}, not one of ${[...values]}`);
    if (found === undefined) expected.delete(name);
    else expected.set(name, new Set([found]));
  }
  if (replaced) {
    const list = await zeph(["vault", "restore", "--json"]);
    const { backups } = JSON.parse(list.stdout).data;
    if (!backups.some(({ kind, secrets }) => kind === "vault" && secrets > 0))
      fail(where, "the replaced vault is lost");
  }
  const config = await zeph(["config", "show"]);
  if (config.code !== 0) fail(where, config.stderr);
}

async function doctorTellsTheTruth(where) {
  const left = readdirSync(home.folder).filter((name) => isLeft(name) && !name.includes("config.toml"));
  const { stdout } = await zeph(["vault", "check", "--json"]);
  const { opens, findings } = JSON.parse(stdout).data;
  if (!opens) fail(where, `does not open: ${JSON.stringify(findings)}`);
  const told = findings.filter(({ id }) => id === "vault.leftover").map(({ message }) => message.split(" ")[0]);
  const missing = left.filter((name) => !told.includes(join(home.folder, name)));
  if (missing.length > 0 || told.length !== left.length) fail(where, `the doctor told ${told}, there is ${left}`);
}

/** A lock that says nothing yet may be on its way for two seconds, and files of killed writes for a minute. */
function ageWhatIsLeft() {
  const past = Date.now() / 1000 - 61;
  for (const name of readdirSync(home.folder).filter((name) => name.endsWith(".tmp"))) {
    utimesSync(join(home.folder, name), past, past);
  }
}

/** The ids of killed processes belong to living ones: here to this one. */
function reusePids() {
  if (process.platform !== "linux" || trials % 2 === 0) return;
  const path = join(home.folder, "secrets.age.lock");
  try {
    const owner = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, `${JSON.stringify({ ...owner, pid: process.pid })}\n`);
    counts["reused process id"] = (counts["reused process id"] ?? 0) + 1;
  } catch {
    // No lock is left.
  }
}

/** A disk of a few pages, where it may be mounted, filled to the last byte; else one that is played. */
async function fullDisk() {
  const small = join(root, "small");
  mkdirSync(small);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small], { stdio: "ignore" });
  } catch {
    console.log("no small disk can be mounted here; the full disk was played by the hook only");
    return;
  }
  try {
    const disk = await newHome(small);
    const before = readFileSync(join(disk.folder, "secrets.age"));
    let filler = 0;
    for (let bytes = 65_536; bytes >= 1; bytes = Math.floor(bytes / 2)) {
      try {
        for (;;) {
          filler += 1;
          writeFileSync(join(small, `filler-${filler}`), Buffer.alloc(bytes), { flag: "wx" });
        }
      } catch {
        rmSync(join(small, `filler-${filler}`), { force: true });
      }
    }
    for (const args of [
      ["vault", "set", "B", "--stdin"],
      ["vault", "rm", "A"],
      ["vault", "init", "--force", "--yes"],
    ]) {
      const { code, stderr } = await zeph(args, { stdin: "b".repeat(5_000), disk });
      if (code === 0 || !stderr.includes("could not be written")) fail("full disk", `${args}: ${code} ${stderr}`);
      if (!readFileSync(join(disk.folder, "secrets.age")).equals(before)) fail("full disk", "the vault has changed");
      const left = readdirSync(disk.folder).filter(
        (name) => isLeft(name) || statSync(join(disk.folder, name)).size === 0,
      );
      if (left.length > 0) fail("full disk", `left: ${left}`);
    }
    if ((await zeph(["vault", "get", "A"], { disk })).stdout !== "a\n") fail("full disk", "A is lost");
    for (let each = 1; each <= filler; each += 1) rmSync(join(small, `filler-${each}`), { force: true });
    const { code, stderr } = await zeph(["vault", "set", "B", "--stdin"], { stdin: "b", disk });
    if (code !== 0) fail("full disk, emptied", stderr);
    counts["full disk: refused, and well afterwards"] = 1;
  } finally {
    execFileSync("umount", [small]);
  }
}

async function newHome(path) {
  const folder = join(path, ".config", "zeph");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const config =
    '[[llm.providers]]\ntype = "compatible"\nname = "x"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n';
  writeFileSync(join(folder, "config.toml"), config, { mode: 0o600 });
  const made = { path, folder };
  for (const [args, stdin] of [[["vault", "init"]], [["vault", "set", "A", "--stdin"], "a"]]) {
    const { code, stderr } = await zeph(args, { stdin, disk: made });
    if (code !== 0) fail("setting up", stderr);
  }
  return made;
}

function zeph(args, { stdin = "", env = {}, killAfterMs, disk = home } = {}) {
  const hook = env.TRIAL_AT === undefined ? [] : ["--import", HOOK];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...hook, CLI, ...args], {
      cwd: disk.path,
      env: { PATH: process.env.PATH, HOME: disk.path, ...env },
    });
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    child.stdin.on("error", () => {});
    child.stdin.end(stdin);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

function isLeft(name) {
  return /\.(?:tmp|lock|change)$|\.lock\./.test(name);
}

function fail(where, what) {
  console.error(`${where}: ${what}\nLeft as it is: ${root}`);
  process.exit(1);
}

function pick(below) {
  return Math.floor(random() * below);
}

/** mulberry32: the same trials again with the same seed, but for the random moments. */
function seededRandom(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
