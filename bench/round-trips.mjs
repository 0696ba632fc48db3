// Whole signed round trips (body, signature, HTTP, JSON answer) against gonka-openai from npm, in one run:
//   npm run build && npm ci --ignore-scripts --prefix bench && node bench/round-trips.mjs [rounds]
//
// One server in a process of its own reads every body and answers JSON. It verifies the first signatures of every
// contender with node:crypto (phase 1 for gonka-openai 0.2.2, which knows no other) and then only answers, because OpenSSL
// takes longer to verify than anybody takes to sign. The contenders take turns. Both use Node's own fetch.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { median, table } from "./measure.mjs";

// A published test key; never fund it.
const KEY_HEX = "65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b";
const NODE = "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le";
const MESSAGES = [{ role: "user", content: "x".repeat(1000) }];
const BODY = JSON.stringify({ model: "m", messages: MESSAGES });
const VERIFIED = 20;
const WARM_UP = 300;
const SEQUENTIAL = 400;
const PARALLEL = 1200;
const AT_ONCE = 16;

if (process.argv[2] === "--server") await serve();
else await compare(Number(process.argv[2] ?? 7));

async function serve() {
  const { signingInput } = await import("../dist/sandbox/crypto.js");
  const { verifySignature } = await import("../dist/sandbox/crypto.js");
  const { RequestSigner } = await import("../dist/signer/index.js");
  const { publicKey } = RequestSigner.fromHex(KEY_HEX);
  const key = Buffer.from(publicKey);
  // gonka-openai 0.2.2 signs the body itself, as networks before v0.2.6 took it; its own work is what is measured.
  const signedText = (phase, parts) =>
    phase === 1
      ? Buffer.concat([parts.body, Buffer.from(`${parts.timestampNanos}${parts.transferAddress}`)])
      : signingInput(parts);
  const seen = new Map();
  const completion = JSON.stringify({
    id: "x",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  });
  const server = createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      const [, contender = "", phase] = /^\/([^/]+)-phase-(\d)\//.exec(request.url) ?? [];
      const count = (seen.get(contender) ?? 0) + 1;
      seen.set(contender, count);
      const mustVerify = request.method === "POST" && phase !== "0" && count <= VERIFIED;
      const parts = () => ({
        body: Buffer.concat(pieces),
        timestampNanos: BigInt(request.headers["x-timestamp"]),
        transferAddress: NODE,
      });
      const fault = mustVerify
        ? verifySignature(key, signedText(Number(phase), parts()), request.headers.authorization)
        : undefined;
      response.writeHead(fault === undefined ? 200 : 401, { "content-type": "application/json" });
      response.end(fault === undefined ? completion : JSON.stringify({ error: fault }));
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

async function contenders(port) {
  const { gonkaFetch, RequestSigner } = await import("../dist/index.js");
  const { gonkaOpenAIOptions } = await import("../dist/openai/index.js");
  // The root's openai is a current one; gonka-openai brings version 4.
  const { default: OpenAI } = await import("../node_modules/openai/index.mjs");
  const peer = await import("gonka-openai");
  const url = (name, phase) => `http://127.0.0.1:${port}/${name}-phase-${phase}/v1`;
  const post = async (send, base) => {
    const response = await send(`${base}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: BODY,
    });
    if (!response.ok) throw new Error(`${base}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const connection = (name) => ({
    kind: "native",
    signer: RequestSigner.fromHex(KEY_HEX),
    endpoints: [{ baseURL: url(name, 3), address: NODE }],
  });
  const zeph = gonkaFetch(connection("zeph-fetch"));
  const peerFetch = peer.gonkaFetch({
    gonkaPrivateKey: KEY_HEX,
    selectedEndpoint: { url: url("peer-fetch", 1), transferAddress: NODE },
  });
  const ourClient = new OpenAI(gonkaOpenAIOptions(connection("zeph-client")));
  const peerClient = new peer.GonkaOpenAI({
    gonkaPrivateKey: KEY_HEX,
    endpoints: [{ url: url("peer-client", 1), transferAddress: NODE }],
  });
  const create = (client) => client.chat.completions.create({ model: "m", messages: MESSAGES });
  return {
    "fetch, nothing signed": () => post(fetch, url("plain", 0)),
    "zeph gonkaFetch": () => post(zeph, zeph.baseURL),
    "gonka-openai 0.2.2 gonkaFetch": () => post(peerFetch, url("peer-fetch", 1)),
    "openai 6 with zeph/openai": () => create(ourClient),
    "GonkaOpenAI 0.2.2 (openai 4)": () => create(peerClient),
  };
}

async function measure(send) {
  const begin = process.cpuUsage();
  const one = performance.now();
  for (let i = 0; i < SEQUENTIAL; i += 1) await send();
  const many = performance.now();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let i = 0; i < PARALLEL / AT_ONCE; i += 1) await send();
    }),
  );
  const end = performance.now();
  const { user, system } = process.cpuUsage(begin);
  return {
    oneAtATime: (SEQUENTIAL * 1000) / (many - one),
    atOnce: (PARALLEL * 1000) / (end - many),
    perCpuSecond: ((SEQUENTIAL + PARALLEL) * 1e6) / (user + system),
  };
}

async function compare(rounds) {
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url), "--server"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const port = Number(await new Promise((resolve) => server.stdout.once("data", resolve)));
    const all = Object.entries(await contenders(port));
    const results = new Map(all.map(([name]) => [name, []]));
    for (const [, send] of all) for (let i = 0; i < WARM_UP; i += 1) await send();
    for (let round = 0; round < rounds; round += 1) {
      // Another one begins each time, so that none always runs in the same place.
      const order = [...all.slice(round % all.length), ...all.slice(0, round % all.length)];
      for (const [name, send] of order) results.get(name).push(await measure(send));
    }
    report(results, rounds);
  } finally {
    server.kill();
  }
}

function report(results, rounds) {
  const middle = (name, what) => median(results.get(name).map((result) => result[what]));
  const columns = ["oneAtATime", "atOnce", "perCpuSecond"];
  const pairs = [
    ["zeph gonkaFetch", "gonka-openai 0.2.2 gonkaFetch"],
    ["openai 6 with zeph/openai", "GonkaOpenAI 0.2.2 (openai 4)"],
  ];
  console.log(`node ${process.version}, ${BODY.length}-byte body, ${rounds} rounds, medians; round trips per second\n`);
  table(
    ["", "one at a time", `${AT_ONCE} at once`, "per CPU second of the client"],
    [
      ...[...results.keys()].map((name) => [name, ...columns.map((what) => Math.round(middle(name, what)))]),
      ...pairs.map(([ours, theirs]) => [
        `  ${ours.split(" ")[0]} : ${theirs.split(" ")[0]}`,
        ...columns.map((what) => `${(middle(ours, what) / middle(theirs, what)).toFixed(2)} x`),
      ]),
    ],
  );
}
