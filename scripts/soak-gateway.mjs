// Runs `zeph serve` as its own process for a while under callers of every kind, polite and not, in front of a sandbox
// that misbehaves, and fails when that process's memory, sockets or timers grow. Loopback only.
//   SOAK_SECONDS=600 node scripts/soak-gateway.mjs        default 60; needs `npm run build`
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startSandbox } from "../dist/sandbox/index.js";

const seconds = Number(process.env.SOAK_SECONDS ?? 60);
const SAMPLES = 20;
const CALLERS = 24;
const PORT = 18_424;
const LOCAL_KEY = "sk-zeph-soak-local-key";
const MODEL = "sandbox/echo-1";
const FAULTS = [
  { kind: "status", status: 503 },
  { kind: "refuse", how: "reset" },
  { kind: "cut", afterFrames: 2 },
  { kind: "error-in-stream", afterFrames: 2 },
  { kind: "no-done" },
  { kind: "bad-json" },
  { kind: "html-page" },
  { kind: "hang-mid-stream", afterFrames: 2 },
];

const sandbox = await startSandbox();
const { baseURL: upstream, keys, faults } = sandbox.broker;
const home = zephHome();
const serve = fork(
  fileURLToPath(new URL("../dist/cli/main.js", import.meta.url)),
  ["serve", "--port", String(PORT), "--quiet"],
  {
    execArgv: ["--expose-gc", "--import", reporter()],
    env: {
      PATH: process.env.PATH,
      HOME: home,
      ZEPH_VAULT_BACKEND: "env",
      ZEPH_COMPATIBLE_SOAK_API_KEY: keys.good,
      ZEPH_LOCAL_GATEWAY_API_KEY: LOCAL_KEY,
    },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  },
);
await untilItAnswers();

const counts = {};
let running = true;
const troublemaker = setInterval(() => faults.next(FAULTS[Math.floor(Math.random() * FAULTS.length)]), 100);
const CALLS = [
  ["chat", () => drained(chat())],
  ["stream", () => drained(chat({ stream: true }))],
  ["stream", () => drained(chat({ stream: true, tags: ["removed"], tools: [recursiveTool()] }))],
  ["leaves at once", () => leave(0)],
  ["leaves in the middle", () => leave(2)],
  ["reads slowly, then leaves", slowReader],
  ["says nothing", () => silent("")],
  ["stops in its headers", () => silent("POST /v1/chat/completions HTTP/1.1\r\nHost: local")],
  [
    "stops in its body",
    () =>
      silent(
        `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nContent-Length: 900\r\n\r\n{"model"`,
      ),
  ],
  ["broken JSON", () => drained(ask("/v1/chat/completions", '{"model":'))],
  ["wrong key", () => drained(ask("/v1/models", undefined, { authorization: "Bearer no" }))],
  ["large", () => drained(chat({ messages: [{ role: "user", content: "x".repeat(300_000) }] }))],
  ["too large", () => drained(ask("/v1/chat/completions", "x".repeat(11 * 1024 * 1024)))],
  ["models", () => drained(ask("/v1/models"))],
  ["made-up names", () => drained(chat({ model: `m-${Math.random()}`, [`field-${Math.random()}`]: 1 }))],
  ["metrics", () => drained(ask("/metrics"))],
];
const callers = Array.from({ length: CALLERS }, (_, index) => keepCalling(index));
const samples = await takeSamples();
running = false;
clearInterval(troublemaker);
await Promise.all(callers);
const atRest = await memory();
serve.kill("SIGTERM");
const [exitCode] = await once(serve, "exit");
await sandbox.stop();
rmSync(home, { recursive: true });
report();

function zephHome() {
  const folder = mkdtempSync(join(tmpdir(), "zeph-soak-"));
  mkdirSync(join(folder, ".config/zeph"), { recursive: true });
  const record = `[[llm.providers]]\ntype = "compatible"\nname = "soak"\nbase_url = "${upstream}"\nmodel = "${MODEL}"\nmax_retries = 2\n`;
  writeFileSync(join(folder, ".config/zeph/config.toml"), record);
  return folder;
}

