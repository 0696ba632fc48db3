// `npm run soak -- serve [requests]`: 10,000 requests with names of their own through a real `zeph serve`, a third of them
// met by a fault of the upstream, which is written here and counts what it did for each name. Fails when a caller gets no
// answer or two, an answer is somebody else's, work is done twice for one request, or memory grows. Loopback only.
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const requests = Number(process.argv[3] ?? 10_000);
const CALLERS = 32;
const KEY = "sk-zeph-soak-upstream-key";
const LOCAL_KEY = "sk-zeph-soak-local-key-of-this-run";
const MODEL = "soak/echo";

/** What the model says to a name: nobody else's answer looks like it. */
const answerTo = (name) => createHash("sha256").update(name).digest("hex");

/** How often the upstream did the work for a name, which is when a real one would charge. */
const worked = new Map();
const seen = new Map();

/** The faults: those before any work may be repeated by whoever stands between, those after it may not. */
const FAULTS = {
  "503 before work": ({ res }) => fail(res, 503),
  "429 before work": ({ res }) => fail(res, 429, { "retry-after": "0" }),
  // An error in words is no answer, and nobody charges for one.
  "500 before an answer": ({ res }) => fail(res, 500),
  "reset after work": ({ req, work }) => {
    work();
    req.socket.resetAndDestroy();
  },
  "cut in the middle": ({ res, work, stream }) => {
    const text = work();
    if (!stream) {
      res.writeHead(200, { "content-type": "application/json", "content-length": "500" });
      return res.write('{"choices":[{"mess', () => res.destroy());
    }
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write(`data: ${JSON.stringify(chunk({ delta: { content: text.slice(0, 9) } }))}\n\n`, () => res.destroy());
  },
  "error in the stream": ({ res, work, stream }) => {
    work();
    res.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
    const error = JSON.stringify({ error: { message: "engine died", type: "server_error" } });
    res.end(stream ? `data: ${error}\n\ndata: [DONE]\n\n` : error);
  },
  "not JSON": ({ res, work }) => {
    work();
    res.writeHead(200, { "content-type": "application/json" });
    res.end("<html>");
  },
};

const upstream = createServer((req, res) => {
  if (req.headers.authorization !== `Bearer ${KEY}`) return fail(res, 401);
  if (req.method === "GET") return json(res, { object: "list", data: [{ id: MODEL, object: "model" }] });
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => {
    const { messages, stream = false } = JSON.parse(Buffer.concat(parts).toString("utf8"));
    const name = messages.at(-1).content;
    const attempt = count(seen, name);
    const work = () => {
      count(worked, name);
      return answerTo(name);
    };
    // Decided by the name alone, so that a run can be repeated; a fault is met once by each name.
    const dice = createHash("md5").update(name).digest().readUInt32BE();
    const fault =
      dice % 3 === 0 && attempt === 1 ? Object.keys(FAULTS)[(dice >>> 8) % Object.keys(FAULTS).length] : "none";
    if (fault !== "none") return FAULTS[fault]({ req, res, work, stream });
    const text = work();
    const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 };
    if (!stream)
      return json(res, { ...chunk({ message: { role: "assistant", content: text }, finish_reason: "stop" }), usage });
    res.writeHead(200, { "content-type": "text/event-stream" });
    const pieces = text.match(/.{1,16}/g).map((content) => chunk({ delta: { content } }));
    for (const piece of [...pieces, { ...chunk({ delta: {}, finish_reason: "stop" }), usage }]) {
      res.write(`data: ${JSON.stringify(piece)}\n\n`);
    }
    res.end("data: [DONE]\n\n");
  });
});
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");

const home = mkdtempSync(join(tmpdir(), "zeph-soak-"));
mkdirSync(join(home, ".config/zeph"), { recursive: true, mode: 0o700 });
writeFileSync(
  join(home, ".config/zeph/config.toml"),
  `[[llm.providers]]\ntype = "compatible"\nname = "soak"\nbase_url = "http://127.0.0.1:${upstream.address().port}/v1"\nmodel = "${MODEL}"\n`,
  { mode: 0o600 },
);
const serve = fork(fileURLToPath(new URL("../dist/cli/main.js", import.meta.url)), ["serve", "--port", "0", "--json"], {
  execArgv: [
    "--expose-gc",
    "--import",
    "data:text/javascript,process.on('message',()=>{gc();process.send({heap:process.memoryUsage().heapUsed,rss:process.memoryUsage().rss})});process.channel.unref()",
  ],
  env: {
    PATH: process.env.PATH,
    HOME: home,
    ZEPH_VAULT_BACKEND: "env",
    ZEPH_COMPATIBLE_SOAK_API_KEY: KEY,
    ZEPH_LOCAL_GATEWAY_API_KEY: LOCAL_KEY,
  },
  stdio: ["ignore", "pipe", "pipe", "ipc"],
});
let told = "";
for (const output of [serve.stdout, serve.stderr]) output.on("data", (text) => (told = (told + text).slice(-20_000)));
const url = await listeningAt();

