// The devshard core by itself, no network; the journal last, on the disk:
//   npm run build && node --expose-gc bench/devshard.mjs [diffs]
//
// One session of 16 hosts as a busy client sees it: every diff confirms the inference before, finishes the one before
// that and starts the next, and about a hundred inferences are open. What the hosts sign is made before the clock runs.
// Processor time is counted, so that the load of the machine matters little.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../dist/base/time.js";
import { DevshardJournal } from "../dist/transport/devshard-journal.js";
import { applyDiff, composeDiff, replayDiff, signDiff } from "../dist/wire/devshard/compose.js";
import { Ledger } from "../dist/wire/devshard/ledger.js";
import { devshardTx, EXECUTOR_RECEIPT, FINISH_INFERENCE } from "../dist/wire/devshard/messages.js";
import { devshardSigner, recoverAddress } from "../dist/wire/devshard/signing.js";
import { table } from "./measure.mjs";

const DIFFS = Number(process.argv[2] ?? 10_000);
const SLOTS = 16;
const AIM_PER_SECOND = 2000;
const RULES = { isGranted: () => false };

const signer = (scalar) => devshardSigner(Buffer.from(scalar.toString(16).padStart(64, "0"), "hex"));
const hosts = Array.from({ length: SLOTS }, (_, slot) => signer(0x1000 + slot));
const user = signer(0x21);
const config = {
  escrowId: "42",
  version: "v4",
  group: hosts.map(({ address }) => address),
  user: user.address,
  amount: 10n ** 15n,
  tokenPrice: 1n,
  createDevshardFee: 10_000n,
  feePerNonce: 1_000n,
  voteThreshold: 8,
  sealGraceNonces: 90,
  sealGraceSeconds: 60,
  autoSealEvery: 10,
};

const hash = Buffer.alloc(32, 7);
const terms = (id) => ({ promptHash: hash, model: "llama", inputLength: 400n, maxTokens: 200n, startedAt: 1000n + id });

function start(id) {
  return devshardTx("start", { inferenceId: id, ...terms(id) });
}

function confirm(id) {
  const confirmedAt = 1001n + id;
  const receipt = EXECUTOR_RECEIPT.encode({ inferenceId: id, ...terms(id), escrowId: "42", confirmedAt });
  return devshardTx("confirm", { inferenceId: id, executorSig: hosts[Number(id) % SLOTS].sign(receipt), confirmedAt });
}

function finish(id) {
  const executorSlot = Number(id) % SLOTS;
  const message = {
    inferenceId: id,
    responseHash: hash,
    inputTokens: 100n,
    outputTokens: 50n,
    executorSlot,
    proposerSig: new Uint8Array(),
    escrowId: "42",
  };
  return devshardTx("finish", { ...message, proposerSig: hosts[executorSlot].sign(FINISH_INFERENCE.encode(message)) });
}

function candidates(nonce) {
  const id = BigInt(nonce);
  return [...(id > 1n ? [confirm(id - 1n)] : []), ...(id > 2n ? [finish(id - 2n)] : []), start(id)];
}

const work = Array.from({ length: DIFFS }, (_, index) => candidates(index + 1));
const rows = [];

function microseconds(body) {
  const begin = process.cpuUsage();
  body();
  const { user: inUser, system } = process.cpuUsage(begin);
  return inUser + system;
}

function row(what, micros) {
  rows.push([what, Math.round(1_000_000 / micros).toLocaleString("en"), micros.toFixed(0)]);
}

function measure(what, count, body) {
  row(what, microseconds(body) / count);
}

function compose(ledger, txs) {
  const composed = composeDiff(ledger, txs, RULES);
  if (composed.skipped.length > 0) throw composed.skipped[0].refusal;
  return signDiff(composed, "42", user);
}

/** As a session does it: what a host signed is checked when it arrives, before the next diff is composed. */
function arrive(txs) {
  for (const { kind, message } of txs) {
    if (kind === "finish")
      recoverAddress(FINISH_INFERENCE.encode({ ...message, proposerSig: new Uint8Array() }), message.proposerSig);
    if (kind !== "confirm") continue;
    const { inferenceId, confirmedAt, executorSig } = message;
    const receipt = { inferenceId, ...terms(inferenceId), escrowId: "42", confirmedAt };
    recoverAddress(EXECUTOR_RECEIPT.encode(receipt), executorSig);
  }
}

