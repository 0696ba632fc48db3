import type { ChatRequest, ChatTool } from "../engine.ts";
import { fillSchema } from "./fill-schema.ts";
import { openQuestion, userWords } from "./user-words.ts";

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
 * The tool calls for the user's last words: the forced tool, else those that are named, that do what is asked, or whose
 * name or description fits. None when something was said since, so that a tool's result ends the round.
 */
export function chooseTools(request: ChatRequest): readonly PlannedCall[] {
  const tools = request.tools ?? [];
  const question = openQuestion(request.messages);
  if (tools.length === 0 || question === undefined || request.tool_choice === "none") return [];
  const text = userWords(question).join("\n");
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
  const fits = fittingWords(tools, text);
  return fits.length === 0 && request.tool_choice === "required" ? tools.slice(0, 1) : fits;
}

function forcedName(toolChoice: unknown): string | undefined {
  if (typeof toolChoice !== "object" || toolChoice === null || !("function" in toolChoice)) return undefined;
  const chosen = toolChoice.function;
  if (typeof chosen !== "object" || chosen === null || !("name" in chosen)) return undefined;
  return typeof chosen.name === "string" ? chosen.name : undefined;
}

/** By whole names first, then by what agents' tools are for, by words of names, and last by the best description. */
function fittingWords(tools: readonly ChatTool[], text: string): readonly ChatTool[] {
  const asked = new Set(wordsOf(text));
  const named = tools.filter(({ function: { name } }) => asked.has(name.toLowerCase()));
  if (named.length > 0) return named;
  for (const { asks, tool } of DUTIES) {
    const found = asks.test(text) ? tools.find(({ function: { name } }) => tool.test(name)) : undefined;
    if (found !== undefined) return [found];
  }
  const byName = tools.filter(({ function: { name } }) => nameWords(name).some((word) => asked.has(word)));
  if (byName.length > 0) return byName;
  const scores = tools.map(({ function: { description = "" } }) => score(description, asked));
  const best = Math.max(0, ...scores);
  return best < 2 ? [] : tools.slice(scores.indexOf(best)).slice(0, 1);
}

/** What the tools that nearly every coding agent has are asked for with. */
const DUTIES = [
  {
    asks: /\b(?:run|execute|shell|terminal|command)\b[^`]*`[^`]+`/i,
    tool: /^(?:bash|shell|exec|exec_command|shell_command|run_shell_command|run_commands?|execute_command|run_terminal_command|terminal)$/i,
  },
  { asks: /\bread\b.*\w\.\w/i, tool: /^(?:read|read_?files?|view)$/i },
] as const;

function nameWords(name: string): readonly string[] {
  return wordsOf(name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]/g, " "));
}

function score(description: string, asked: ReadonlySet<string>): number {
  return new Set(wordsOf(description).filter((word) => word.length >= 4 && asked.has(word))).size;
}

function wordsOf(text: string): readonly string[] {
  const found: readonly string[] = text.toLowerCase().match(/[\p{L}\p{N}_-]{2,}/gu) ?? [];
  return found.filter((word) => !COMMON_WORDS.has(word));
}
