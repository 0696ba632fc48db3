import { createHash } from "node:crypto";
import { type Clock, systemClock } from "../base/time.ts";
import {
  type ChatMessage,
  type ChatRequest,
  type ChatTool,
  countPromptTokens,
  countTokens,
  type Engine,
  type EngineEvent,
  messageText,
  type SandboxModel,
  splitTokens,
} from "./engine.ts";

export interface BuiltInEngineOptions {
  /** How fast words come. Default 0: without any wait. */
  readonly tokensPerSecond?: number;
  readonly clock?: Clock;
}

/**
 * The engine that needs nothing: readable answers, the same for the same conversation. It can count ("count to 5"),
 * say what it is told ("say hello"), write a long text ("write 500 words"), show Markdown, fill a JSON schema, and call
 * the tools it is given.
 */
export function builtInEngine(options: BuiltInEngineOptions = {}): Engine {
  const { tokensPerSecond = 0, clock = systemClock } = options;
  return {
    models: async () => BUILT_IN_MODELS,
    embed: async (input) => input.map(embedText),
    async *complete(request, signal) {
      for (const event of answerEvents(request)) {
        signal.throwIfAborted();
        if (tokensPerSecond > 0 && event.type !== "finish") await clock.sleep(1000 / tokensPerSecond, signal);
        yield event;
      }
    },
  };
}

function* answerEvents(request: ChatRequest): Generator<EngineEvent> {
  const limit = tokenLimit(request);
  const calls = chooseTools(request);
  const thinking = splitTokens(thinkingText(request, calls));
  const text = splitTokens(calls.length > 0 ? "" : answerText(request));
  const callPieces = calls.flatMap(callEvents);
  let completionTokens = 0;
  for (const token of thinking.slice(0, limit)) {
    completionTokens += 1;
    yield { type: "reasoning", text: token };
  }
  const reasoningTokens = completionTokens;
  for (const token of text.slice(0, limit - completionTokens)) {
    completionTokens += 1;
    yield { type: "text", text: token };
  }
  for (const piece of callPieces.slice(0, limit - completionTokens)) {
    completionTokens += 1;
    yield piece;
  }
  const isComplete = thinking.length + text.length + callPieces.length <= limit;
  yield {
    type: "finish",
    reason: !isComplete ? "length" : calls.length > 0 ? "tool_calls" : "stop",
    usage: {
      promptTokens: countPromptTokens(request),
      completionTokens,
      cachedTokens: cachedTokens(request),
      ...(thinking.length === 0 ? {} : { reasoningTokens }),
    },
  };
}

/** The smaller of the two names for the same limit; a model's own cap was put there by the network's rules. */
function tokenLimit(request: ChatRequest): number {
  const limits = [request.max_tokens, request.max_completion_tokens].filter((limit) => typeof limit === "number");
  const cap = BUILT_IN_MODELS.find((model) => model.id === request.model)?.maxOutputTokens;
  return Math.min(...limits, cap ?? Number.POSITIVE_INFINITY);
}

/** Thinking models think unless told not to with `thinking: {type: "disabled"}`. */
function thinkingText(request: ChatRequest, calls: readonly PlannedCall[]): string {
  const model = BUILT_IN_MODELS.find((known) => known.id === request.model);
  if (model?.reasoning === undefined || (request.thinking as { type?: unknown } | undefined)?.type === "disabled") {
    return "";
  }
  const question = gist(userWords(lastQuestion(request.messages)).join(" "), 60);
  const plan =
    calls.length > 0 ? `I should call ${calls.map((call) => call.name).join(" and ")}` : "I can answer at once";
  return `The user wrote "${question}". ${plan}.`;
}

function answerText(request: ChatRequest): string {
  const results = trailingToolResults(request.messages).map(messageText).join("; ");
  const schema = wantedSchema(request.response_format);
  if (schema !== undefined) {
    const question = userWords(lastQuestion(request.messages)).join("\n");
    return JSON.stringify(fillSchema(schema, results === "" ? question : results));
  }
  return cutAtStop(results === "" ? replyText(request.messages) : `The tool answered: ${results}`, request.stop);
}

