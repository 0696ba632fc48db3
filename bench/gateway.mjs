// zeph serve against the upstream itself, a plain reverse proxy and the Portkey gateway: all in one run, in turns, so that
// whatever else this computer does hits all of them alike. Requests per core are counted by the processor time that
// each gateway's own process used, which callers and upstream on the same computer do not disturb.
//   node bench/gateway.mjs [seconds per turn] [rounds] [--json]
import { startContenders } from "./gateway/contenders.mjs";
import { askForMs, askLong, askTimes, streamAtOnce } from "./gateway/load.mjs";
import { WORDS } from "./gateway/words.mjs";
import { median, quantile, table } from "./measure.mjs";

const numbers = process.argv.slice(2).map(Number).filter(Number.isFinite);
const [seconds = 2, rounds = 5] = numbers;
const CONCURRENT = [1, 32, 256];
const STREAMS = 200;
const WARM_UP_MS = 1500;
const fixed = (value, digits = 2) => value.toFixed(digits);

/** Runs `work` for one contender and says what its process used meanwhile. */
async function measured(contender, work) {
  const before = await contender.process.usage();
  const result = await work();
  const after = await contender.process.usage();
  return { ...result, cpuMs: after.cpuMs - before.cpuMs, rssBytes: after.rssBytes };
}

/** Every contender in turn, several times, the order turned round each time. */
async function inTurns(contenders, work) {
  const results = new Map(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      results.get(contender.name).push(await measured(contender, () => work(contender)));
    }
  }
  return results;
}

async function wholeAnswers(contenders, concurrent) {
  const results = await inTurns(contenders, (contender) => askForMs(contender, concurrent, seconds * 1000));
  const summary = [...results].map(([name, turns]) => {
    const all = turns.flatMap(({ latenciesMs }) => latenciesMs);
    const cpuMs = turns.reduce((sum, turn) => sum + turn.cpuMs, 0);
    return {
      name,
      // Per turn, then the middle one: a disturbance in one turn does not decide.
      p50: median(turns.map(({ latenciesMs }) => quantile(latenciesMs, 0.5))),
      p99: median(turns.map(({ latenciesMs }) => quantile(latenciesMs, 0.99))),
      perSecond: median(turns.map(({ latenciesMs, elapsedMs }) => (latenciesMs.length / elapsedMs) * 1000)),
      perCoreSecond: (all.length / cpuMs) * 1000,
      rssMiB: Math.max(...turns.map(({ rssBytes }) => rssBytes)) / 2 ** 20,
    };
  });
  const direct = summary[0];
  console.log(`\nWhole answers, ${concurrent} at a time`);
  table(
    ["", "p50 ms", "added", "p99 ms", "added", "req/s", "req/s per core", "MiB"],
    summary.map((each) => [
      each.name,
      fixed(each.p50),
      each === direct ? "" : fixed(each.p50 - direct.p50),
      fixed(each.p99),
      each === direct ? "" : fixed(each.p99 - direct.p99),
      fixed(each.perSecond, 0),
      fixed(each.perCoreSecond, 0),
      fixed(each.rssMiB, 0),
    ]),
  );
  return summary;
}

async function streams(contenders) {
  const results = await inTurns(contenders, async (contender) => ({ answers: await streamAtOnce(contender, STREAMS) }));
  const summary = [...results].map(([name, turns]) => ({
    name,
    first50: median(
      turns.map(({ answers }) =>
        quantile(
          answers.map(({ firstMs }) => firstMs),
          0.5,
        ),
      ),
    ),
    first99: median(
      turns.map(({ answers }) =>
        quantile(
          answers.map(({ firstMs }) => firstMs),
          0.99,
        ),
      ),
    ),
    whole50: median(
      turns.map(({ answers }) =>
        quantile(
          answers.map(({ elapsedMs }) => elapsedMs),
          0.5,
        ),
      ),
    ),
    whole99: median(
      turns.map(({ answers }) =>
        quantile(
          answers.map(({ elapsedMs }) => elapsedMs),
          0.99,
        ),
      ),
    ),
    // With the request itself, shared out over its chunks: what a chunk costs at this pace.
    cpuMicrosPerChunk: (turns.reduce((sum, turn) => sum + turn.cpuMs, 0) / (turns.length * STREAMS * WORDS)) * 1000,
    cpuMsPerStream: turns.reduce((sum, turn) => sum + turn.cpuMs, 0) / (turns.length * STREAMS),
    rssMiB: Math.max(...turns.map(({ rssBytes }) => rssBytes)) / 2 ** 20,
  }));
  console.log(`\n${STREAMS} streams at once, 50 words of each 20 ms apart`);
  table(
    ["", "first byte p50", "p99", "whole p50", "p99", "processor ms per stream", "µs per chunk", "MiB"],
    summary.map((each) => [
      each.name,
      fixed(each.first50, 1),
      fixed(each.first99, 1),
      fixed(each.whole50, 0),
      fixed(each.whole99, 0),
      fixed(each.cpuMsPerStream, 2),
      fixed(each.cpuMicrosPerChunk, 1),
      fixed(each.rssMiB, 0),
    ]),
  );
  return summary;
}

/** Requests one after the other, counted in processor time only. */
async function processorTime(title, contenders, ask) {
  const results = await inTurns(contenders, ask);
  const summary = [...results].map(([name, turns]) => ({
    name,
    cpuMs: median(turns.map(({ cpuMs, count }) => cpuMs / count)),
  }));
  console.log(`\n${title}`);
  table(
    ["", "processor ms per request"],
    summary.map(({ name, cpuMs }) => [name, fixed(cpuMs, 3)]),
  );
  return summary;
}

const { contenders, stop } = await startContenders({
  zephArguments: process.argv.includes("--quiet") ? ["--quiet"] : [],
  ...(process.env.ZEPH_BENCH_CLI === undefined ? {} : { dist: process.env.ZEPH_BENCH_CLI }),
  ...(process.env.ZEPH_BENCH_BEFORE === undefined ? {} : { before: process.env.ZEPH_BENCH_BEFORE }),
});
try {
  console.log("The first 40 requests of a process");
  for (const contender of contenders) {
    const { cpuMs } = await measured(contender, () => askTimes(contender, 40));
    console.log(`${contender.name}: ${fixed(cpuMs / 40)} ms of the processor each`);
  }
  for (const contender of contenders) await askForMs(contender, 32, WARM_UP_MS);
  const whole = {};
  for (const concurrent of CONCURRENT) whole[concurrent] = await wholeAnswers(contenders, concurrent);
  await processorTime("Small prompts, one at a time", contenders, (contender) => askTimes(contender, 300));
  await processorTime("Prompts of 1 MB, one at a time", contenders, (contender) => askLong(contender, 20));
  const streamed = await streams(contenders);
  if (process.argv.includes("--json")) console.log(JSON.stringify({ whole, streamed }));
} finally {
  stop();
}
