// How long the CLI takes to start, against an empty Node start, alternating in one run. Prints medians and differences.
//   node bench/startup.mjs [rounds] [another build's cli/main.js ...]
// With further builds all of them take turns. `ask` and `models` end with an answer from a server on loopback, `serve`
// when it listens; their key comes from an age vault, as `zeph init` leaves it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, table } from "./measure.mjs";

const TELL = new URL("./tell-cpu.mjs", import.meta.url).href;
const own = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const [rounds = "15", ...others] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "zeph-bench-"));
const empty = join(folder, "empty.mjs");
writeFileSync(empty, "");
const env = { PATH: process.env.PATH, HOME: folder };

const ANSWER = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench/model-1","choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\ndata: [DONE]\n\n`;
const upstream = createServer((request, response) => {
  if (request.url.endsWith("/models")) {
    response.writeHead(200, { "content-type": "application/json" });
    return response.end(JSON.stringify({ object: "list", data: [{ id: "bench/model-1", object: "model" }] }));
  }
  request.resume().on("end", () => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(ANSWER);
  });
});
await new Promise((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const baseURL = `http://127.0.0.1:${upstream.address().port}/v1`;

/**
 * Milliseconds until the process ends, or until it has printed what `until` looks for; it is then asked to end. And its
 * processor time, which whatever else the computer does disturbs less.
 */
function timed(args, { until, input } = {}) {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const elapsedMs = () => Number(process.hrtime.bigint() - started) / 1e6;
    const child = spawn(process.execPath, ["--import", TELL, ...args], {
      env,
      cwd: folder,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", "pipe"],
    });
    let cpuMs = "";
    child.stdio[3].on("data", (piece) => {
      cpuMs += piece;
    });
    let printed = "";
    let listeningMs;
    const take = (piece) => {
      printed += piece;
      if (until === undefined || listeningMs !== undefined || !until.test(printed)) return;
      listeningMs = elapsedMs();
      child.kill("SIGTERM");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.stdin?.end(input);
    child.on("close", (status) => {
      if (until === undefined && status !== 0) reject(new Error(`${args.join(" ")} ended with ${status}: ${printed}`));
      else if (until !== undefined && listeningMs === undefined) reject(new Error(`${args.join(" ")}: ${printed}`));
      else resolve({ ms: listeningMs ?? elapsedMs(), cpuMs: Number(cpuMs) });
    });
  });
}

try {
  await timed(
    [
      own,
      "init",
      "--yes",
      "--no-test",
      "--base-url",
      baseURL,
      "--name",
      "bench",
      "--model",
      "bench/model-1",
      "--key-stdin",
    ],
    { input: "gp-bench-key-0123456789abcdef\n" },
  );
  const cases = { "empty Node": [[empty]] };
  for (const [index, cli] of [own, ...others].entries()) {
    const suffix = index === 0 ? "" : ` (${index + 1})`;
    cases[`--version${suffix}`] = [[cli, "--version"]];
    cases[`--help${suffix}`] = [[cli, "--help"]];
    cases[`models${suffix}`] = [[cli, "models"]];
    cases[`ask${suffix}`] = [[cli, "ask", "hello"]];
    cases[`serve${suffix}`] = [[cli, "serve", "--port", "0"], { until: /http:\/\/127\.0\.0\.1:\d+\/v1/ }];
  }
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < Number(rounds); round += 1) {
    for (const [name, [args, options]] of Object.entries(cases)) times[name].push(await timed(args, options));
  }
  const of = (list, unit) => list.map((each) => each[unit]);
  const base = { ms: median(of(times["empty Node"], "ms")), cpuMs: median(of(times["empty Node"], "cpuMs")) };
  const over = (list, unit) => `+${(median(of(list, unit)) - base[unit]).toFixed(0)}`;
  table(
    ["", "median ms", "least ms", "over an empty start", "processor ms", "over an empty start"],
    Object.entries(times).map(([name, list]) => [
      name,
      median(of(list, "ms")).toFixed(0),
      Math.min(...of(list, "ms")).toFixed(0),
      over(list, "ms"),
      median(of(list, "cpuMs")).toFixed(0),
      over(list, "cpuMs"),
    ]),
  );
} finally {
  upstream.close();
  rmSync(folder, { recursive: true, force: true });
}
