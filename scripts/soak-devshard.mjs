// `npm run soak -- devshard [kills]`: kills zeph at random points of open, chat and close until it was killed so often, default
// 100, and starts it anew each time. At the end of each round there must be one escrow, settled, each chat answered and paid
// once, and no nonce that was signed twice. Loopback only.
// `SOAK_SEED=n` repeats a run.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startDevshard } from "../dist/sandbox/devshard/devshard.js";
import { fromDiffJson } from "../dist/wire/devshard/messages.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const kills = Number(process.argv[3] ?? 100);
const CHATS = 3;
const MAX_STARTS = 40;
let seed = Number(process.env.SOAK_SEED ?? 1);

const network = await startDevshard({ hosts: 4, inclusionDelayMs: 150 });
const model = network.chain.models[0];
const totals = { kills: 0, starts: 0 };
const faults = [];

/** What a command takes when it is let live, so that kills fall anywhere in it. */
const usualMs = { open: 700, ask: 700, close: 1000 };

for (let round = 1; totals.kills < kills; round += 1) {
  const before = network.payments.length;
  await playRound(round);
  const paid = network.payments.slice(before);
  if (paid.length !== 1 || paid[0].why !== "settled")
    faults.push(`round ${round}: ${JSON.stringify(paid.map(({ why }) => why))}`);
  console.log(`round ${round}: ${totals.starts} starts, ${totals.kills} killed`);
}
faults.push(...network.violations);
await network.stop();
for (const fault of faults) console.log(`✗ ${fault}`);
console.log(faults.length === 0 ? "nothing was signed twice, paid twice or left unsettled" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);

async function playRound(round) {
  const home = mkdtempSync(join(tmpdir(), "zeph-kills-"));
  const user = network.createUser();
  mkdirSync(join(home, "config", "zeph"), { recursive: true });
  const record = [
    "[[llm.providers]]",
    ...['type = "gonka"', 'name = "own"', "default = true", `model = "${model}"`, 'access = "devshard"'],
    ...[`gonka_source_url = "${network.sourceUrl}"`, "devshard_amount = 6"],
  ];
  writeFileSync(join(home, "config", "zeph", "config.toml"), `[llm]\n${record.join("\n")}\n`);
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    GONKA_PRIVATE_KEY: user.privateKeyHex,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_CACHE_HOME: join(home, "cache"),
  };
  await untilDone(["devshard", "open", "--yes", "--json"], env);
  const escrow = network.chain.escrows().filter(({ creator }) => creator === user.address);
  if (escrow.length !== 1) faults.push(`round ${round}: ${escrow.length} escrows were made`);
  for (let chat = 0; chat < CHATS; chat += 1) {
    const question = `question ${round} ${chat}`;
    const answer = await untilDone(["ask", question, "--json"], env);
    if (!answer.includes(question)) faults.push(`round ${round}: an answer is not to its question`);
  }
  await untilDone(["devshard", "close", "--json"], env);
  const journals = filesBelow(join(home, "state")).filter((path) => path.endsWith("journal.jsonl"));
  const paid = journals.flatMap(finishesIn);
  if (new Set(paid).size !== CHATS || paid.length !== CHATS)
    faults.push(`round ${round}: ${paid.length} answers were paid, ${CHATS} were asked for`);
  for (const path of filesBelow(join(home, "state"))) {
    if ((statSync(path).mode & 0o077) !== 0) faults.push(`round ${round}: ${path} can be read by others`);
  }
  rmSync(home, { recursive: true, force: true });
}

/** Starts a command, kills it after a while, and starts it again until it ends by itself. */
async function untilDone(args, env) {
  for (let start = 1; start <= MAX_STARTS; start += 1) {
    totals.starts += 1;
    const startedAtMs = performance.now();
    const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => {
      output += data;
    });
    child.stderr.on("data", (data) => {
      errors += data;
    });
    const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
    // The more often it was killed, the later it is, so that it ends in the end.
    const word = args[0] === "devshard" ? args[1] : args[0];
    const letLive = new AbortController();
    const timer = sleep(random() * usualMs[word] * (0.9 + 0.2 * start), undefined, { signal: letLive.signal });
    timer.then(() => child.kill("SIGKILL")).catch(() => undefined);
    const { code, signal } = await ended;
    letLive.abort();
    if (signal === null && code === 0) {
      usualMs[word] = 0.7 * usualMs[word] + 0.3 * (performance.now() - startedAtMs);
      return output;
    }
    if (signal !== null) totals.kills += 1;
    else if (start === MAX_STARTS) throw new Error(`zeph ${args.join(" ")}: ${code}\n${output}${errors}`);
  }
  throw new Error(`zeph ${args.join(" ")} never came to its end`);
}

/** Numbers of the inferences that a journal orders as finished. */
function finishesIn(path) {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.startsWith('{"kind":"diff"'));
  const txs = lines.flatMap((line) => fromDiffJson(JSON.parse(line)).txs);
  return txs.filter(({ kind }) => kind === "finish").map(({ message }) => message.inferenceId);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function random() {
  seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
  return seed / 0x7fffffff;
}
