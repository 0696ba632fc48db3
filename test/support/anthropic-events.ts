import { createParser } from "eventsource-parser";
import { z } from "zod";

/*
 * The Messages API's answer and events, written down from the types of @anthropic-ai/sdk 1.14 and independent of the
 * code under test. Fields that the types require are required here.
 */

const whole = z.number().int().nonnegative();
const caller = z.object({ type: z.literal("direct") });
const block = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("thinking"), thinking: z.string(), signature: z.string() }),
  z.object({
    type: z.literal("tool_use"),
    id: z.string().min(1),
    name: z.string().min(1),
    input: z.object({}).loose(),
    caller,
  }),
]);
const thinkingTokens = z.object({ thinking_tokens: whole }).nullable();
const counted = {
  input_tokens: whole,
  output_tokens: whole,
  cache_creation_input_tokens: whole.nullable(),
  cache_read_input_tokens: whole.nullable(),
  output_tokens_details: thinkingTokens,
  server_tool_use: z.null(),
};
const stop = {
  stop_reason: z.enum(["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]).nullable(),
  stop_sequence: z.string().nullable(),
  stop_details: z.looseObject({ type: z.literal("refusal") }).nullable(),
};

export const anthropicMessage = z.object({
  id: z.string().startsWith("msg_"),
  type: z.literal("message"),
  role: z.literal("assistant"),
  model: z.string(),
  content: z.array(block),
  container: z.null(),
  diagnostics: z.null(),
  ...stop,
  usage: z.object({
    ...counted,
    cache_creation: z.null(),
    inference_geo: z.null(),
    service_tier: z.null(),
    speed: z.null(),
  }),
});

const delta = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text_delta"), text: z.string().min(1) }),
  z.object({ type: z.literal("thinking_delta"), thinking: z.string().min(1) }),
  z.object({ type: z.literal("signature_delta"), signature: z.string().min(1) }),
  z.object({ type: z.literal("input_json_delta"), partial_json: z.string() }),
]);

const event = z.discriminatedUnion("type", [
  z.object({ type: z.literal("message_start"), message: anthropicMessage }),
  z.object({ type: z.literal("ping") }),
  z.object({ type: z.literal("content_block_start"), index: whole, content_block: block }),
  z.object({ type: z.literal("content_block_delta"), index: whole, delta }),
  z.object({ type: z.literal("content_block_stop"), index: whole }),
  z.object({
    type: z.literal("message_delta"),
    delta: z.object({ ...stop, container: z.null() }),
    usage: z.object(counted),
  }),
  z.object({ type: z.literal("message_stop") }),
  z.object({ type: z.literal("error"), error: z.object({ type: z.string(), message: z.string().min(1) }) }),
]);

export type AnthropicEvent = z.infer<typeof event>;

/** The events of a stream, each checked against the types, and all of them against the order Anthropic documents. */
export function readAnthropicEvents(text: string): readonly AnthropicEvent[] {
  const events: AnthropicEvent[] = [];
  const parser = createParser({
    onEvent({ event: name, data }) {
      const parsed = event.parse(JSON.parse(data));
      if (parsed.type !== name) throw new Error(`the event ${name} calls itself ${parsed.type}`);
      events.push(parsed);
    },
  });
  parser.feed(text);
  checkOrder(events.filter(({ type }) => type !== "ping"));
  return events;
}

function checkOrder(events: readonly AnthropicEvent[]): void {
  if (events[0]?.type !== "message_start") throw new Error("the beginning is wrong");
  const end = events.at(-1)?.type;
  if (end === "error") return;
  if (end !== "message_stop" || events.at(-2)?.type !== "message_delta") throw new Error(`the end is ${end}`);
  let open = false;
  let next = 0;
  for (const each of events.slice(1, -2)) {
    if (!("index" in each) || each.index !== next) throw new Error(`${each.type} is out of place`);
    if ((each.type === "content_block_start") === open) throw new Error(`${each.type} belongs to no open block`);
    if (each.type === "content_block_start") open = true;
    if (each.type === "content_block_stop") {
      open = false;
      next += 1;
    }
  }
  if (open) throw new Error("a block is still open at the end");
}
