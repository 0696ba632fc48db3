import type { ChatRequest, EngineEvent } from "../engine.ts";
import type { AnswerOptions } from "./answer-options.ts";
import { usageFields } from "./price.ts";
import { thinkTagger } from "./think-tags.ts";

interface ToolCall {
  id: string;
  name: string;
  argumentsJson: string;
}

/** The whole answer as one `chat.completion` object. */
export async function chatCompletion(
  events: AsyncIterable<EngineEvent>,
  request: ChatRequest,
  options: AnswerOptions,
): Promise<object> {
  const { model } = options;
  const tagger = model.reasoning === "think-tags" ? thinkTagger() : undefined;
  let content = "";
  let reasoning = "";
  let finish: Extract<EngineEvent, { type: "finish" }> | undefined;
  const calls: ToolCall[] = [];
  for await (const event of events) {
    if (event.type === "finish") finish = event;
    else if (event.type === "tool-call") {
      content += tagger?.close() ?? "";
      addToolCall(calls, event);
    } else if (tagger !== undefined) content += tagger.write(event);
    else if (event.type === "reasoning") reasoning += event.text;
    else content += event.text;
  }
  const message = {
    role: "assistant",
    content: calls.length > 0 && content === "" ? null : content,
    ...(reasoning === "" ? {} : { [model.reasoning ?? "reasoning_content"]: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(toWire) }),
  };
  return {
    id: options.id,
    object: "chat.completion",
    created: Math.floor(options.clock.nowMs() / 1000),
    model: request.model,
    choices: [{ index: 0, message, finish_reason: finish?.reason ?? "stop" }],
    ...(finish === undefined || options.usage === "none"
      ? {}
      : { usage: usageFields(finish.usage, model, options.costs) }),
  };
}

function addToolCall(calls: ToolCall[], event: Extract<EngineEvent, { type: "tool-call" }>): void {
  const call = calls[event.index] ?? { id: "", name: "", argumentsJson: "" };
  call.id = event.id ?? call.id;
  call.name = event.name ?? call.name;
  call.argumentsJson += event.argumentsJson;
  calls[event.index] = call;
}

function toWire(call: ToolCall): object {
  return { id: call.id, type: "function", function: { name: call.name, arguments: call.argumentsJson } };
}