function trailingToolResults(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const said = messages.filter(speaks);
  const isResult = (message: ChatMessage) => message.role === "tool" || message.role === "function";
  return said.slice(said.findLastIndex((message) => !isResult(message)) + 1);
}

/** The schema of `response_format`; for `json_object` one with a single text field. */
function wantedSchema(format: unknown): unknown {
  if (typeof format !== "object" || format === null || !("type" in format)) return undefined;
  if (format.type === "json_object") return { type: "object", properties: { reply: { type: "string" } } };
  const wrapper = "json_schema" in format ? format.json_schema : undefined;
  return typeof wrapper === "object" && wrapper !== null && "schema" in wrapper ? wrapper.schema : undefined;
}

function cutAtStop(text: string, stop: unknown): string {
  const stops = (Array.isArray(stop) ? stop : [stop]).filter((entry) => typeof entry === "string" && entry !== "");
  const places = stops.map((entry) => text.indexOf(entry)).filter((place) => place >= 0);
  return places.length === 0 ? text : text.slice(0, Math.min(...places));
}

/** A call in pieces: id and name first, then the arguments a few characters at a time. */
function callEvents(call: PlannedCall, index: number): readonly EngineEvent[] {
  const pieces = call.argumentsJson.match(/.{1,6}/gsu) ?? [];
  return [
    { type: "tool-call", index, id: call.id, name: call.name, argumentsJson: "" },
    ...pieces.map((argumentsJson): EngineEvent => ({ type: "tool-call", index, argumentsJson })),
  ];
}

/** From the second turn on, everything before the last message counts as cached. */
function cachedTokens(request: ChatRequest): number {
  const hasHistory = request.messages.some((message) => message.role === "assistant");
  return hasHistory ? request.messages.slice(0, -1).reduce((sum, one) => sum + countTokens(messageText(one)), 0) : 0;
}

/** The built-in engine's models. Ids and prices are made up; none of them exists on any network. */
const BUILT_IN_MODELS: readonly SandboxModel[] = [
  {
    id: "sandbox/echo-1",
    kind: "chat",
    contextLengthTokens: 128_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.2,
    completionUsdPer1M: 0.4,
  },
  {
    id: "sandbox/thinker-1",
    kind: "chat",
    contextLengthTokens: 240_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.3,
    completionUsdPer1M: 0.9,
    reasoning: "reasoning_content",
  },
  {
    id: "sandbox/muser-1",
    kind: "chat",
    contextLengthTokens: 180_000,
    maxOutputTokens: 4096,
    promptUsdPer1M: 0.25,
    completionUsdPer1M: 0.6,
    reasoning: "think-tags",
  },
  {
    // Small, and with a capital letter: for trying the context limit and the spelling of ids.
    id: "sandbox/Tiny-1",
    kind: "chat",
    contextLengthTokens: 512,
    maxOutputTokens: 128,
    promptUsdPer1M: 0.05,
    completionUsdPer1M: 0.1,
  },
  {
    id: "sandbox/embed-1",
    kind: "embedding",
    contextLengthTokens: 8192,
    maxOutputTokens: 0,
    promptUsdPer1M: 0.02,
    completionUsdPer1M: 0,
  },
];

