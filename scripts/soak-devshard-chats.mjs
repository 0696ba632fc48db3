// `npm run soak -- devshard-chats [chats]`: chats over sixteen hosts of which a third misbehave, default 2,000, then the
// settlement. Fails when an answer is not to its question or was paid twice, when the chain pays another amount than the
// client's own account says, or when memory grows. Loopback only.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { gonkaFetch } from "../dist/index.js";
import { chainClient } from "../dist/network/chain.js";
import { claimTimeouts, finalizeDevshard } from "../dist/transport/devshard-close.js";
import { createEscrow, openSession, settleEscrow } from "../dist/transport/devshard-open.js";
import { canonicalJson, promptHash } from "../dist/wire/devshard/canonical-json.js";
import { fromDiffJson } from "../dist/wire/devshard/messages.js";
import { payoutOf } from "../dist/wire/devshard/settlement.js";
import { devshardSigner } from "../dist/wire/devshard/signing.js";
import { fastClock } from "./soak-devshard-clock.mjs";

const chats = Number(process.argv[3] ?? 2000);
const CALLERS = 24;
const SAMPLES = 20;
const AMOUNT = 50_000_000_000n;
/** After this nothing is waited for any more by the hosts' own numbers. */
const LATE_MS = 1_300_000;

const startMs = Date.now();
const clock = fastClock(startMs);
const stateFolder = mkdtempSync(join(tmpdir(), "zeph-soak-"));
const child = fork(fileURLToPath(new URL("soak-devshard-hosts.mjs", import.meta.url)), [String(startMs)], {
  stdio: ["ignore", "pipe", "inherit", "ipc"],
});
const [line] = await once(createInterface(child.stdout), "line");
const { sourceUrl, privateKeyHex, model } = JSON.parse(line);

const signer = devshardSigner(Buffer.from(privateKeyHex, "hex"));
const world = { chain: chainClient(sourceUrl, { fetch, clock }), signer, stateFolder, fetch, clock };
const escrow = await createEscrow(world, { model, amount: AMOUNT, params: await world.chain.params() });
const gonka = gonkaFetch({ kind: "devshard", privateKey: privateKeyHex, sourceUrl, stateFolder, fetch, clock });

const outcomes = {};
const answered = [];
const faults = [];
const samples = [];
let asked = 0;
let ended = 0;
await Promise.all(Array.from({ length: CALLERS }, keepAsking));
const seconds = (Date.now() - startMs) / 1000;
console.log(`${asked} asked in ${seconds.toFixed(0)} s, ${CALLERS} at once`);
for (const [outcome, count] of Object.entries(outcomes).sort()) console.log(`${String(count).padStart(8)}  ${outcome}`);

await told({ kind: "mend", byMs: LATE_MS });
clock.advance(LATE_MS);
await close();
judgeMemory();
for (const fault of faults) console.log(`✗ ${fault}`);
console.log(
  faults.length === 0
    ? "every answer was given once, paid once, and settled to the last unit"
    : `${faults.length} faults`,
);
child.disconnect();
await once(child, "exit");
rmSync(stateFolder, { recursive: true, force: true });
process.exit(faults.length === 0 ? 0 : 1);

async function keepAsking() {
  while (asked < chats) {
    const number = asked;
    asked += 1;
    const body = JSON.stringify({
      max_tokens: 60,
      messages: [{ role: "user", content: `question no. ${number}.` }],
      model,
      stream: number % 2 === 0,
    });
    const outcome = await ask(body, number).catch((error) => error.code ?? error.name);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    ended += 1;
    if (ended % Math.ceil(chats / SAMPLES) === 0) sample();
  }
}

