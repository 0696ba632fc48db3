// Runs the built chat on a model that answers from a script: for the pseudo-terminal test, and to look at it by hand:
//   node test/support/chat-repl.mjs DIST_FOLDER STATE_FOLDER [ask]
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, stateFolder, command = "chat"] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(resolve(dist), path)).href);
const { runChat } = await load("cli/commands/ask.js");
const { systemClock } = await load("base/time.js");
const { ZephError } = await load("errors.js");

const delayMs = Number(process.env.DELAY_MS ?? "0");

/** What the model says to a question. `hang` never ends, `slow` waits before it begins. */
function partsFor(question) {
  if (question.includes("markdown")) return ["# Title\n\nSome **bold", " text** and `code`.\n\n- one\n- two\n"];
  if (question.includes("hang")) return ["This answer ", "never ", "ends "];
  return [`You said: ${question}`];
}

function model() {
  return {
    specificationVersion: "v3",
    provider: "mock",
    modelId: "owner/model-a",
    supportedUrls: {},
    doGenerate: () => Promise.reject(new Error("not used")),
    async doStream({ prompt, abortSignal }) {
      const question = prompt.at(-1).content[0].text;
      if (question.includes("fail")) throw new ZephError("rate_limited", { detail: "as you asked" });
      if (question.includes("slow")) await systemClock.sleep(1_500, abortSignal);
      return { stream: ReadableStream.from(stream(question, abortSignal)) };
    },
  };
}

async function* stream(question, signal) {
  yield { type: "stream-start", warnings: [] };
  if (question.includes("think")) {
    yield { type: "reasoning-start", id: "r" };
    for (const delta of ["Let me think about **this** ", "for a while.\n\nYes."]) {
      if (delayMs > 0) await systemClock.sleep(delayMs, signal);
      yield { type: "reasoning-delta", id: "r", delta };
    }
    yield { type: "reasoning-end", id: "r" };
  }
  yield { type: "text-start", id: "t" };
  for (const delta of partsFor(question).flatMap((part) => part.match(/.{1,7}/gs) ?? [])) {
    if (delayMs > 0) await systemClock.sleep(delayMs, signal);
    yield { type: "text-delta", id: "t", delta };
  }
  if (question.includes("hang")) await systemClock.sleep(2_000_000_000, signal);
  yield { type: "text-end", id: "t" };
  yield {
    type: "finish",
    finishReason: { unified: "stop", raw: "stop" },
    usage: {
      inputTokens: { total: 12, noCache: 12, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 48, text: 48, reasoning: 0 },
    },
    providerMetadata: { mock: { costUsd: 0.00031 } },
  };
}

const models = [
  { id: "owner/model-a", contextLengthTokens: 200_000, promptUsdPer1M: 0.35, completionUsdPer1M: 1.5, tools: true },
  { id: "owner/model-b", contextLengthTokens: 32_768, tools: false },
];

function session(providerName, modelId) {
  return {
    providerName,
    modelId,
    model: model(),
    toZephError: (error) => (ZephError.is(error) ? error : new ZephError("upstream_error", { detail: String(error) })),
    subscribe: () => () => {},
    listModels: async () => models,
    withModel: (id) => session(providerName, id),
  };
}

const interrupt = new AbortController();
process.on("SIGINT", () => interrupt.abort());
const isTerminal = process.stdout.isTTY === true && process.stderr.isTTY === true;
const context = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  homeDir: homedir(),
  platform: process.platform,
  clock: systemClock,
  random: Math.random,
  fetch: globalThis.fetch,
  signal: interrupt.signal,
  interactive: isTerminal,
  json: process.argv.includes("--json"),
  verbose: false,
  color: isTerminal && (process.env.NO_COLOR ?? "") === "",
  paths: {},
};
const dependencies = {
  stateFolder,
  openSession: async ({ provider, model: id }) => session(provider ?? "testbroker", id ?? "owner/model-a"),
  listProviders: async () => [{ name: "testbroker", model: "owner/model-a" }, { name: "other" }],
};
const prompt = command === "ask" ? process.argv.slice(5).filter((word) => !word.startsWith("--")) : [];
process.exitCode = await runChat(context, { prompt }, dependencies).catch((error) => {
  process.stderr.write(`${error.message}\n`);
  return error.exitCode ?? 1;
});