const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
const outcomes = {};
const faults = [];
const memory = [];
let next = 0;
await Promise.all(Array.from({ length: CALLERS }, keepAsking));
serve.kill("SIGTERM");
const [code] = await once(serve, "exit");
upstream.close();
upstream.closeAllConnections();
rmSync(home, { recursive: true });

const twice = [...worked].filter(([, times]) => times > 1);
for (const [name, times] of twice) faults.push(`${name}: worked for ${times} times`);
const heapMiB = memory.map(({ heap }) => heap / 2 ** 20);
// The first tenth fills pools and caches; after it nothing may grow with the number of requests.
const grownMiB = heapMiB.at(-1) - heapMiB[1];
if (grownMiB > 8)
  faults.push(`the heap grew by ${grownMiB.toFixed(1)} MiB: ${heapMiB.map((each) => each.toFixed(0)).join(" ")}`);
if (code !== 0) faults.push(`zeph serve ended with ${code}: ${told.slice(-500)}`);
const answered = Object.values(outcomes).reduce((sum, each) => sum + each, 0);
console.log(`${answered} of ${requests} answered once:`, outcomes);
console.log(`work done for ${worked.size} names, more than once for ${twice.length}`);
console.log(`heap ${heapMiB.map((each) => each.toFixed(1)).join(" ")} MiB`);
for (const fault of faults.slice(0, 20)) console.error(fault);
process.exit(faults.length === 0 && answered === requests ? 0 : 1);

async function keepAsking() {
  while (next < requests) {
    const index = next;
    next += 1;
    if (index % Math.ceil(requests / 10) === 0) {
      serve.send("memory");
      memory.push((await once(serve, "message"))[0]);
    }
    const name = `question ${index} of run ${process.pid}`;
    const stream = index % 2 === 0;
    const outcome = await ask(name, stream);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
}

function ask(name, stream) {
  const body = JSON.stringify({ model: MODEL, stream, messages: [{ role: "user", content: name }] });
  return new Promise((resolve) => {
    const give = (outcome, fault) => {
      faults.push(`${name}: ${fault}`);
      resolve(outcome);
    };
    const headers = {
      authorization: `Bearer ${LOCAL_KEY}`,
      "content-type": "application/json",
      "content-length": body.length,
    };
    const req = request(`${url}/chat/completions`, { method: "POST", agent, headers, timeout: 60_000 }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (piece) => (text += piece));
      res.on("error", () => give("broken", "the answer broke off"));
      res.on("end", () => resolve(judge(name, res.statusCode, text, stream)));
    });
    req.on("timeout", () => req.destroy(new Error("timed out")));
    req.on("error", (error) => give("nothing", error.message));
    req.end(body);
  });
}

/** An answer is whole and this name's own, or an error that says so; never half of one taken for whole. */
function judge(name, status, text, stream) {
  if (status !== 200) {
    if (typeof JSON.parse(text).error?.message !== "string") faults.push(`${name}: ${status} ${text.slice(0, 100)}`);
    return `error ${status}`;
  }
  if (!stream) {
    const said = JSON.parse(text).choices[0].message.content;
    if (said !== answerTo(name)) faults.push(`${name}: got ${said}`);
    return "whole";
  }
  const events = text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []));
  const values = events.filter((event) => event !== "[DONE]").map((event) => JSON.parse(event));
  if (values.some(({ error }) => error !== undefined)) return "error in the stream";
  const said = values.map(({ choices }) => choices[0]?.delta?.content ?? "").join("");
  if (said !== answerTo(name) || events.filter((event) => event === "[DONE]").length !== 1)
    faults.push(`${name}: got ${text.slice(-300)}`);
  return "whole stream";
}

function chunk(choice) {
  return {
    id: "soak",
    object: "chat.completion",
    created: 1,
    model: MODEL,
    choices: [{ index: 0, finish_reason: null, ...choice }],
  };
}

function json(res, value) {
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify(value));
}

function fail(res, status, headers = {}) {
  res.writeHead(status, { "content-type": "application/json", ...headers });
  res.end(JSON.stringify({ error: { message: `soak ${status}`, type: "server_error" } }));
}

function count(map, name) {
  const times = (map.get(name) ?? 0) + 1;
  map.set(name, times);
  return times;
}

async function listeningAt() {
  for await (const _ of serve.stdout) {
    const found = /http:\/\/127\.0\.0\.1:\d+\/v1/.exec(told);
    if (found) {
      serve.stdout.resume();
      return found[0];
    }
  }
  throw new Error(`zeph serve did not begin: ${told}`);
}
