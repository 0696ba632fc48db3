// Signatures per second, side by side:
//   npm run build && npm ci --ignore-scripts --prefix bench && node bench/signer.mjs [rounds]
//
// Every contender does the whole work of one request: body bytes, timestamp and address in, base64 out. All must give
// the same signature before anything is timed. They take turns, each turn in a process of its own, so that neither the
// garbage of one nor the load of the machine falls on another alone. Processor time is counted; the median turn is shown.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { BODY, contenders } from "./contenders.mjs";

const ROUNDS = 5;
// The engine compiles WebAssembly twice: fast first, then well, in the background. Only the second counts.
const WARM_UP_MS = 1000;
const TURN_MS = 800;
const AIM_OVER_GONKA_OPENAI = 5;
const AIM_UNDER_NATIVE = 3;
const START = 1_755_734_400_123_456_789n;

if (process.argv[2] === "--turn") console.log(JSON.stringify(await turn(process.argv[3])));
else compare(Number(process.argv[2] ?? ROUNDS));

async function turn(name) {
  const sign = await contenders[name]();
  const signature = await sign(START);
  await rate(sign, WARM_UP_MS);
  return { signature, perSecond: await rate(sign, TURN_MS) };
}

async function rate(sign, forMs) {
  let timestamp = START;
  const begin = process.cpuUsage();
  while (elapsedMs(begin) < forMs) {
    for (let index = 0; index < 20; index++) {
      timestamp += 1n;
      const signature = sign(timestamp);
      if (typeof signature !== "string") await signature;
    }
  }
  return (Number(timestamp - START) * 1000) / elapsedMs(begin);
}

function elapsedMs(begin) {
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1000;
}

function compare(rounds) {
  const turns = Array.from({ length: rounds }, () =>
    Object.keys(contenders).map((name) => ({ name, ...spawnTurn(name) })),
  );
  const [first] = turns.flat();
  const stranger = turns.flat().find(({ signature }) => signature !== first.signature);
  if (stranger !== undefined) throw new Error(`${stranger.name} signs something else`);

  const medians = Object.fromEntries(
    Object.keys(contenders).map((name) => [name, median(turns.flat().filter((one) => one.name === name))]),
  );
  console.log(
    `node ${process.version}, ${process.platform}-${process.arch}, ${BODY.length}-byte body, ${rounds} rounds\n`,
  );
  console.log("signatures per CPU second    median   zeph is");
  for (const [name, perSecond] of Object.entries(medians)) {
    const factor = name === "zeph" ? "" : `${(medians.zeph / perSecond).toFixed(2)} x as fast`;
    console.log(`${name.padEnd(26)} ${Math.round(perSecond).toString().padStart(8)}   ${factor}`);
  }
  const overPeer = medians.zeph / medians["gonka-openai 0.2.2"];
  const underNative = medians["secp256k1 5.0.2 (native)"] / medians.zeph;
  console.log(`\nat least ${AIM_OVER_GONKA_OPENAI} x gonka-openai: ${verdict(overPeer >= AIM_OVER_GONKA_OPENAI)}`);
  console.log(`at most ${AIM_UNDER_NATIVE} x slower than native: ${verdict(underNative <= AIM_UNDER_NATIVE)}`);
}

function spawnTurn(name) {
  const self = fileURLToPath(import.meta.url);
  return JSON.parse(execFileSync(process.execPath, [self, "--turn", name], { encoding: "utf8" }));
}

function median(turns) {
  return turns.map(({ perSecond }) => perSecond).toSorted((a, b) => a - b)[turns.length >> 1];
}

function verdict(reached) {
  return reached ? "reached" : "MISSED";
}