interface PlannedCall {
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

type Schema = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 12;

/** A value that fits a JSON schema, taken from `text` where something in it fits. Deterministic. */
export function fillSchema(schema: unknown, text: string): unknown {
  return fill(asSchema(schema), text, "", 0);
}

function asSchema(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function fill(schema: Schema, text: string, name: string, depth: number): unknown {
  if (depth > MAX_DEPTH) return null;
  if ("const" in schema) return schema.const;
  if (Array.isArray(schema.enum)) return chooseEnum(schema.enum, text);
  for (const keyword of ["anyOf", "oneOf"]) {
    const arms = schema[keyword];
    if (Array.isArray(arms)) return fill(chooseArm(arms), text, name, depth + 1);
  }
  if (Array.isArray(schema.allOf)) {
    return fill(Object.assign({}, ...schema.allOf.map(asSchema)), text, name, depth + 1);
  }
  switch (typeOf(schema)) {
    case "object":
      return fillObject(schema, text, depth);
    case "array":
      return fillArray(schema, text, name, depth);
    case "integer":
      return Math.round(fillNumber(schema, text));
    case "number":
      return fillNumber(schema, text);
    case "boolean":
      return schema.default ?? !RISKY.test(name);
    case "null":
      return null;
    default:
      return fillString(schema, text, name);
  }
}

/** Switches that nobody means who did not say so. */
const RISKY = /background|dangerous|force|overwrite|recursive/i;

function typeOf(schema: Schema): unknown {
  if (Array.isArray(schema.type)) return schema.type.find((type) => type !== "null") ?? "null";
  if (schema.type !== undefined) return schema.type;
  if (schema.properties !== undefined) return "object";
  return schema.items === undefined ? "string" : "array";
}

function chooseEnum(values: readonly unknown[], text: string): unknown {
  const lower = text.toLowerCase();
  return values.find((value) => typeof value === "string" && lower.includes(value.toLowerCase())) ?? values[0];
}

function chooseArm(arms: readonly unknown[]): Schema {
  return asSchema(arms.find((arm) => asSchema(arm).type !== "null") ?? arms[0]);
}

function fillObject(schema: Schema, text: string, depth: number): Record<string, unknown> {
  const properties = asSchema(schema.properties);
  const required = Array.isArray(schema.required) ? schema.required : Object.keys(properties);
  const filled: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(properties)) {
    if (required.includes(name) || isMentioned(asSchema(property), text)) {
      filled[name] = fill(asSchema(property), text, name, depth + 1);
    }
  }
  return filled;
}

/** An optional property is filled only when the text has a value for it. */
function isMentioned(schema: Schema, text: string): boolean {
  const lower = text.toLowerCase();
  return (
    Array.isArray(schema.enum) &&
    schema.enum.some((value) => typeof value === "string" && lower.includes(value.toLowerCase()))
  );
}

function fillArray(schema: Schema, text: string, name: string, depth: number): unknown[] {
  const length = typeof schema.minItems === "number" ? Math.min(Math.max(schema.minItems, 1), 16) : 1;
  return Array.from({ length }, () => fill(asSchema(schema.items), text, name, depth + 1));
}

function fillNumber(schema: Schema, text: string): number {
  const minimum = typeof schema.minimum === "number" ? schema.minimum : Number.NEGATIVE_INFINITY;
  const maximum = typeof schema.maximum === "number" ? schema.maximum : Number.POSITIVE_INFINITY;
  const found = Number(/-?\d+(?:\.\d+)?/.exec(text)?.[0] ?? 1);
  return Math.min(Math.max(found, minimum), maximum);
}

const FORMATS: Readonly<Record<string, string>> = {
  date: "2026-01-01",
  "date-time": "2026-01-01T00:00:00Z",
  email: "someone@example.com",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};

function fillString(schema: Schema, text: string, name: string): string {
  const format = typeof schema.format === "string" ? FORMATS[schema.format] : undefined;
  if (format !== undefined) return format;
  const found = findByName(name, text) ?? /["“'`]([^"”'`]+)["”'`]/.exec(text)?.[1] ?? gist(text);
  const maximum = typeof schema.maxLength === "number" ? schema.maxLength : found.length;
  const minimum = typeof schema.minLength === "number" ? schema.minLength : 0;
  return found.slice(0, maximum).padEnd(minimum, ".");
}

/** Things that can be recognised in a sentence by the name of what is wanted. */
function findByName(name: string, text: string): string | undefined {
  if (/city|location|place|town|country|destination/i.test(name)) {
    return /\b(?:in|at|for|near|of|from|to)\s+(\p{Lu}[\p{L}'-]*(?:\s+\p{Lu}[\p{L}'-]*)*)/u.exec(text)?.[1];
  }
  if (/url|uri|link/i.test(name)) return /https?:\/\/[^\s"'<>]+/.exec(text)?.[0];
  if (/^(?:cmd|command|script)s?$/i.test(name)) return /`([^`]+)`/.exec(text)?.[1];
  if (/path|file/i.test(name)) return /(?:[\w.~-]*\/)*[\w-]+\.\w+|(?:[\w.~-]+)?\/[\w./-]+/.exec(text)?.[0];
  return undefined;
}

type Rule = readonly [pattern: RegExp, reply: (match: RegExpMatchArray, messages: readonly ChatMessage[]) => string];

const MAX_COUNT = 1000;
const MAX_WORDS = 20_000;

/** What the built-in engine answers to a conversation in plain words. The same conversation always gets the same answer. */
export function replyText(messages: readonly ChatMessage[]): string {
  const parts = userWords(lastQuestion(messages));
  const question = parts.join("\n");
  // Agents put what the user wrote behind what they have to say themselves.
  for (const text of [parts.at(-1) ?? "", question]) {
    for (const [pattern, reply] of RULES) {
      const match = text.match(pattern);
      if (match !== null) return reply(match, messages);
    }
  }
  return question === ""
    ? "Hello from the zeph sandbox. I got a message without text."
    : `Hello from the zeph sandbox. You wrote: "${gist(question)}". No real model is behind this answer, but the way ` +
        "it took is the real one: key check, network rules, and a streamed reply with token counts and cost.";
}

/** The beginning of a text, on one line. */
function gist(text: string, maxChars = 120): string {
  const line = Array.from(text.replace(/\s+/g, " ").trim());
  return line.length > maxChars ? `${line.slice(0, maxChars - 1).join("")}…` : line.join("");
}

const RULES: readonly Rule[] = [
  [/\bcount\s+(?:from\s+(\d+)\s+)?(?:up\s+)?to\s+(\d+)/i, (match) => count(Number(match[1] ?? 1), Number(match[2]))],
  [/\bwrite\s+(?:about\s+)?(\d+)\s+words?\b/i, (match) => words(Math.min(Number(match[1]), MAX_WORDS))],
  [
    /^(?:please\s+)?(?:say|repeat|echo|(?:reply|answer|respond)(?:\s+(?:only|exactly|just))*\s+with)(?:\s+(?:only|exactly|just))*\s*:?\s+(.+)$/is,
    (match) => unquote(match[1] ?? ""),
  ],
  [/\bmarkdown\b/i, () => MARKDOWN_SAMPLE],
  [/\bwhat did i (?:just )?(?:say|ask|write|tell)\b|\bmy (?:first|last|previous) message\b/i, (_, all) => recall(all)],
  [/(-?\d+(?:\.\d+)?)\s*([+*/x×-])\s*(-?\d+(?:\.\d+)?)\s*\??/i, (match) => calculate(match)],
  [
    /\b(?:who|what) are you\b|\bwhat model\b/i,
    () => "I am the built-in engine of the zeph sandbox: a small program with fixed answers, not a language model.",
  ],
  [
    /^(?:hi|hello|hey|good (?:morning|day|evening))\b[\s\p{L}]{0,20}[!.,]*$/iu,
    () => "Hello! This is the zeph sandbox. Ask me to count to 5, to say something, or to show some Markdown.",
  ],
];

function count(from: number, to: number): string {
  const last = Math.min(to, from + MAX_COUNT - 1);
  return Array.from({ length: Math.max(0, last - from + 1) }, (_, index) => from + index).join(", ");
}

const VOCABULARY = "the small network answers every question with care and sends one word after another".split(" ");

function words(howMany: number): string {
  return Array.from({ length: howMany }, (_, index) => VOCABULARY[index % VOCABULARY.length]).join(" ");
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^(["'`]).*\1[.!]?$/s.test(trimmed) ? trimmed.replace(/^.(.*?)["'`][.!]?$/s, "$1") : trimmed;
}

function recall(messages: readonly ChatMessage[]): string {
  const earlier = messages.filter((message) => message.role === "user" && userWords(message).length > 0).slice(0, -1);
  const previous = earlier.at(-1);
  return previous === undefined
    ? "This is your first message."
    : `Before this, you wrote: "${gist(messageText(previous))}".`;
}

function calculate(match: RegExpMatchArray): string {
  const [, left = "", operator = "", right = ""] = match;
  const [a, b] = [Number(left), Number(right)];
  const result = { "+": a + b, "-": a - b, "*": a * b, x: a * b, X: a * b, "×": a * b, "/": a / b }[operator];
  return `${left} ${operator} ${right} = ${result}`;
}

const MARKDOWN_SAMPLE = `# A sample of Markdown

Some **bold**, some *italic*, some \`code\`, and a [link](https://example.com).

- first
- second
  1. nested

| model | tokens |
|---|---:|
| sandbox/echo-1 | 42 |

\`\`\`ts
const answer = 6 * 7;
\`\`\`

> That is all.
`;

const DIMENSIONS = 64;

/** A unit vector for a text: its words hashed into a fixed number of places, so that texts sharing words lie close. */
function embedText(text: string): readonly number[] {
  const vector = new Array<number>(DIMENSIONS).fill(0);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]) {
    const digest = createHash("sha256").update(word).digest();
    for (let index = 0; index < digest.length; index += 2) {
      const place = digest.readUInt8(index) % DIMENSIONS;
      vector[place] = (vector[place] ?? 0) + (digest.readUInt8(index + 1) - 127.5) / 127.5;
    }
  }
  const length = Math.hypot(...vector) || 1;
  // Values that survive a 32-bit float, which is how clients ask for them by default.
  return vector.map((value) => Math.fround(value / length));
}

/**
 * Blocks that coding agents put beside what the user wrote: reminders, the surroundings, house rules. Tags that wrap the
 * user's own words, such as `<task>`, are not among them.
 */
const REMINDER =
  /<([\w-]*(?:reminder|environment|context|instructions|details|permissions|rules|skills)[\w-]*)\b[^>]*>[\s\S]*?<\/\1>/gi;

/** Beside words of the user it is a reminder; alone it is what the agent itself asks for. */
const NOTE = "[SYSTEM]";
const SYSTEM_NOTE = /(?<=\S[\s\S]*)^\[SYSTEM\][\s\S]*$/m;
const RULES_HEADING = /^# AGENTS\.md instructions[^\n]*$/gim;
const WRAPPING = /^\s*<([\w-]+)>\s*([\s\S]*?)\s*<\/\1>\s*$/;

/** What the user wrote in a message, part by part, without what an agent put beside it. */
function userWords(message: ChatMessage | undefined): readonly string[] {
  const { content } = message ?? {};
  const parts = Array.isArray(content) ? content.map(textOf) : [typeof content === "string" ? content : ""];
  const own = parts.map(ownWords).filter((text) => text !== "");
  const words = own.filter((text) => !text.startsWith(NOTE));
  return words.length === 0 ? own : words;
}

/** The last of the user's messages that holds words of the user's own. */
function lastQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  const open = openQuestion(messages);
  if (open !== undefined) return open;
  return messages.findLast((message) => message.role === "user" && userWords(message).length > 0);
}

/** What the user wrote since the model or a tool spoke; whatever an agent put behind it does not count. */
function openQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  const said = messages.filter(speaks);
  const open = said.slice(said.findLastIndex(({ role }) => role !== "user") + 1);
  return open.findLast((message) => !isNote(message)) ?? open.at(-1);
}

function isNote(message: ChatMessage): boolean {
  return userWords(message).every((text) => text.startsWith(NOTE));
}

/** Not a reminder, wherever it stands and whichever role it was given. */
function speaks(message: ChatMessage): boolean {
  if (message.role === "system" || message.role === "developer") return false;
  return message.role !== "user" || userWords(message).length > 0;
}

function textOf(part: unknown): string {
  return typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? part.text : "";
}

function ownWords(text: string): string {
  const own = text.replace(REMINDER, "").replace(RULES_HEADING, "").replace(SYSTEM_NOTE, "").trim();
  return WRAPPING.exec(own)?.[2] ?? own;
}
