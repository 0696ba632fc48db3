import { createParser } from "eventsource-parser";
import { z } from "zod";

/*
 * The Open Responses specification (2026-04-24) as far as chat models go, written down from its OpenAPI document and
 * independent of the code under test. Required fields are required here, and kinds of events and items are closed lists.
 */

const whole = z.number().int().nonnegative();
const status = z.enum(["in_progress", "completed", "incomplete"]);
const summaryPart = z.object({ type: z.literal("summary_text"), text: z.string() });
const textPart = z.object({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(z.never()),
});
const refusalPart = z.object({ type: z.literal("refusal"), refusal: z.string() });
const id = z.string().regex(/^[a-z]+_\w+$/);

const item = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("message"),
    id,
    status,
    role: z.literal("assistant"),
    content: z.array(z.union([textPart, refusalPart])),
  }),
  z.object({
    type: z.literal("function_call"),
    id,
    call_id: z.string().min(1),
    name: z.string().min(1),
    namespace: z.string().optional(),
    arguments: z.string(),
    status,
  }),
  z.object({
    type: z.literal("reasoning"),
    id,
    summary: z.array(summaryPart),
    content: z.array(z.object({ type: z.literal("reasoning_text"), text: z.string() })).optional(),
    encrypted_content: z.string().optional(),
  }),
  z.object({ type: z.literal("compaction"), id, encrypted_content: z.string() }),
  // OpenAI's own: tools that take free text, and the search for tools.
  z.object({
    type: z.literal("tool_search_call"),
    id,
    call_id: z.string().nullable(),
    execution: z.enum(["server", "client"]),
    arguments: z.unknown(),
    status,
  }),
  z.object({
    type: z.literal("custom_tool_call"),
    id,
    call_id: z.string().min(1),
    name: z.string(),
    input: z.string(),
    status,
  }),
]);

const usage = z.object({
  input_tokens: whole,
  output_tokens: whole,
  total_tokens: whole,
  input_tokens_details: z.object({ cached_tokens: whole, cache_write_tokens: whole }),
  output_tokens_details: z.object({ reasoning_tokens: whole }),
});

export const responseResource = z.object({
  id,
  object: z.literal("response"),
  created_at: whole,
  completed_at: whole.nullable(),
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
  incomplete_details: z.object({ reason: z.string() }).nullable(),
  model: z.string(),
  previous_response_id: z.string().nullable(),
  instructions: z.string().nullable(),
  output: z.array(item),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  tools: z.array(z.looseObject({ type: z.string() })),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string() })]),
  truncation: z.enum(["auto", "disabled"]),
  parallel_tool_calls: z.boolean(),
  text: z.object({ format: z.looseObject({ type: z.enum(["text", "json_object", "json_schema"]) }) }),
  top_p: z.number(),
  presence_penalty: z.number(),
  frequency_penalty: z.number(),
  top_logprobs: whole,
  temperature: z.number(),
  reasoning: z.object({ effort: z.string().nullable(), summary: z.string().nullable() }).nullable(),
  usage: usage.nullable(),
  max_output_tokens: whole.nullable(),
  max_tool_calls: whole.nullable(),
  store: z.boolean(),
  background: z.boolean(),
  service_tier: z.string(),
  metadata: z.record(z.string(), z.string()),
  safety_identifier: z.string().nullable(),
  prompt_cache_key: z.string().nullable(),
});

const sequence = { sequence_number: whole };
const place = { ...sequence, item_id: id, output_index: whole };
const inContent = { ...place, content_index: whole };
const inSummary = { ...place, summary_index: whole };
const snapshot = (type: string) => z.object({ type: z.literal(type), ...sequence, response: responseResource });
const part = z.union([textPart, refusalPart]);
const logprobs = z.array(z.never());

