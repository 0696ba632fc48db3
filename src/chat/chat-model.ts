import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3FunctionTool,
  LanguageModelV3Message,
  LanguageModelV3StreamPart,
  LanguageModelV3ToolCall,
  LanguageModelV3ToolResultPart,
  LanguageModelV3Usage,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { ModelMessage, ToolSet, UserContent } from "ai";
import { readBoundedText } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { brokerFacts } from "../transport/connection.ts";
import { errorBehind } from "../transport/exchange.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { VERSION } from "../version.ts";
import { readChatAnswer } from "../wire/chat-body.ts";
import { type ChatDelta, type ChatUsage, isRecord, parseJson } from "../wire/chat-shape.ts";
import { type ChatPiece, chatStreamReader } from "../wire/chat-stream.ts";
import { refusalError } from "../wire/refusals.ts";
import type { ConversationEvent } from "./session.ts";

interface ChatModelOptions {
  readonly gonka: GonkaFetch;
  /** Name of the provider; what an answer cost is told under it. */
  readonly name: string;
  readonly modelId: string;
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * A chat model in the form of the AI SDK (specification V3), without the AI SDK, which takes longer to load than a short
 * answer takes to arrive. Plain chat and tools; everything fails as a `ZephError`, or as the caller's abort.
 */
export function chatModel({ gonka, name, modelId }: ChatModelOptions): LanguageModelV3 {
  const { costUsd } = brokerFacts({ baseURL: gonka.baseURL });

  async function send(body: Readonly<Record<string, unknown>>, options: LanguageModelV3CallOptions): Promise<Response> {
    const response = await gonka(`${gonka.baseURL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": `zeph/${VERSION}` },
      body: JSON.stringify(body),
      ...(options.abortSignal === undefined ? {} : { signal: options.abortSignal }),
    });
    if (response.ok) return response;
    const bodyText = await readBoundedText(response.body, MAX_ANSWER_BYTES);
    const { status, headers } = response;
    throw errorBehind(response) ?? refusalError({ status, headers, bodyText, path: "/chat/completions" });
  }
  const toMetadata = (cost: number | undefined) => (cost === undefined ? undefined : { [name]: { costUsd: cost } });

  return {
    specificationVersion: "v3",
    provider: `${name}.chat`,
    modelId,
    supportedUrls: {},
    async doGenerate(options) {
      const request = requestBody(modelId, options);
      const response = await send(request, options);
      const parsed = parseJson(await readBoundedText(response.body, MAX_ANSWER_BYTES));
      const { answer } = readChatAnswer(parsed, { request: () => request });
      const [choice] = answer?.choices ?? [];
      if (answer === undefined || choice === undefined) {
        throw new ZephError("bad_response", { detail: "the answer holds no choices" });
      }
      const { content, reasoning_content: reasoning, tool_calls: calls = [] } = choice.message;
      return {
        content: [
          ...(reasoning ? [{ type: "reasoning", text: reasoning } as const] : []),
          ...(content ? [{ type: "text", text: content } as const] : []),
          ...calls.map(({ id, function: { name: toolName, arguments: input } }) => {
            return { type: "tool-call", toolCallId: id, toolName, input } as const;
          }),
        ] satisfies LanguageModelV3Content[],
        finishReason: finishReason(choice.finish_reason),
        usage: usageOf(answer.usage),
        providerMetadata: toMetadata(costUsd(answer, response.headers)) ?? {},
        warnings: [],
      };
    },
    async doStream(options) {
      const request = requestBody(modelId, options);
      const response = await send({ ...request, stream: true, stream_options: { include_usage: true } }, options);
      if (response.body === null) throw new ZephError("bad_response", { detail: "the answer has no body" });
      let cost: number | undefined;
      const parts = streamParts(response.body, request, (chunk) => {
        cost = costUsd(chunk, undefined) ?? cost;
        return () => toMetadata(cost ?? costUsd({}, response.headers));
      });
      return { stream: toStream(parts) };
    },
  };
}

/** The body as OpenAI's API knows it; options under `gonka` keep the names of the wire where they have any. */
function requestBody(modelId: string, options: LanguageModelV3CallOptions): Readonly<Record<string, unknown>> {
  const { prompt, tools = [], maxOutputTokens, temperature, topP, frequencyPenalty, presencePenalty } = options;
  const { reasoningEffort, thinkingTokenBudget, ...own } = options.providerOptions?.gonka ?? {};
  const functions = tools.flatMap((tool) =>
    tool.type === "function"
      ? [
          {
            type: "function",
            function: { name: tool.name, description: tool.description, parameters: tool.inputSchema },
          },
        ]
      : [],
  );
  // What is undefined is left out when the body is written.
  return {
    model: modelId,
    max_tokens: maxOutputTokens,
    temperature,
    top_p: topP,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
    ...own,
    reasoning_effort: reasoningEffort,
    thinking_token_budget: thinkingTokenBudget,
    messages: prompt.flatMap(toMessages),
    tools: functions.length === 0 ? undefined : functions,
  };
}

function toMessages(message: LanguageModelV3Message): readonly Readonly<Record<string, unknown>>[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user":
      return [{ role: "user", content: userContent(message.content) }];
    case "assistant": {
      const calls = message.content.flatMap((part) =>
        part.type === "tool-call"
          ? [
              {
                id: part.toolCallId,
                type: "function",
                function: { name: part.toolName, arguments: JSON.stringify(part.input) },
              },
            ]
          : [],
      );
      const content = textOf(message.content);
      return [calls.length === 0 ? { role: "assistant", content } : { role: "assistant", content, tool_calls: calls }];
    }
    case "tool":
      return message.content.flatMap((part) =>
        part.type === "tool-result"
          ? [{ role: "tool", tool_call_id: part.toolCallId, content: resultText(part.output) }]
          : [],
      );
  }
}

type UserPart = Extract<LanguageModelV3Message, { role: "user" }>["content"][number];

/** Words alone as a text, which every model server takes; with images as a list of parts. */
function userContent(content: readonly UserPart[]): string | readonly object[] {
  if (content.every(({ type }) => type === "text")) return textOf(content);
  return content.map((part) =>
    part.type === "text" ? { type: "text", text: part.text } : { type: "image_url", image_url: { url: urlOf(part) } },
  );
}

function urlOf({ mediaType, data }: Extract<UserPart, { type: "file" }>): string {
  if (!mediaType.startsWith("image/"))
    throw new ZephError("unsupported_capability", { detail: `files of ${mediaType}` });
  if (data instanceof URL) return data.href;
  return `data:${mediaType};base64,${typeof data === "string" ? data : Buffer.from(data).toString("base64")}`;
}

function textOf(content: readonly { readonly type: string }[]): string {
  return content.map((part) => ("text" in part && part.type === "text" ? String(part.text) : "")).join("");
}

function resultText(output: LanguageModelV3ToolResultPart["output"]): string {
  if (output.type === "text" || output.type === "error-text") return output.value;
  return "value" in output ? JSON.stringify(output.value) : (output.reason ?? "The call was not allowed.");
}

type SeeChunk = (chunk: unknown) => () => Record<string, { costUsd: number }> | undefined;

async function* streamParts(
  body: ReadableStream<Uint8Array>,
  request: Readonly<Record<string, unknown>>,
  see: SeeChunk,
): AsyncGenerator<LanguageModelV3StreamPart> {
  const reader = chatStreamReader({ request: () => request });
  const answer = openAnswer();
  let usage: ChatUsage | null | undefined;
  let metadata = see({});
  yield { type: "stream-start", warnings: [] };
  function* toParts(pieces: readonly ChatPiece[]): Generator<LanguageModelV3StreamPart> {
    for (const piece of pieces) {
      if (piece.type !== "chunk") continue;
      metadata = see(piece.chunk);
      usage = isRecord(piece.chunk.usage) ? piece.chunk.usage : usage;
      const [choice] = piece.chunk.choices;
      if (choice === undefined) continue;
      yield* answer.add(choice.delta);
      answer.reason = choice.finish_reason ?? answer.reason;
    }
  }
  let isBroken: { readonly reason: unknown } | undefined;
  try {
    for await (const bytes of body) {
      yield* toParts(reader.push(bytes));
      if (reader.error !== undefined) throw reader.error;
    }
  } catch (reason) {
    isBroken = { reason };
  }
  const { pieces, end } = reader.end(isBroken !== undefined);
  yield* toParts(pieces);
  // The connection has read the answer already and knows best why it ended; words that came before are not lost.
  if (isBroken !== undefined && !reader.isDone) throw isBroken.reason;
  if (end.error !== undefined) throw end.error;
  yield* answer.end();
  const told = metadata();
  yield {
    type: "finish",
    finishReason: finishReason(answer.reason),
    usage: usageOf(usage),
    ...(told === undefined ? {} : { providerMetadata: told }),
  };
}

/** Deltas as parts: each kind has a beginning and an end, calls are given out when they are whole. */
function openAnswer() {
  let open: "text" | "reasoning" | undefined;
  const calls = new Map<number, { id: string; name: string; input: string }>();

  function* change(to: typeof open): Generator<LanguageModelV3StreamPart> {
    if (open === to) return;
    if (open !== undefined) yield { type: `${open}-end`, id: open };
    open = to;
    if (open !== undefined) yield { type: `${open}-start`, id: open };
  }
  return {
    reason: undefined as string | undefined,
    *add({
      content,
      reasoning_content: reasoning,
      tool_calls: pieces,
    }: ChatDelta): Generator<LanguageModelV3StreamPart> {
      if (reasoning) {
        yield* change("reasoning");
        yield { type: "reasoning-delta", id: "reasoning", delta: reasoning };
      }
      if (content) {
        yield* change("text");
        yield { type: "text-delta", id: "text", delta: content };
      }
      for (const { index, id, function: target } of pieces ?? []) {
        const call = calls.get(index) ?? { id: "", name: "", input: "" };
        calls.set(index, call);
        call.id ||= id ?? "";
        call.name ||= target.name ?? "";
        call.input += target.arguments;
      }
    },
    *end(): Generator<LanguageModelV3StreamPart> {
      yield* change(undefined);
      for (const { id, name, input } of calls.values()) {
        yield { type: "tool-call", toolCallId: id, toolName: name, input: input === "" ? "{}" : input };
      }
    },
  };
}

const UNIFIED: Readonly<Record<string, LanguageModelV3FinishReason["unified"]>> = {
  stop: "stop",
  length: "length",
  content_filter: "content-filter",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
};

function finishReason(raw: string | undefined): LanguageModelV3FinishReason {
  return { unified: UNIFIED[raw ?? ""] ?? "other", raw };
}

function usageOf(usage: ChatUsage | null | undefined): LanguageModelV3Usage {
  const { prompt_tokens: prompt, completion_tokens: completion } = usage ?? {};
  return {
    inputTokens: {
      total: prompt,
      noCache: undefined,
      cacheRead: detail(usage?.prompt_tokens_details, "cached_tokens"),
      cacheWrite: undefined,
    },
    outputTokens: {
      total: completion,
      text: undefined,
      reasoning: detail(usage?.completion_tokens_details, "reasoning_tokens"),
    },
  };
}

function detail(details: unknown, name: string): number | undefined {
  const count = isRecord(details) ? details[name] : undefined;
  return typeof count === "number" ? count : undefined;
}

function toStream<T>(parts: AsyncGenerator<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

export interface AnswerRequest {
  readonly model: LanguageModelV3;
  readonly messages: readonly ModelMessage[];
  readonly signal: AbortSignal;
  /** False: one whole answer instead of a stream. */
  readonly stream: boolean;
  readonly system?: string;
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly providerOptions?: NonNullable<LanguageModelV3CallOptions["providerOptions"]>;
  readonly tools?: ToolSet;
  /** Most rounds of tool calls in one answer. */
  readonly maxSteps: number;
}

/** What one call of the model brings. `step` closes a round; there are several only when tools are used. */
export type AnswerPart =
  | Extract<ConversationEvent, { type: "notice" | "reasoning" | "text" | "tool-call" | "tool-result" | "tool-failed" }>
  | {
      readonly type: "step";
      readonly usage: LanguageModelV3Usage;
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
      readonly finishReason: string;
      /** The endpoint's own word; absent when it sent none. */
      readonly rawFinishReason: string | undefined;
    }
  | { readonly type: "tool-messages"; readonly messages: readonly ModelMessage[] };

/** Asks the model, and again with what its tools gave. Throws whatever the model throws, also in the middle of the stream. */
export async function* streamAnswer(request: AnswerRequest): AsyncGenerator<AnswerPart> {
  const { model, messages, signal, stream, system, tools = {}, maxSteps, ...settings } = request;
  const said: LanguageModelV3Message[] = [];
  for (let step = 1; ; step += 1) {
    const options: LanguageModelV3CallOptions = {
      ...settings,
      prompt: [
        ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
        ...toPrompt(messages),
        ...said,
      ],
      abortSignal: signal,
      ...(Object.keys(tools).length === 0 ? {} : { tools: await describeTools(tools), toolChoice: { type: "auto" } }),
    };
    const round: { text: string; readonly calls: LanguageModelV3ToolCall[] } = { text: "", calls: [] };
    yield* askOnce(model, options, stream, round);
    if (round.calls.length === 0) {
      if (said.length > 0 && round.text !== "") said.push(assistantMessage(round));
      break;
    }
    const results = yield* callTools(tools, round.calls, signal);
    said.push(assistantMessage(round), results);
    if (step >= maxSteps || signal.aborted) break;
  }
  if (said.length > 0 && !signal.aborted) yield { type: "tool-messages", messages: said as ModelMessage[] };
}

async function* askOnce(
  model: LanguageModelV3,
  options: LanguageModelV3CallOptions,
  stream: boolean,
  round: { text: string; readonly calls: LanguageModelV3ToolCall[] },
): AsyncGenerator<AnswerPart> {
  for await (const part of stream ? (await model.doStream(options)).stream : wholeAnswer(model, options)) {
    switch (part.type) {
      case "stream-start":
        for (const warning of part.warnings) yield { type: "notice", text: describeWarning(warning) };
        break;
      case "text-delta": {
        // Thinking models send blank lines between their thoughts and the answer.
        const text = round.text === "" ? part.delta.replace(/^[\r\n]+/, "") : part.delta;
        round.text += text;
        if (text !== "") yield { type: "text", text };
        break;
      }
      case "reasoning-delta":
        if (part.delta !== "") yield { type: "reasoning", text: part.delta };
        break;
      case "tool-call":
        round.calls.push(part);
        break;
      case "finish":
        yield {
          type: "step",
          usage: part.usage,
          metadata: part.providerMetadata,
          finishReason: part.finishReason.unified,
          rawFinishReason: part.finishReason.raw,
        };
        break;
      case "error":
        throw part.error;
    }
  }
}

/** A whole answer in the parts of a stream. */
async function* wholeAnswer(
  model: LanguageModelV3,
  options: LanguageModelV3CallOptions,
): AsyncGenerator<LanguageModelV3StreamPart> {
  const { content, finishReason, usage, providerMetadata, warnings } = await model.doGenerate(options);
  yield { type: "stream-start", warnings };
  for (const part of content) yield* contentPart(part);
  yield { type: "finish", finishReason, usage, ...(providerMetadata === undefined ? {} : { providerMetadata }) };
}

function* contentPart(part: LanguageModelV3Content): Generator<LanguageModelV3StreamPart> {
  if (part.type === "text") yield { type: "text-delta", id: "text", delta: part.text };
  else if (part.type === "reasoning") yield { type: "reasoning-delta", id: "reasoning", delta: part.text };
  else if (part.type === "tool-call") yield part;
}

// Tools

async function describeTools(tools: ToolSet): Promise<LanguageModelV3FunctionTool[]> {
  return Promise.all(
    Object.entries(tools).map(async ([name, { description, inputSchema }]) => ({
      type: "function" as const,
      name,
      ...(description === undefined ? {} : { description }),
      inputSchema: await jsonSchemaOf(inputSchema),
    })),
  );
}

/** Schemas of the AI SDK hold their JSON Schema; those of zod write theirs. */
async function jsonSchemaOf(schema: unknown): Promise<LanguageModelV3FunctionTool["inputSchema"]> {
  const known = typeof schema === "function" ? schema() : schema;
  if (typeof known === "object" && known !== null) {
    if ("toJSONSchema" in known && typeof known.toJSONSchema === "function") return known.toJSONSchema();
    if ("jsonSchema" in known) return (await known.jsonSchema) as LanguageModelV3FunctionTool["inputSchema"];
  }
  throw new ZephError("internal", { detail: "the schema of a tool is in a form that is not known" });
}

async function* callTools(
  tools: ToolSet,
  calls: readonly LanguageModelV3ToolCall[],
  signal: AbortSignal,
): AsyncGenerator<AnswerPart, Extract<LanguageModelV3Message, { role: "tool" }>> {
  const content: Extract<LanguageModelV3Message, { role: "tool" }>["content"] = [];
  for (const { toolCallId, toolName, input } of calls) {
    const result = { type: "tool-result" as const, toolCallId, toolName };
    try {
      const given: unknown = JSON.parse(input === "" ? "{}" : input);
      yield { type: "tool-call", toolName, input: given };
      const run = tools[toolName]?.execute;
      if (run === undefined) throw new Error("there is no such tool");
      const output: unknown = await run(given, { toolCallId, messages: [], abortSignal: signal });
      yield { type: "tool-result", toolName, output };
      content.push({ ...result, output: { type: "json", value: JSON.parse(JSON.stringify(output ?? null)) } });
    } catch (error) {
      yield { type: "tool-failed", toolName, error };
      content.push({
        ...result,
        output: { type: "error-text", value: error instanceof Error ? error.message : String(error) },
      });
    }
  }
  return { role: "tool", content };
}

function assistantMessage(round: {
  readonly text: string;
  readonly calls: readonly LanguageModelV3ToolCall[];
}): Extract<LanguageModelV3Message, { role: "assistant" }> {
  return {
    role: "assistant",
    content: [
      ...(round.text === "" ? [] : [{ type: "text" as const, text: round.text }]),
      ...round.calls.map(({ toolCallId, toolName, input }) => ({
        type: "tool-call" as const,
        toolCallId,
        toolName,
        input: parsed(input),
      })),
    ],
  };
}

function parsed(input: string): unknown {
  try {
    return JSON.parse(input === "" ? "{}" : input);
  } catch {
    // The model has to see what it wrote.
    return input;
  }
}

/** What was said before, in the form of the specification: words, and what tools were asked and gave. */
function toPrompt(messages: readonly ModelMessage[]): LanguageModelV3Message[] {
  return messages.map((message) => {
    if (message.role === "user" && typeof message.content !== "string") {
      return { role: "user", content: message.content.map(toUserPart) } as LanguageModelV3Message;
    }
    if (typeof message.content !== "string" || message.role === "system") return message as LanguageModelV3Message;
    return { role: message.role, content: [{ type: "text", text: message.content }] } as LanguageModelV3Message;
  });
}

/** An image is a file with the media type of one, as models know it. */
function toUserPart(part: Exclude<UserContent, string>[number]): unknown {
  return part.type === "image" ? { type: "file", mediaType: part.mediaType ?? "image/*", data: part.image } : part;
}

function describeWarning(warning: SharedV3Warning): string {
  if (warning.type === "other") return warning.message;
  return `${warning.feature} is ${warning.type === "unsupported" ? "not supported here and was left out" : "supported in part only"}${warning.details === undefined ? "" : `: ${warning.details}`}`;
}
