import { type ChatRequest, type ChatTool, messageText } from "../engine.ts";
import { fillSchema } from "./fill-schema.ts";

export interface PlannedCall {
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
}

/** Words that say nothing about what a tool is for. */
const COMMON_WORDS = new Set(
  "a an and any by call current do fetch find for from function get give given how in is list make me my of on or our read return returns run search set show some tell that the this to tool use what when with you your".split(
    " ",
  ),
);

/**
 * The tool calls for the last message: the forced tool, else those whose name or description fits what is asked. None
 * when the last message is not the user's, so that a tool's result ends the round.
 */
export function chooseTools(request: ChatRequest): readonly PlannedCall[] {
  const tools = request.tools ?? [];
  const last = request.messages.at(-1);
  if (tools.length === 0 || last?.role !== "user" || request.tool_choice === "none") return [];
  const text = messageText(last);
  const chosen =
    request.parallel_tool_calls === false ? fitting(tools, request, text).slice(0, 1) : fitting(tools, request, text);
  const earlier = request.messages.reduce(
    (sum, message) => sum + (Array.isArray(message.tool_calls) ? message.tool_calls.length : 0),
    0,
  );
  return chosen.map((tool, index) => ({
    // The form Kimi models use on the network; the running number keeps ids apart within a conversation.
    id: `functions.${tool.function.name}:${earlier + index}`,
    name: tool.function.name,
    argumentsJson: JSON.stringify(fillSchema(tool.function.parameters ?? { type: "object" }, text)),
  }));
}

function fitting(tools: readonly ChatTool[], request: ChatRequest, text: string): readonly ChatTool[] {
  const forced = forcedName(request.tool_choice);
  if (forced !== undefined) return tools.filter((tool) => tool.function.name === forced).slice(0, 1);
  const asked = new Set(wordsOf(text));
  const fits = tools.filter((tool) => fitsTool(tool, asked));
  return fits.length === 0 && request.tool_choice === "required" ? tools.slice(0, 1) : fits;
}

function forcedName(toolChoice: unknown): string | undefined {
  if (typeof toolChoice !== "object" || toolChoice === null || !("function" in toolChoice)) return undefined;
  const chosen = toolChoice.function;
  if (typeof chosen !== "object" || chosen === null || !("name" in chosen)) return undefined;
  return typeof chosen.name === "string" ? chosen.name : undefined;
}

function fitsTool(tool: ChatTool, asked: ReadonlySet<string>): boolean {
  const { name, description = "" } = tool.function;
  const nameWords = wordsOf(name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]/g, " "));
  if (asked.has(name.toLowerCase()) || nameWords.some((word) => asked.has(word))) return true;
  return new Set(wordsOf(description).filter((word) => word.length >= 4 && asked.has(word))).size >= 2;
}

function wordsOf(text: string): readonly string[] {
  const found: readonly string[] = text.toLowerCase().match(/[\p{L}\p{N}_-]{2,}/gu) ?? [];
  return found.filter((word) => !COMMON_WORDS.has(word));
}
