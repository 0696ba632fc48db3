// The callers: as little work per request as node:http allows, connections kept open.
import { Agent, request as send } from "node:http";

const MESSAGES = [
  { role: "system", content: "You are a helpful assistant. ".repeat(20) },
  { role: "user", content: "What do you think about this text? ".repeat(40) },
];
const FIELDS = { model: "bench/model-1", messages: MESSAGES, temperature: 0.7, max_tokens: 500 };
const WHOLE = JSON.stringify(FIELDS);
const LONG = JSON.stringify({ ...FIELDS, messages: [{ role: "user", content: "a long prompt, ".repeat(70_000) }] });
const STREAM = JSON.stringify({ ...FIELDS, stream: true, stream_options: { include_usage: true } });

function ask({ port, headers }, agent, body) {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const elapsedMs = () => Number(process.hrtime.bigint() - started) / 1e6;
    const outgoing = send(
      {
        agent,
        host: "127.0.0.1",
        port,
        method: "POST",
        path: "/v1/chat/completions",
        headers: { ...headers, "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (answer) => {
        let bytes = 0;
        let firstMs;
        let tail = "";
        answer.on("data", (piece) => {
          firstMs ??= elapsedMs();
          bytes += piece.length;
          tail = piece;
        });
        answer.on("error", reject);
        answer.on("end", () => {
          if (answer.statusCode !== 200) return reject(new Error(`status ${answer.statusCode} from port ${port}`));
          resolve({ elapsedMs: elapsedMs(), firstMs, bytes, end: String(tail).slice(-20) });
        });
      },
    );
    outgoing.on("error", (cause) => reject(new Error(`port ${port}: ${cause.message}`, { cause })));
    outgoing.end(body);
  });
}

/** `count` prompts of 1 MB, one after the other. */
export async function askLong(contender, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let asked = 0; asked < count; asked += 1) await ask(contender, agent, LONG);
  agent.destroy();
  return { count };
}

/** `count` small prompts, one after the other. */
export async function askTimes(contender, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let asked = 0; asked < count; asked += 1) await ask(contender, agent, WHOLE);
  agent.destroy();
  return { count };
}

/** Whole answers for `durationMs`, `concurrent` at a time. */
export async function askForMs(contender, concurrent, durationMs) {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrent });
  const latenciesMs = [];
  const started = performance.now();
  await Promise.all(
    Array.from({ length: concurrent }, async () => {
      while (performance.now() - started < durationMs) latenciesMs.push((await ask(contender, agent, WHOLE)).elapsedMs);
    }),
  );
  const elapsedMs = performance.now() - started;
  agent.destroy();
  return { latenciesMs, elapsedMs };
}

/** `count` streams at once, to their end. */
export async function streamAtOnce(contender, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  const answers = await Promise.all(Array.from({ length: count }, () => ask(contender, agent, STREAM)));
  agent.destroy();
  if (answers.some(({ end }) => !end.includes("[DONE]")))
    throw new Error(`a stream from port ${contender.port} is incomplete`);
  return answers;
}