// The engine compiles on first use.
const warmUp = new Ledger(config);
for (const txs of work.slice(0, 2000)) {
  arrive(txs);
  compose(warmUp, txs);
}

// In batches, because the clock of the processor is coarse.
const BATCH = 100;
const client = new Ledger(config);
const journal = [];
const spent = { arriving: 0, composing: 0 };
for (let from = 0; from < DIFFS; from += BATCH) {
  const batch = work.slice(from, from + BATCH);
  spent.arriving += microseconds(() => batch.forEach(arrive));
  spent.composing += microseconds(() => {
    for (const txs of batch) journal.push(compose(client, txs));
  });
}
row("two host signatures checked when they arrive", spent.arriving / DIFFS);
row("a diff with both and a start composed, applied, signed", spent.composing / DIFFS);
row("the two together", (spent.arriving + spent.composing) / DIFFS);
const open = client.live.length;

const lean = new Ledger({ ...config, sealGraceNonces: 1e6 });
measure("composed, applied and signed, one start in each", Math.min(DIFFS, 2000), () => {
  for (let nonce = 1; nonce <= Math.min(DIFFS, 2000); nonce++) compose(lean, [start(BigInt(nonce))]);
});

measure("strictly applied by a host, every signature checked", DIFFS, () => {
  const ledger = new Ledger(config);
  for (const diff of journal) applyDiff(ledger, diff, RULES);
});

measure("replayed from the journal, every root compared", DIFFS, () => {
  const ledger = new Ledger(config);
  for (const diff of journal) replayDiff(ledger, diff);
});

const records = [...client.live];
measure(`state root after a change, ${SLOTS} slots, ${open} open`, 20_000, () => {
  for (let index = 0; index < 20_000; index++) {
    client.putInference(records[index % records.length]);
    client.putHostStats(client.hostStats[index % SLOTS]);
    client.root();
    client.begin();
  }
});

/** The journal of one session as a session keeps it: each diff applied, signed and on the disk before the next. */
async function measureJournal() {
  const folder = mkdtempSync(join(tmpdir(), "zeph-bench-"));
  const facts = { chainId: "bench", model: "llama", epochIndex: 1n, openedAtMs: Date.now(), config };
  let journal = await DevshardJournal.create(folder, facts, systemClock);
  const heaps = [];
  const begin = process.cpuUsage();
  for (let from = 0; from < DIFFS; from += BATCH) {
    await journal.exclusive(async (writer) => {
      for (const txs of work.slice(from, from + BATCH)) {
        const composed = composeDiff(journal.ledger, txs, RULES);
        await writer.appendDiff(signDiff(composed, "42", user), composed.warmKeys);
      }
    });
    if ((from + BATCH) % (DIFFS / 10) !== 0) continue;
    globalThis.gc?.();
    heaps.push((process.memoryUsage().heapUsed / 2 ** 20).toFixed(1));
  }
  const { user: inUser, system } = process.cpuUsage(begin);
  row("composed, signed and written durably, host signatures known or not", (inUser + system) / DIFFS);
  await journal.close();
  for (const what of ["read from its snapshot on", "read from its first line, every root compared"]) {
    const since = process.cpuUsage();
    journal = await DevshardJournal.open(folder, systemClock);
    const spent = process.cpuUsage(since);
    row(`journal of ${DIFFS} diffs ${what}`, (spent.user + spent.system) / DIFFS);
    if (journal.ledger.nonce !== DIFFS) throw new Error(`only ${journal.ledger.nonce} diffs were read`);
    await journal.close();
    rmSync(join(folder, "snapshot.json"), { force: true });
  }
  rmSync(folder, { recursive: true });
  return heaps;
}
const heaps = await measureJournal();

console.log(
  `node ${process.version}, ${process.platform}-${process.arch}, ${DIFFS} diffs, ${SLOTS} hosts, ${open} open\n`,
);
table(["what", "per CPU second", "µs each"], rows);
if (globalThis.gc !== undefined) console.log(`\nheap at each tenth of the journal, MiB: ${heaps.join(" ")}`);
const perSecond = 1_000_000 / (spent.composing / DIFFS);
console.log(
  `\nat least ${AIM_PER_SECOND} diffs signed a second, their parts checked before: ${perSecond >= AIM_PER_SECOND ? "reached" : "MISSED"}`,
);
