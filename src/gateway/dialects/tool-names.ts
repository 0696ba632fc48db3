import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import type { JsonObject } from "./dialect.ts";

/** A tool as the Responses API names it. */
export interface NamedTool {
  /** `search` finds more tools: the caller runs it and hands the found ones in with its result. */
  readonly kind: "function" | "custom" | "search";
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Which tool of the caller a function of the chat request stands for. */
export type ToolNames = ReadonlyMap<string, NamedTool>;

/**
 * The name of a tool in a chat request, which knows no namespaces: `space__name`. The same tool has the same name in
 * every request, because the calls of earlier turns are named as well. Names beyond the network's bound are cut, with a
 * checksum of the whole at the end.
 */
export function chatToolName(name: string, namespace: string | undefined): string {
  if (namespace === undefined || namespace === "") return name;
  const whole = `${namespace}${namespace.endsWith("__") ? "" : "__"}${name}`.replace(/[^\w-]/g, "_");
  const { maxToolNameBytes } = NETWORK_LIMITS;
  return whole.length <= maxToolNameBytes ? whole : `${whole.slice(0, maxToolNameBytes - 9)}_${checksum(whole)}`;
}

/** FNV-1a, 32 bits, as eight hexadecimal digits. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

/** The search for tools has no name of its own in the Responses API. */
export const TOOL_SEARCH = "tool_search";

/** A tool that takes free text, as a function whose one argument is that text. A grammar becomes part of the description. */
export function customAsFunction(name: string, { description, format }: JsonObject): JsonObject {
  const words = [typeof description === "string" ? description : "", grammarNote(format)].filter((each) => each !== "");
  return {
    name,
    description: words.join("\n\n"),
    parameters: {
      type: "object",
      properties: { input: { type: "string", description: "The whole input of the tool, as plain text." } },
      required: ["input"],
      additionalProperties: false,
    },
  };
}

function grammarNote(format: unknown): string {
  const { type, syntax, definition } = (format ?? {}) as JsonObject;
  if (type !== "grammar" || typeof definition !== "string") return "";
  return `The input must follow this ${typeof syntax === "string" ? syntax : "formal"} grammar:\n${definition}`;
}

/** The arguments of the function for an input in free text. */
export function customArguments(input: string): string {
  return JSON.stringify({ input });
}

/** The free text in a function's arguments; a model that did not keep to the schema is taken at its word. */
export function customInput(argumentsText: string): string {
  try {
    const parsed: unknown = JSON.parse(argumentsText);
    if (typeof parsed === "string") return parsed;
    const values = typeof parsed === "object" && parsed !== null ? (parsed as JsonObject) : {};
    const only = Object.values(values).length === 1 ? Object.values(values)[0] : undefined;
    const input = values.input ?? only;
    return typeof input === "string" ? input : argumentsText;
  } catch {
    // Not JSON: the model wrote the text itself.
    return argumentsText;
  }
}
