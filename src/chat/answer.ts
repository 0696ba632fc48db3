import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FunctionTool,
  LanguageModelV3Message,
  LanguageModelV3StreamPart,
  LanguageModelV3ToolCall,
  LanguageModelV3Usage,
  SharedV3Warning,
} from "@ai-sdk/provider";
import type { ModelMessage, ToolSet, UserContent } from "ai";
import { ZephError } from "../errors.ts";
import type { ConversationEvent } from "./session.ts";

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