const event = z.union([
  ...["created", "in_progress", "completed", "incomplete", "failed"].map((name) => snapshot(`response.${name}`)),
  z.object({ type: z.literal("response.output_item.added"), ...sequence, output_index: whole, item }),
  z.object({ type: z.literal("response.output_item.done"), ...sequence, output_index: whole, item }),
  z.object({ type: z.literal("response.content_part.added"), ...inContent, part }),
  z.object({ type: z.literal("response.content_part.done"), ...inContent, part }),
  z.object({ type: z.literal("response.output_text.delta"), ...inContent, delta: z.string(), logprobs }),
  z.object({ type: z.literal("response.output_text.done"), ...inContent, text: z.string(), logprobs }),
  z.object({ type: z.literal("response.refusal.delta"), ...inContent, delta: z.string() }),
  z.object({ type: z.literal("response.refusal.done"), ...inContent, refusal: z.string() }),
  z.object({ type: z.literal("response.reasoning_summary_part.added"), ...inSummary, part: summaryPart }),
  z.object({ type: z.literal("response.reasoning_summary_part.done"), ...inSummary, part: summaryPart }),
  z.object({ type: z.literal("response.reasoning_summary_text.delta"), ...inSummary, delta: z.string() }),
  z.object({ type: z.literal("response.reasoning_summary_text.done"), ...inSummary, text: z.string() }),
  z.object({ type: z.literal("response.function_call_arguments.delta"), ...place, delta: z.string() }),
  z.object({
    type: z.literal("response.function_call_arguments.done"),
    ...place,
    name: z.string(),
    arguments: z.string(),
  }),
  z.object({ type: z.literal("response.custom_tool_call_input.delta"), ...place, delta: z.string() }),
  z.object({ type: z.literal("response.custom_tool_call_input.done"), ...place, input: z.string() }),
]);

export type ResponsesEvent = Readonly<Record<string, unknown>> & { readonly type: string };

/** The events of a stream, each checked against the specification, and all of them against its order. */
export function readResponsesEvents(text: string): readonly ResponsesEvent[] {
  const messages: { event: string | undefined; data: string }[] = [];
  const parser = createParser({ onEvent: ({ event: name, data }) => messages.push({ event: name, data }) });
  parser.feed(text);
  const last = messages.pop();
  if (last?.data !== "[DONE]") throw new Error(`the stream ends with ${last?.data}, not with [DONE]`);
  const events = messages.map(({ event: name, data }, index) => {
    const parsed = JSON.parse(data) as ResponsesEvent & { sequence_number: number };
    event.parse(parsed);
    if (parsed.type !== name) throw new Error(`the event ${name} calls itself ${parsed.type}`);
    if (parsed.sequence_number !== index) throw new Error(`event ${index} has the number ${parsed.sequence_number}`);
    return parsed;
  });
  checkOrder(events);
  return events;
}

const FINAL = ["response.completed", "response.incomplete", "response.failed"];

function checkOrder(events: readonly ResponsesEvent[]): void {
  const types = events.map(({ type }) => type);
  if (types[0] !== "response.created" || types[1] !== "response.in_progress") throw new Error("the beginning is wrong");
  if (!FINAL.includes(types.at(-1) ?? "")) throw new Error(`the end is ${types.at(-1)}`);
  let open: { id: string; index: number; part: boolean } | undefined;
  let done = 0;
  for (const { type, item: given, item_id: itemId, output_index: index } of events.slice(2, -1)) {
    const itemOf = given as { id: string } | undefined;
    if (type === "response.output_item.added") {
      if (open !== undefined) throw new Error("an item begins inside another");
      open = { id: itemOf?.id ?? "", index: done, part: false };
    }
    if (open === undefined || index !== open.index || (itemId ?? itemOf?.id) !== open.id) {
      throw new Error(`${type} belongs to no open item`);
    }
    if (/part\.added$/.test(type)) open.part = true;
    if (/(?:text|refusal)\.(?:delta|done)$/.test(type) && !open.part)
      throw new Error(`${type} belongs to no open part`);
    if (/part\.done$/.test(type)) open.part = false;
    if (type === "response.output_item.done") {
      if (open.part) throw new Error("a part is still open at the end of its item");
      open = undefined;
      done += 1;
    }
  }
  if (open !== undefined && types.at(-1) !== "response.failed") throw new Error("an item is still open at the end");
}