async function ask(body, number) {
  const response = await gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.text();
  if (!response.ok) return `${response.status} ${response.headers.get("x-zeph-error-code") ?? ""}`;
  const events = text.startsWith("data: ") ? text.split("\n\n").filter((event) => event !== "") : undefined;
  if (events !== undefined && events.at(-1) !== "data: [DONE]") faults.push(`answer ${number} has no end`);
  const pieces = events === undefined ? [text] : events.slice(0, -1).map((event) => event.slice("data: ".length));
  const contents = pieces.map((piece) => {
    const [choice] = JSON.parse(piece).choices;
    return choice?.message?.content ?? choice?.delta?.content ?? "";
  });
  const times = contents.join("").split(`question no. ${number}.`).length - 1;
  if (times !== 1) faults.push(`answer ${number} holds its question ${times} times`);
  answered.push(body);
  return "answered";
}

/** As `zeph devshard close` beside a program that is still running. */
async function close() {
  const session = await openSession(world, escrow);
  session.releaseAnswers();
  for (let round = 0; round < 5 && session.ledger.live.length > 0; round += 1) {
    await session.pollMempools();
    await session.order();
    await claimTimeouts(session);
  }
  const settlement = await finalizeDevshard(session);
  await settleEscrow(world, settlement, session.journal);
  await comparePrompts(session);
  const { payments, violations, turns } = await told({ kind: "account" });
  faults.push(...violations);
  const own = payoutOf(settlement, AMOUNT);
  const expected = [{ why: "settled", refund: String(own.refund), perSlot: own.perSlot.map(String) }];
  if (JSON.stringify(payments) !== JSON.stringify(expected)) {
    faults.push(`the chain paid ${JSON.stringify(payments)}, the client's account is ${JSON.stringify(expected)}`);
  }
  const sum = own.perSlot.reduce((total, each) => total + each, own.refund);
  if (sum !== AMOUNT) faults.push(`${sum} of ${AMOUNT} were paid out`);
  const missed = settlement.hostStats.reduce((total, each) => total + each.missed, 0);
  console.log(
    `${settlement.nonce} orders, ${missed} given back after a timeout, ${turns} changes of faults; ` +
      `${AMOUNT - own.refund} ngonka paid, ${own.refund} back`,
  );
  await session.journal.close();
}

/** Every answer belongs to one finished order, and to one only. */
async function comparePrompts({ journal, ledger }) {
  const promptOf = new Map();
  const finishes = new Map();
  for (let from = 1; from <= ledger.nonce; from += 500) {
    for (const diff of await journal.diffs(from, Math.min(from + 499, ledger.nonce))) {
      for (const { kind, message } of fromDiffJson(diff).txs) {
        if (kind === "start") promptOf.set(message.inferenceId, Buffer.from(message.promptHash).toString("hex"));
        if (kind !== "finish") continue;
        const prompt = promptOf.get(message.inferenceId);
        finishes.set(prompt, (finishes.get(prompt) ?? 0) + 1);
      }
    }
  }
  let paidTwice = 0;
  let unpaid = 0;
  for (const body of answered) {
    const count = finishes.get(Buffer.from(promptHash(canonicalJson(body))).toString("hex")) ?? 0;
    if (count > 1) paidTwice += 1;
    if (count === 0) unpaid += 1;
  }
  console.log(`${answered.length} answers, ${[...finishes.values()].reduce((a, b) => a + b, 0)} finished orders`);
  if (paidTwice > 0) faults.push(`${paidTwice} answers were paid twice`);
  if (unpaid > 0) faults.push(`${unpaid} answers were given by nobody who was paid`);
}

function sample() {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  samples.push(heapUsed);
  console.log(
    `${String(ended).padStart(8)} chats  heap ${mib(heapUsed)}  buffers ${mib(arrayBuffers)}  resident ${mib(rss)}`,
  );
}

function judgeMemory() {
  // The first half warms up: code is compiled, pools and caches fill.
  const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
  const [middle, end] = [0.5, 0.75].map((from) => mean(samples.slice(from * SAMPLES, (from + 0.25) * SAMPLES)));
  console.log(`heap, third quarter ${mib(middle)}, last quarter ${mib(end)}`);
  if (end > middle * 1.1 + 2 ** 20) faults.push("memory grows");
}

function told(message) {
  const answer = once(child, "message");
  child.send(message);
  return answer.then(([given]) => given);
}

function mib(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
