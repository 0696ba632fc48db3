import { dynamicTool, generateText, jsonSchema, streamText, type ToolSet } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGonka, toZephError } from "../../src/ai-sdk/index.ts";
import { ZephError } from "../../src/errors.ts";
import { gonkaOpenAIOptions } from "../../src/openai/index.ts";
import { type CaseUpstream, caseUpstream } from "../support/case-upstream.ts";
import { ANSWER_CASES, CASE_TOOLS, type Case, type ExpectedAnswer } from "../support/cases.ts";
import { type ChatWorld, chatWorld } from "./chat-world.ts";
import { type GatewayWorld, LOCAL_KEY, startGateway } from "./gateway-world.ts";

/** What somebody at a door got. */
interface Got {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly (readonly [name: string, given: unknown])[];
  readonly usage?: readonly [input: number | undefined, output: number | undefined] | undefined;
  /** What the user is told besides. */
  readonly told?: string | undefined;
  readonly error?: string | undefined;
}

let upstream: CaseUpstream;
let home: ChatWorld;
let plain: GatewayWorld;
let always: GatewayWorld;

beforeAll(async () => {
  upstream = await caseUpstream();
  const { baseURL } = upstream;
  home = await chatWorld();
  home.env.ZEPH_COMPATIBLE_CASE_API_KEY = "gp-case-key";
  await home.writeConfig(
    `[llm]\n[[llm.providers]]\ntype = "compatible"\nname = "case"\nbase_url = "${baseURL}"\nmodel = "m"\n`,
  );
  plain = await startGateway({ baseURL });
  always = await startGateway({ baseURL }, { upstreamMode: "always-stream" });
});

