// `npm run soak -- NAME` runs another: `vault` kills changes of a vault, `devshard` the life of an escrow, `devshard-chats`
// chats over an escrow with faulty hosts, `serve` counts requests through `zeph serve`. See soak-NAME.mjs.
//
// Runs the local endpoint and both kinds of connection for a long time against a sandbox that misbehaves, and fails when
// memory grows. `SOAK_SECONDS=3600 npm run soak`; default 120. Loopback only.
import { fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { listen, localGateway } from "../dist/gateway/index.js";
import { gonkaFetch, RequestSigner } from "../dist/index.js";

if (["devshard", "devshard-chats", "serve", "vault"].includes(process.argv[2])) {
  await import(`./soak-${process.argv[2]}.mjs`);
  process.exit();
}

const seconds = Number(process.env.SOAK_SECONDS ?? 120);
const SAMPLES = 24;
const CALLERS = 16;
const LOCAL_KEY = "soak-key";
const MODEL = "sandbox/echo-1";

const child = fork(fileURLToPath(new URL("soak-sandbox.mjs", import.meta.url)), {
  stdio: ["ignore", "pipe", "inherit", "ipc"],
});
const [line] = await once(createInterface(child.stdout), "line");
const { baseURL, key, nodes, privateKeyHex } = JSON.parse(line);

const quick = { deadlines: { headersMs: 5_000 }, maxAttempts: 2 };
const upstream = gonkaFetch({ kind: "broker", baseURL, apiKey: key, ...quick });
const signer = RequestSigner.fromHex(privateKeyHex);
const native = gonkaFetch({ kind: "native", signer, endpoints: nodes, ...quick });
const gateway = localGateway({ upstream, key: LOCAL_KEY });
const listening = await listen(gateway, { port: 0 });

const CALLS = [
  ["chat", async () => drained(await ask(chat()))],
  ["stream", async () => drained(await ask(chat({ stream: true })))],
  ["stream", async () => drained(await ask(chat({ stream: true })))],
  ["caller leaves", leave],
  ["malformed", async () => drained(await ask("{"))],
  ["wrong key", async () => drained(await ask(chat(), { headers: { authorization: "Bearer no" } }))],
  ["large", async () => drained(await ask(chat({ messages: [{ role: "user", content: "x".repeat(200_000) }] })))],
  ["embeddings", async () => drained(await ask('{"model":"sandbox/embed-1","input":"x"}', { path: "/embeddings" }))],
  ["signed", askSigned],
];

const counts = {};
let running = true;
const callers = Array.from({ length: CALLERS }, (_, index) => keepCalling(index));
const samples = await takeSamples();
running = false;
await Promise.all(callers);
await listening.close({ graceMs: 5_000 });
child.disconnect();
await once(child, "exit");
report();

/** One caller: a request of some kind, then the next, until the end. Failures are part of it; they are counted. */
async function keepCalling(index) {
  for (let round = index; running; round += 1) {
    const [name, call] = CALLS[round % CALLS.length];
    const outcome = await call().catch((error) => error.code ?? error.name);
    const label = `${name}: ${outcome}`;
    counts[label] = (counts[label] ?? 0) + 1;
  }
}

function ask(body, { headers = {}, signal, path = "/chat/completions" } = {}) {
  return fetch(`${listening.baseURL}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${LOCAL_KEY}`, "content-type": "application/json", ...headers },
    body,
    signal,
  });
}

function chat(more = {}) {
  return JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Write 60 words." }], ...more });
}

/** Reads to the end; a stream that breaks is an outcome like another. */
async function drained(response) {
  await response.arrayBuffer();
  return response.status;
}

/** Leaves in the middle of the answer. Reads no more after that: Node 20's own fetch may never settle such a read. */
async function leave() {
  const leaving = new AbortController();
  const response = await ask(chat({ stream: true }), { signal: leaving.signal });
  await response.body.getReader().read();
  leaving.abort();
  return "left";
}

async function askSigned() {
  const response = await native(`${native.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: chat({ max_tokens: 100, stream: true }),
  });
  return drained(response);
}

async function takeSamples() {
  const taken = [];
  for (let index = 0; index < SAMPLES; index += 1) {
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / SAMPLES));
    globalThis.gc();
    const { heapUsed, rss } = process.memoryUsage();
    taken.push({ heapUsed, rss });
    console.log(`${Math.round(((index + 1) * seconds) / SAMPLES)} s  heap ${mib(heapUsed)}  resident ${mib(rss)}`);
  }
  return taken;
}

function report() {
  for (const [label, count] of Object.entries(counts).sort()) console.log(`${String(count).padStart(8)}  ${label}`);
  // The first half warms up: code is compiled, pools and caches fill.
  const middle = mean(samples.slice(SAMPLES / 2, (SAMPLES * 3) / 4));
  const end = mean(samples.slice((SAMPLES * 3) / 4));
  console.log(`heap, third quarter ${mib(middle)}, last quarter ${mib(end)}`);
  const isFlat = end < middle * 1.1 + 2 ** 20;
  console.log(isFlat ? "memory is flat" : "memory grows");
  process.exitCode = isFlat ? 0 : 1;
}

function mean(list) {
  return list.reduce((sum, { heapUsed }) => sum + heapUsed, 0) / list.length;
}

function mib(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
