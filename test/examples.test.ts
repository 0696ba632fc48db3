import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import recorded from "../examples/local-endpoint/recorded.json" with { type: "json" };
import { transpileExamples } from "../scripts/transpile-examples.mjs";
import { type SandboxWithNetwork, startSandbox } from "../src/sandbox/index.ts";

const EXAMPLES = fileURLToPath(new URL("../examples", import.meta.url));

/** What each example prints, word for word but for what chance decides. A new example without a line here fails. */
const PRINTED: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  "ai-sdk-tool.js": ["tool: weather in Oslo", /"celsius":21/, /\d+ tokens, 0\.0000\d+ USD/],
  "broker-fetch.js": ["models: sandbox/echo-1", "answer: 1, 2, 3, 4, 5 (12 tokens)", "data: [DONE]"],
  "from-gonka-openai.js": ["sandbox/echo-1: 1, 2, 3, 4, 5\n"],
  "next-route/call-route.js": ["200 text/event-stream\n1, 2, 3, 4, 5\n"],
  "openai-sdk.js": ["6 * 7 = 42\n1, 2, 3, 4, 5\n5 tokens\n404 model_not_found\n"],
  "sandbox-engine.js": ["1, 2, 3, 4, 5 (12 tokens)\n503, 200\n"],
  "sign-by-hand.js": ["200 signed\n"],
  "signed-fetch.js": ["3 nodes, self-consistent\n", "attempt 1 at", /gonka1\w{38} got: 1, 2, 3, 4, 5\n/],
};
/** Parts of examples, run by those above or by vitest itself. */
const PARTS = ["local-endpoint/serve.js", "next-route/route.js", "sandbox-tests/summarize.js"];

let folder: string;
let sandbox: SandboxWithNetwork;
beforeAll(async () => {
  folder = transpileExamples();
  sandbox = await startSandbox({ network: true });
}, 60_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await sandbox.stop();
});

/** Starts an example as a user does: a process of its own, against the built package, set up by its environment. */
function start(name: string) {
  return spawn(process.execPath, [join(folder, name)], {
    env: {
      GONKA_BASE_URL: sandbox.broker.baseURL,
      GONKAGATE_API_KEY: sandbox.broker.keys.good,
      GONKA_MODEL: "sandbox/echo-1",
      GONKA_SOURCE_URL: sandbox.network.sourceUrl,
      GONKA_PRIVATE_KEY: sandbox.network.createAccount().privateKeyHex,
      PORT: "0",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(name: string): Promise<{ readonly printed: string; readonly complained: string }> {
  const child = start(name);
  const [printed, complained] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { printed, complained };
}

it.each(Object.entries(PRINTED))("examples/%s does what it says", async (name, expected) => {
  const { printed, complained } = await run(name);
  expect(complained).toBe("");
  for (const part of expected) {
    if (typeof part === "string") expect(printed).toContain(part);
    else expect(printed).toMatch(part);
  }
  expect(sandbox.network.violations).toEqual([]);
});

describe("examples/local-endpoint", () => {
  let serving: ReturnType<typeof start>;
  let baseURL: string;
  let key: string;
  beforeAll(async () => {
    serving = start("local-endpoint/serve.js");
    let printed = "";
    for await (const line of createInterface(serving.stdout)) {
      printed += `${line}\n`;
      if (line.startsWith("OPENAI_API_KEY=")) break;
    }
    baseURL = /^OPENAI_BASE_URL=(.+)$/m.exec(printed)?.[1] ?? "";
    key = /^OPENAI_API_KEY=(.+)$/m.exec(printed)?.[1] ?? "";
  }, 60_000);
  afterAll(() => serving.kill("SIGKILL"));

  it.each(recorded.flatMap(({ client, requests }) => requests.map((request) => ({ ...request, client }))))(
    "answers what was recorded: $client, $method $path",
    async ({ method, path, headers, body }) => {
      const origin = new URL(baseURL);
      const sent = httpRequest({
        hostname: origin.hostname,
        port: origin.port,
        method,
        path,
        headers: { ...headers, authorization: `Bearer ${key}` },
      });
      sent.end(body);
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      const answer = await text(response);
      expect(response.statusCode, answer).toBe(200);
      expect(answer).toContain(expectedIn(path, body));
    },
  );

  it("ends in order when it is told to", async () => {
    serving.kill("SIGTERM");
    expect(await once(serving, "exit")).toEqual([0, null]);
  });
});

/** What shows that an answer is the right one for the request. */
function expectedIn(path: string, body = ""): string {
  if (path.endsWith("/models")) return '"alias_of":"sandbox/echo-1"';
  if (path.endsWith("/embeddings")) return '"object":"embedding"';
  if (body.includes('"stream":true')) return "data: [DONE]";
  if (body.includes('"tool_call_id"')) return "The tool answered: sunny";
  if (body.includes('"tools"')) return '"name":"get_weather"';
  if (body.includes('"json_schema"')) return 'country\\":';
  return "1, 2, 3, 4, 5";
}

it("runs every example there is", () => {
  const names = readdirSync(EXAMPLES, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => name.replace(/\.ts$/, ".js"));
  expect(names.sort()).toEqual([...Object.keys(PRINTED), ...PARTS].sort());
});