afterAll(async () => {
  await plain[Symbol.asyncDispose]();
  await always[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await home.clear();
});

const messages = [{ role: "user" as const, content: "hi" }];

async function atAsk(stream: boolean): Promise<Got> {
  try {
    const { data, stderr, stdout } = await home.ask("hi", stream ? {} : { stream: false });
    const { error } = JSON.parse(stdout);
    if (error !== undefined)
      return { ...NOTHING, content: String(data?.text ?? ""), error: error.detail ?? error.message };
    const usage = data.usage as { input?: number; output?: number };
    return {
      content: String(data.text),
      reasoning: String(data.reasoning ?? ""),
      calls: [],
      usage: [usage.input, usage.output],
      told: `${stderr} ${data.finishReason}`,
    };
  } catch (thrown) {
    return failed(thrown);
  }
}

const NOTHING: Got = { content: "", reasoning: "", calls: [] };

function failed(thrown: unknown, so: Partial<Got> = {}): Got {
  const error = toZephError(thrown);
  return { ...NOTHING, ...so, error: error.detail ?? error.message };
}

async function atAiSdk(stream: boolean, given: Case): Promise<Got> {
  const model = createGonka({ baseURL: upstream.baseURL, apiKey: "gp-case-key" })("m");
  const schema = jsonSchema<unknown>({ type: "object", properties: {} });
  const tools: ToolSet = {};
  for (const { function: target } of given.tools ? CASE_TOOLS : []) {
    tools[target.name] = dynamicTool({ description: target.description, inputSchema: schema, execute: async () => "" });
  }
  const request = { model, prompt: "hi", maxRetries: 0, tools };
  if (!stream) {
    try {
      const { text, reasoningText, toolCalls, usage } = await generateText(request);
      return {
        content: text,
        reasoning: reasoningText ?? "",
        calls: toolCalls.map(({ toolName, input }) => [toolName, input]),
        usage: [usage.inputTokens, usage.outputTokens],
      };
    } catch (thrown) {
      return failed(thrown);
    }
  }
  let content = "";
  let reasoning = "";
  let usage: Got["usage"];
  let error: unknown;
  const calls: [string, unknown][] = [];
  for await (const part of streamText({ ...request, onError: () => {} }).fullStream) {
    if (part.type === "text-delta") content += part.text;
    else if (part.type === "reasoning-delta") reasoning += part.text;
    else if (part.type === "tool-call") calls.push([part.toolName, part.input]);
    else if (part.type === "finish") usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
    else if (part.type === "error") error = part.error;
  }
  return error === undefined ? { content, reasoning, calls, usage } : failed(error, { content, reasoning });
}

/** The official client, at the network or at `zeph serve`: what it makes of an answer is what programs see. */
async function atClient(client: OpenAI, stream: boolean, given: Case): Promise<Got> {
  const tools = given.tools ? { tools: [...CASE_TOOLS] } : {};
  let content = "";
  let reasoning = "";
  const calls: { name: string; text: string }[] = [];
  let usage: Got["usage"];
  let told = "";
  try {
    if (!stream) {
      const answer = await client.chat.completions.create({ model: "m", messages, ...tools });
      const [choice] = answer.choices;
      const message = (choice?.message ?? {}) as { content?: string; reasoning_content?: string };
      return {
        content: message.content ?? "",
        reasoning: message.reasoning_content ?? "",
        calls: (choice?.message.tool_calls ?? []).map((call) =>
          call.type === "function" ? [call.function.name, JSON.parse(call.function.arguments)] : ["?", call],
        ),
        usage: [answer.usage?.prompt_tokens, answer.usage?.completion_tokens],
        told: choice?.finish_reason,
      };
    }
    const events = await client.chat.completions.create({ model: "m", messages, stream: true, ...tools });
    for await (const chunk of events) {
      if (chunk.usage) usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
      const [choice] = chunk.choices;
      if (choice === undefined) continue;
      told += choice.finish_reason ?? "";
      const delta = choice.delta as typeof choice.delta & { reasoning_content?: string };
      content += delta.content ?? "";
      reasoning += delta.reasoning_content ?? "";
      for (const piece of delta.tool_calls ?? []) {
        calls[piece.index] ??= { name: "", text: "" };
        const call = calls[piece.index]!;
        call.name += piece.function?.name ?? "";
        call.text += piece.function?.arguments ?? "";
      }
    }
    return { content, reasoning, calls: calls.map(({ name, text }) => [name, JSON.parse(text)]), usage, told };
  } catch (thrown) {
    if (ZephError.is(thrown)) return failed(thrown, { content, reasoning });
    return { content, reasoning, calls: [], error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

const network = () => new OpenAI({ ...gonkaOpenAIOptions({ kind: "broker", baseURL: upstream.baseURL, apiKey: "k" }) });
const served = ({ baseURL }: GatewayWorld) => new OpenAI({ baseURL, apiKey: LOCAL_KEY, maxRetries: 0 });

function check(got: Got, expected: ExpectedAnswer, door: string): void {
  if (expected.error !== undefined) {
    expect(got.error, door).toContain(expected.error);
    // The OpenAI client and a whole answer lose the words before an error; a stream does not.
    if (got.content !== "") expect(got.content, door).toBe(expected.content);
    return;
  }
  // The AI SDK takes an answer that does not say why it ended for a broken one.
  if (expected.finish === undefined && /AI SDK, stream/.test(door)) {
    expect(got.error, door).toMatch(/part of the answer was missing/);
    return;
  }
  expect(got.error, door).toBeUndefined();
  expect(got.content.replace(/^\n+/, ""), door).toBe(expected.content ?? "");
  expect(got.reasoning.trim().startsWith((expected.reasoning ?? "").trim()), door).toBe(true);
  if (!door.startsWith("ask")) expect(got.calls, door).toEqual(expected.calls ?? []);
  if (expected.usage !== undefined) expect(got.usage, door).toEqual(expected.usage);
}

describe.each(ANSWER_CASES)("$id", (given) => {
  const { expected } = given;
  it.each([
    ["ask", (stream: boolean) => atAsk(stream)],
    ["AI SDK", (stream: boolean) => atAiSdk(stream, given)],
    ["OpenAI client", (stream: boolean) => atClient(network(), stream, given)],
    ["serve", (stream: boolean) => atClient(served(plain), stream, given)],
    ["serve, always streaming", (stream: boolean) => atClient(served(always), stream, given)],
  ] as const)("at %s", async (name, door) => {
    for (const stream of [true, false]) {
      upstream.answer(given.upstream);
      // `ask` offers no tools: calls are not its business, the words around them are.
      if (name === "ask" && given.tools === true) continue;
      check(await door(stream), expected, `${name}, ${stream ? "stream" : "whole"}`);
      expect(upstream.asked.count, name).toBe(1);
    }
  });
});

it("an error in a stream is a failure in serve's log and metrics", async () => {
  const given = ANSWER_CASES.find(({ id }) => id === "e02-error-empty-choices");
  upstream.answer(given?.upstream ?? {});
  await (await plain.ask("/chat/completions", { model: "m", messages, stream: true })).text();
  expect(plain.records.at(-1)).toMatchObject({ outcome: "failed", errorCode: "stream_error" });
  const metrics = await (
    await fetch(`${plain.origin}/metrics`, { headers: { authorization: `Bearer ${LOCAL_KEY}` } })
  ).text();
  expect(metrics).toMatch(/outcome="failed"\} [1-9]/);
});

it("words come when they were sent, whatever the content type looks like", async () => {
  const given = ANSWER_CASES.find(({ id }) => id === "s10-wrong-content-type");
  for (const type of ["Text/Event-Stream; Charset=UTF-8", "text/plain", "application/json", "text/html"]) {
    let goOn = () => {};
    const paused = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const answer = [given?.upstream.stream ?? {}].flat()[0] ?? {};
    upstream.answer({ stream: { ...answer, headers: { "content-type": type } } }, () => paused);
    const response = await plain.ask("/chat/completions", { model: "m", messages, stream: true });
    const reader = response.body!.getReader();
    const first = await reader.read();
    expect(Buffer.from(first.value ?? []).toString(), type).toContain('"Hel"');
    goOn();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest += Buffer.from(value).toString();
    }
    expect(rest, type).toContain('"lo"');
  }
});

it("a user is told what is odd about the end of an answer", async () => {
  for (const { upstream: script, expected, id } of ANSWER_CASES) {
    if (expected.notice === undefined) continue;
    upstream.answer(script);
    const got = await atAsk(true);
    expect(`${got.told} ${got.error}`, id).toMatch(
      expected.finish === undefined ? /may be incomplete/ : expected.notice,
    );
  }
});
