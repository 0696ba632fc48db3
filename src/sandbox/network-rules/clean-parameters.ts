import { asObject, type JsonObject } from "./as-object.ts";

/** Values that are brought into these bounds instead of being refused. */
const CLAMPED: Readonly<Record<string, readonly [minimum: number, maximum: number]>> = {
  temperature: [0, 2],
  top_p: [0, 1],
  min_p: [0, 1],
  frequency_penalty: [-2, 2],
  presence_penalty: [-2, 2],
  repetition_penalty: [0, 2],
  n: [1, 5],
};

/** What the network turns the accepted fields into before the model sees them. */
export function cleanParameters(body: JsonObject): JsonObject {
  const cleaned: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue;
    const bounds = CLAMPED[name];
    cleaned[name] =
      bounds !== undefined && typeof value === "number" ? Math.min(Math.max(value, bounds[0]), bounds[1]) : value;
  }
  cleanTools(cleaned);
  cleanThinking(cleaned);
  if (cleaned.stream_options !== undefined) {
    const includeUsage = asObject(cleaned.stream_options)?.include_usage;
    cleaned.stream_options = includeUsage === undefined ? {} : { include_usage: includeUsage };
  }
  return cleaned;
}

function cleanTools(cleaned: Record<string, unknown>): void {
  if (!Array.isArray(cleaned.tools) || cleaned.tools.length === 0) {
    delete cleaned.tools;
    delete cleaned.tool_choice;
    return;
  }
  cleaned.tools = cleaned.tools.map((tool) => {
    const { strict: _, ...definition } = asObject(asObject(tool)?.function) ?? {};
    return { type: "function", function: definition };
  });
  // "required" is more than the network promises; it becomes "auto".
  if (cleaned.tool_choice === undefined || cleaned.tool_choice === "required") cleaned.tool_choice = "auto";
}

function cleanThinking(cleaned: Record<string, unknown>): void {
  const { thinking, enable_thinking: enableThinking } = cleaned;
  if (enableThinking !== undefined) {
    delete cleaned.enable_thinking;
    const template = asObject(cleaned.chat_template_kwargs) ?? {};
    cleaned.chat_template_kwargs = { enable_thinking: enableThinking, ...template };
  }
  const mode = asObject(thinking)?.type;
  if (mode === "adaptive" || mode === "auto") cleaned.thinking = { ...asObject(thinking), type: "enabled" };
}
