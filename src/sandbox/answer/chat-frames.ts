import { ZephError } from "../../errors/zeph-error.ts";
import { errorObject } from "../broker/broker-refusal.ts";
import type { ChatRequest, EngineEvent, EngineUsage } from "../engine.ts";
import type { AnswerOptions } from "./answer-options.ts";
import { KEEP_ALIVE, withKeepAlives } from "./keep-alive.ts";
import { usageFields } from "./price.ts";
import { thinkTagger } from "./think-tags.ts";

/** One SSE frame around a JSON value. */
export function dataFrame(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

export const DONE_FRAME = "data: [DONE]\n\n";

/** The answer as SSE frames of `chat.completion.chunk`, each string one frame with its blank line. */
export async function* chatFrames(
  events: AsyncIterable<EngineEvent>,
  request: ChatRequest,
  options: AnswerOptions,
): AsyncGenerator<string> {
  yield KEEP_ALIVE;
  const created = Math.floor(options.clock.nowMs() / 1000);
  const envelope = { id: options.id, object: "chat.completion.chunk", created, model: request.model };
  const chunk = (delta: object, finishReason: string | null = null, usage?: object) =>
    dataFrame({
      ...envelope,
      choices: [{ index: 0, delta, finish_reason: finishReason }],
      ...(usage === undefined ? {} : { usage }),
    });
  const toDelta = deltaWriter(options);
  let used: EngineUsage | undefined;
  try {
    yield chunk({ role: "assistant", content: "" });
    for await (const event of withKeepAlives(events, options.clock, options.keepAliveMs)) {
      if (event === KEEP_ALIVE) yield KEEP_ALIVE;
      else if (event.type === "finish") {
        used = event.usage;
        const onChunk = options.usage === "on-finish-chunk";
        yield chunk({}, event.reason, onChunk ? usageFields(used, options.model, options.costs) : undefined);
      } else yield chunk(toDelta(event));
    }
  } catch (error) {
    if (options.signal.aborted) return;
    yield dataFrame(errorObject(failureInStream(error)));
    return;
  }
  if (used !== undefined && wantsUsageChunk(request, options)) {
    yield dataFrame({ ...envelope, choices: [], usage: usageFields(used, options.model, options.costs) });
  }
  yield DONE_FRAME;
}

function wantsUsageChunk(request: ChatRequest, options: AnswerOptions): boolean {
  if (options.usage === "always") return true;
  const asked = request.stream_options;
  const isAsked =
    typeof asked === "object" && asked !== null && "include_usage" in asked && asked.include_usage === true;
  return options.usage === "last-chunk" && isAsked;
}

function deltaWriter(options: AnswerOptions): (event: Exclude<EngineEvent, { type: "finish" }>) => object {
  const form = options.model.reasoning ?? "reasoning_content";
  const tagger = form === "think-tags" ? thinkTagger() : undefined;
  return (event) => {
    if (event.type === "tool-call") {
      const closing = tagger?.close() ?? "";
      return { ...(closing === "" ? {} : { content: closing }), tool_calls: [toolCallDelta(event)] };
    }
    if (tagger !== undefined) return { content: tagger.write(event) };
    return event.type === "reasoning" ? { [form]: event.text } : { content: event.text };
  };
}

function toolCallDelta(event: Extract<EngineEvent, { type: "tool-call" }>): object {
  return {
    index: event.index,
    ...(event.id === undefined ? {} : { id: event.id, type: "function" }),
    function: { ...(event.name === undefined ? {} : { name: event.name }), arguments: event.argumentsJson },
  };
}

function failureInStream(error: unknown) {
  const message = ZephError.is(error) ? error.message : "The upstream failed while answering.";
  return { status: 502, code: "upstream_error", message };
}