/** Loaded into the process that is watched: tells its memory after a collection, and what it holds open. */
function reporter() {
  const code = `process.on("message", () => {
    globalThis.gc();
    const resources = {};
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
    process.send({ ...process.memoryUsage(), resources });
  });
  process.channel?.unref();`;
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

async function memory() {
  serve.send("memory");
  const [told] = await once(serve, "message");
  return told;
}

async function untilItAnswers() {
  for (let tries = 0; tries < 200; tries += 1) {
    if (
      await fetch(`http://127.0.0.1:${PORT}/health`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("zeph serve does not answer");
}

/** One caller: a request of some kind, then the next. What fails is counted like what works. */
async function keepCalling(index) {
  for (let round = index; running; round += 1) {
    const [name, call] = CALLS[round % CALLS.length];
    const outcome = await call().catch((error) => error.cause?.code ?? error.code ?? error.name);
    const label = `${name}: ${outcome}`;
    counts[label] = (counts[label] ?? 0) + 1;
  }
}

function ask(path, body, headers = {}, signal = undefined) {
  return fetch(`http://127.0.0.1:${PORT}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${LOCAL_KEY}`, ...headers },
    body,
    signal,
  });
}

function chat(more = {}, signal = undefined) {
  const request = { model: MODEL, messages: [{ role: "user", content: "Write 60 words." }], ...more };
  return ask("/v1/chat/completions", JSON.stringify(request), {}, signal);
}

function recursiveTool() {
  const parameters = {
    type: "object",
    properties: { node: { $ref: "#/$defs/Node" } },
    $defs: { Node: { type: "object", properties: { next: { $ref: "#/$defs/Node" } } } },
  };
  return { type: "function", function: { name: "walk", parameters } };
}

/** A stream that hangs on purpose is left after a second. */
async function drained(asked) {
  const response = await asked;
  const reader = response.body?.getReader();
  const giveUp = setTimeout(() => reader?.cancel(), 1000);
  while (reader !== undefined && !(await reader.read()).done);
  clearTimeout(giveUp);
  return response.status;
}

async function leave(pieces) {
  const leaving = new AbortController();
  const asked = chat({ stream: true }, leaving.signal);
  if (pieces > 0) {
    const reader = (await asked).body.getReader();
    for (let read = 0; read < pieces; read += 1) await reader.read();
  }
  leaving.abort();
  await asked.catch(() => {});
  return "left";
}

async function slowReader() {
  const socket = connect(PORT, "127.0.0.1");
  socket.on("error", () => {});
  const body = JSON.stringify({
    model: MODEL,
    stream: true,
    messages: [{ role: "user", content: "Write 2000 words." }],
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  socket.destroy();
  return "left";
}

async function silent(words) {
  const socket = connect(PORT, "127.0.0.1");
  socket.on("error", () => {});
  if (words !== "") socket.write(words);
  await new Promise((resolve) => setTimeout(resolve, 200));
  // Every fourth stays, for the server to get rid of.
  if (Math.random() < 0.75) socket.destroy();
  return "said nothing";
}

async function takeSamples() {
  const taken = [];
  for (let index = 0; index < SAMPLES; index += 1) {
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / SAMPLES));
    const { heapUsed, external, rss, resources } = await memory();
    taken.push(heapUsed + external);
    const at = Math.round(((index + 1) * seconds) / SAMPLES);
    console.log(
      `${at} s  heap ${mib(heapUsed)}  outside it ${mib(external)}  resident ${mib(rss)}  ${JSON.stringify(resources)}`,
    );
  }
  return taken;
}

function report() {
  for (const [label, count] of Object.entries(counts).sort()) console.log(`${String(count).padStart(8)}  ${label}`);
  // The first half warms up: code is compiled, pools and caches fill.
  const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
  const before = mean(samples.slice(SAMPLES / 2, (SAMPLES * 3) / 4));
  const after = mean(samples.slice((SAMPLES * 3) / 4));
  const isFlat = after < before * 1.1 + 2 ** 20;
  console.log(
    `memory in use, third quarter ${mib(before)}, last quarter ${mib(after)}; at rest ${mib(atRest.heapUsed)}`,
  );
  console.log(`${isFlat ? "memory is flat" : "memory grows"}; exit code ${exitCode}`);
  process.exitCode = isFlat && exitCode === 0 ? 0 : 1;
}

function mib(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
