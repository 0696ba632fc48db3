import {
  ACCEPTED_PARAMETERS,
  DROPPED_PARAMETERS,
  FORBIDDEN_TEMPLATE_KEYS,
  FORCED_PARAMETERS,
  MESSAGE_ROLES,
  NETWORK_LIMITS,
  parameterRejection,
  REASONING_EFFORTS,
  SCHEMA_REFERENCE_KEYWORDS,
  type SchemaLimits,
} from "../rules/parameters.ts";
import type { ChatRequest } from "./engine.ts";

type RuledRequest =
  | { readonly kind: "accepted"; readonly request: ChatRequest }
  | { readonly kind: "refused"; readonly message: string };

/**
 * What the network gateway makes of a chat request: refused with a text that names the field, or accepted and cleaned
 * up. With `none` only what an engine needs to work at all is checked. Source: see `rules/parameters.ts`.
 */
export function applyNetworkRules(body: unknown, rules: "network" | "none"): RuledRequest {
  const given = asObject(body);
  if (given === undefined) return { kind: "refused", message: "The body must be a JSON object." };
  const lifted = rules === "network" ? liftExtraBody(given) : given;
  const message = rules === "network" ? checkAll(lifted) : checkBasics(lifted);
  if (message !== undefined) return { kind: "refused", message };
  return { kind: "accepted", request: (rules === "network" ? cleanAll(lifted) : lifted) as ChatRequest };
}

/** Moves the fields of `extra_body` to the top level, where those that are there already win. */
function liftExtraBody(body: JsonObject): JsonObject {
  const { extra_body: extra, ...rest } = body;
  const { extra_body: _, ...inner } = asObject(extra) ?? {};
  return { ...inner, ...rest };
}

function checkAll(body: JsonObject): string | undefined {
  const unknown = Object.keys(body).find((name) => !ACCEPTED_PARAMETERS.has(name));
  if (unknown !== undefined) return parameterRejection(unknown);
  if (jsonDepth(body, NETWORK_LIMITS.maxJsonDepth + 1) > NETWORK_LIMITS.maxJsonDepth) {
    return `request body: nesting depth exceeded: limit ${NETWORK_LIMITS.maxJsonDepth}`;
  }
  return (
    checkBasics(body) ??
    checkMessages(body.messages as readonly unknown[]) ??
    checkEffort(body) ??
    checkParameters(body) ??
    checkTools(body.tools)
  );
}

function checkBasics(body: JsonObject): string | undefined {
  if (typeof body.model !== "string" || body.model === "") return "model: must be a non-empty string";
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) return "messages: must be a non-empty array";
  if (!messages.every((message) => asObject(message) !== undefined)) return "messages: must be objects";
  return undefined;
}

function checkEffort(body: JsonObject): string | undefined {
  const effort = body.reasoning_effort ?? asObject(body.reasoning)?.effort;
  if (effort === undefined || effort === null) return undefined;
  return REASONING_EFFORTS.some((known) => known === effort)
    ? undefined
    : `reasoning_effort: must be one of ${REASONING_EFFORTS.join(", ")}`;
}

/** Forced fields go too: the gateway asks the model for log probabilities and takes them out of the answer again. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...DROPPED_PARAMETERS,
  ...FORCED_PARAMETERS,
  "reasoning_effort",
  "reasoning",
]);

function cleanAll(body: JsonObject): JsonObject {
  const kept = Object.fromEntries(Object.entries(body).filter(([name]) => !LEFT_OUT.has(name)));
  return { ...cleanParameters(kept), messages: cleanMessages(body.messages as readonly JsonObject[]) };
}

/** What the network has against the messages, or nothing. The text begins with the path of the field. */
function checkMessages(messages: readonly unknown[]): string | undefined {
  if (messages.length > NETWORK_LIMITS.maxMessages)
    return `messages: at most ${NETWORK_LIMITS.maxMessages} are allowed`;
  for (const [index, entry] of messages.entries()) {
    const problem = checkMessage(asObject(entry) ?? {});
    if (problem !== undefined) return `messages[${index}]${problem}`;
  }
  return undefined;
}

function checkMessage(message: JsonObject): string | undefined {
  const { role } = message;
  if (!MESSAGE_ROLES.some((known) => known === role)) return `.role: must be one of ${MESSAGE_ROLES.join(", ")}`;
  if (role === "function" && (typeof message.name !== "string" || message.name === "")) return ".name: is required";
  if (role === "tool" && (typeof message.tool_call_id !== "string" || message.tool_call_id === "")) {
    return ".tool_call_id: is required";
  }
  return checkOwners(message) ?? checkContent(message) ?? checkToolCalls(message.tool_calls);
}

/** Fields that belong to one role only; null counts as absent. */
const OWNERS = { tool_calls: "assistant", function_call: "assistant", tool_call_id: "tool" } as const;

function checkOwners(message: JsonObject): string | undefined {
  for (const [field, owner] of Object.entries(OWNERS)) {
    const isThere = message[field] !== undefined && message[field] !== null;
    if (isThere && message.role !== owner) return `.${field}: is only allowed on ${owner} messages`;
  }
  return undefined;
}

function checkContent(message: JsonObject): string | undefined {
  const { content, role } = message;
  if (typeof content === "string") return undefined;
  // Empty assistant turns and tool results are not refused but cleaned up.
  if (content === null || content === undefined) return mayBeEmpty(role) ? undefined : ".content: is required";
  if (!Array.isArray(content)) return ".content: must be a string or an array of text parts";
  if (content.length === 0 && !mayBeEmpty(role)) return ".content: must not be empty";
  for (const [index, part] of content.entries()) {
    const { type, text } = asObject(part) ?? {};
    if (type !== "text" || typeof text !== "string") return `.content[${index}]: only text parts are supported`;
  }
  return undefined;
}

function mayBeEmpty(role: unknown): boolean {
  return role === "assistant" || role === "tool";
}

function checkToolCalls(calls: unknown): string | undefined {
  if (calls === undefined || calls === null) return undefined;
  if (!Array.isArray(calls)) return ".tool_calls: must be an array";
  const seen = new Set<unknown>();
  for (const [index, entry] of calls.entries()) {
    const call = asObject(entry);
    const name = asObject(call?.function)?.name;
    if (typeof call?.id !== "string" || call.id === "") return `.tool_calls[${index}].id is required`;
    if (typeof name !== "string" || name.trim() === "") return `.tool_calls[${index}].function.name is required`;
    if (seen.has(call.id)) return `.tool_calls[${index}].id is duplicated`;
    seen.add(call.id);
  }
  return undefined;
}

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown, body: JsonObject) => string | undefined;

const L = NETWORK_LIMITS;

const number: Check = (value) => (typeof value === "number" ? undefined : "must be a number");
const boolean: Check = (value) => (typeof value === "boolean" ? undefined : "must be a boolean");
const positive: Check = (value) => (typeof value === "number" && value > 0 ? undefined : "must be greater than 0");
const wholeFrom = (minimum: number): Check => {
  return (value) =>
    Number.isInteger(value) && Number(value) >= minimum ? undefined : `must be an integer of at least ${minimum}`;
};
const list = (maxEntries: number, isEntry: (entry: unknown) => boolean, what: string): Check => {
  return (value) =>
    Array.isArray(value) && value.length <= maxEntries && value.every(isEntry)
      ? undefined
      : `must be an array of at most ${maxEntries} ${what}`;
};
const isText = (maxBytes: number) => (entry: unknown) => typeof entry === "string" && byteLength(entry) <= maxBytes;

const SCHEMA_ARMS = ["anyOf", "oneOf", "allOf"] as const;

const TYPES: ReadonlySet<unknown> = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

/** Go's regular expressions know neither look-around nor back-references. */
const NOT_IN_GO = /\(\?<?[=!]|\\[1-9]|\\k</;

/** Keywords whose value is a map of names to schemas; the map itself counts as nothing. */
const SCHEMA_MAPS = ["properties", "patternProperties", "dependentSchemas"] as const;

/** Keywords whose value is not a schema and is not walked. */
const PLAIN_VALUES: ReadonlySet<string> = new Set([
  "enum",
  "const",
  "default",
  "examples",
  "required",
  "dependentRequired",
  ...SCHEMA_MAPS,
]);

/** The fields with bounds that make the network refuse; the others are clamped or passed as they are. */
const CHECKS: Readonly<Record<string, Check>> = {
  temperature: number,
  top_p: positive,
  top_k: (value) => (value === -1 ? undefined : wholeFrom(1)(value, {})),
  min_p: number,
  frequency_penalty: number,
  presence_penalty: number,
  repetition_penalty: positive,
  logit_bias: (value) => {
    const entries = Object.keys(asObject(value) ?? {}).length;
    return entries <= L.maxLogitBiasEntries ? undefined : `must have at most ${L.maxLogitBiasEntries} entries`;
  },
  max_tokens: wholeFrom(1),
  max_completion_tokens: wholeFrom(1),
  min_tokens: wholeFrom(0),
  seed: wholeFrom(0),
  n: number,
  stop: (value) =>
    isText(L.maxStopBytes)(value)
      ? undefined
      : list(L.maxStopSequences, isText(L.maxStopBytes), `strings of at most ${L.maxStopBytes} bytes`)(value, {}),
  stop_token_ids: list(64, (entry) => Number.isInteger(entry) && Number(entry) >= 0, "non-negative integers"),
  bad_words: list(64, isText(128), "strings of at most 128 bytes"),
  stream: boolean,
  skip_special_tokens: boolean,
  detokenize: boolean,
  parallel_tool_calls: boolean,
  stream_options: (_, body) => (body.stream === true ? undefined : "is only allowed when stream is true"),
  user: (value) => (isText(L.maxUserBytes)(value) ? undefined : `must be a string of at most ${L.maxUserBytes} bytes`),
  metadata: checkMetadata,
  response_format: checkResponseFormat,
  structured_outputs: (_, body) =>
    body.response_format === undefined ? undefined : "cannot be combined with response_format",
  tool_choice: checkToolChoice,
  chat_template_kwargs: checkTemplateArguments,
};

/** The first field whose value the network refuses, in words. A field that is null counts as absent. */
function checkParameters(body: JsonObject): string | undefined {
  for (const [name, check] of Object.entries(CHECKS)) {
    const value = body[name];
    const problem = value === undefined || value === null ? undefined : check(value, body);
    if (problem !== undefined) return `${name}: ${problem}`;
  }
  return undefined;
}

function checkMetadata(value: unknown): string | undefined {
  const entries = Object.entries(asObject(value) ?? {});
  if (asObject(value) === undefined) return "must be an object";
  if (entries.length > L.maxMetadataKeys) return `must have at most ${L.maxMetadataKeys} keys`;
  if (entries.some(([key]) => key.length > L.maxMetadataKeyChars)) {
    return `keys must have at most ${L.maxMetadataKeyChars} characters`;
  }
  const isValue = (entry: unknown) => typeof entry === "string" && entry.length <= L.maxMetadataValueChars;
  return entries.every(([, entry]) => isValue(entry))
    ? undefined
    : `values must be strings of at most ${L.maxMetadataValueChars} characters`;
}

function checkResponseFormat(value: unknown): string | undefined {
  const format = asObject(value);
  if (format?.type === "text" || format?.type === "json_object") return undefined;
  if (format?.type !== "json_schema") return "type must be text, json_object or json_schema";
  const wrapper = asObject(format.json_schema);
  if (typeof wrapper?.name !== "string" || !/^[A-Za-z0-9_.-]{1,64}$/.test(wrapper.name)) {
    return "json_schema.name must be 1 to 64 letters, digits, dots, dashes or underscores";
  }
  const problem = checkSchema(wrapper.schema, L.responseSchema);
  return problem === undefined ? undefined : `json_schema.schema: ${problem}`;
}

function checkToolChoice(value: unknown): string | undefined {
  if (value === "auto" || value === "none" || value === "required") return undefined;
  const choice = asObject(value);
  const name = asObject(choice?.function)?.name;
  if (choice?.type !== "function" || typeof name !== "string" || name.trim() === "") {
    return "must be auto, none, required or a named function";
  }
  return byteLength(name) <= L.maxToolNameBytes
    ? undefined
    : `function.name must have at most ${L.maxToolNameBytes} bytes`;
}

function checkTemplateArguments(value: unknown): string | undefined {
  const template = asObject(value);
  if (template === undefined) return "must be an object";
  const forbidden = FORBIDDEN_TEMPLATE_KEYS.find((key) => key in template);
  if (forbidden !== undefined) return `key ${forbidden} is forbidden`;
  if (jsonDepth(template, L.maxTemplateDepth + 1) > L.maxTemplateDepth) return "nesting depth exceeded";
  if (countNodes(template) > L.maxTemplateNodes) return "node count exceeded";
  return byteLength(template) > L.maxTemplateBytes ? "serialized size exceeded" : undefined;
}

/** What the network has against the tools, or nothing. The text begins with the path of the field. */
function checkTools(tools: unknown): string | undefined {
  if (tools === undefined || tools === null) return undefined;
  if (!Array.isArray(tools)) return "tools: must be an array";
  for (const [index, entry] of tools.entries()) {
    const problem = checkTool(entry);
    if (problem !== undefined) return `tools[${index}]${problem}`;
  }
  return undefined;
}

function checkTool(entry: unknown): string | undefined {
  const tool = asObject(entry);
  if (tool?.type !== "function") return ".type: must be function";
  const definition = asObject(tool.function);
  if (typeof definition?.name !== "string" || definition.name.trim() === "") return ".function.name: must not be blank";
  if (definition.parameters === undefined || definition.parameters === null) return undefined;
  const problem = checkSchema(definition.parameters, NETWORK_LIMITS.toolSchema);
  return problem === undefined ? undefined : `.function.parameters: ${problem}`;
}

/** What the network has against a JSON schema, in its words, or nothing. */
export function checkSchema(schema: unknown, limits: SchemaLimits): string | undefined {
  const root = asObject(schema);
  if (root === undefined) return "schema must be an object";
  if (byteLength(root) > limits.maxBytes) return `serialized size exceeded: limit ${limits.maxBytes}`;
  const counted = { nodes: 0 };
  return checkNode(root, 1, limits, counted);
}

function checkNode(
  node: JsonObject,
  depth: number,
  limits: SchemaLimits,
  counted: { nodes: number },
): string | undefined {
  counted.nodes += 1;
  if (depth > limits.maxDepth) return `nesting depth exceeded: limit ${limits.maxDepth}`;
  if (counted.nodes > limits.maxNodes) return `node count exceeded: limit ${limits.maxNodes}`;
  const problem = checkKeywords(node, limits);
  if (problem !== undefined) return problem;
  for (const child of children(node)) {
    const found = checkNode(child, depth + 1, limits, counted);
    if (found !== undefined) return found;
  }
  return undefined;
}

function checkKeywords(node: JsonObject, limits: SchemaLimits): string | undefined {
  const reference = SCHEMA_REFERENCE_KEYWORDS.find((keyword) => keyword in node);
  if (reference !== undefined) return `schema reference keyword is forbidden: ${reference}`;
  if (Array.isArray(node.enum) && node.enum.length > limits.maxEnumValues) {
    return `enum size exceeded: limit ${limits.maxEnumValues}`;
  }
  for (const keyword of SCHEMA_ARMS) {
    const arms = node[keyword];
    if (Array.isArray(arms) && arms.length > limits.maxArms) {
      return `schema branch arms exceeded: limit ${limits.maxArms}`;
    }
  }
  const types = Array.isArray(node.type) ? node.type : node.type === undefined ? [] : [node.type];
  if (!types.every((type) => TYPES.has(type))) return "type is not a JSON Schema type";
  return checkPattern(node.pattern, limits);
}

function checkPattern(pattern: unknown, limits: SchemaLimits): string | undefined {
  if (pattern === undefined) return undefined;
  if (typeof pattern !== "string") return "pattern must be a string";
  if (byteLength(pattern) > limits.maxPatternBytes) return `pattern size exceeded: limit ${limits.maxPatternBytes}`;
  try {
    new RegExp(pattern.replaceAll("(?P<", "(?<"));
  } catch {
    return "pattern does not compile";
  }
  return NOT_IN_GO.test(pattern) ? "pattern does not compile" : undefined;
}

function children(node: JsonObject): readonly JsonObject[] {
  const found: unknown[] = SCHEMA_MAPS.flatMap((keyword) => Object.values(asObject(node[keyword]) ?? {}));
  for (const [keyword, value] of Object.entries(node)) {
    if (PLAIN_VALUES.has(keyword)) continue;
    found.push(...(Array.isArray(value) ? value : [value]));
  }
  return found.map(asObject).filter((child) => child !== undefined);
}

/**
 * What the network does to messages it accepts: text parts become one string, tool results that answer no call and
 * assistant turns that say nothing are left out without a word, and an empty tool result gets a text.
 */
function cleanMessages(messages: readonly JsonObject[]): readonly JsonObject[] {
  const known = new Set<unknown>();
  const kept: JsonObject[] = [];
  for (const message of messages) {
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
    for (const call of calls) known.add(asObject(call)?.id);
    const content = joinParts(message.content);
    if (message.role === "tool") {
      const { name: _, ...rest } = message;
      if (known.has(message.tool_call_id)) kept.push({ ...rest, content: isEmpty(content) ? NO_RESULT : content });
    } else if (message.role !== "assistant" || !isEmpty(content) || calls.length > 0 || hasFunctionCall(message)) {
      kept.push({ ...message, content });
    }
  }
  return kept;
}

const NO_RESULT = "<empty tool result>";

function isEmpty(content: unknown): boolean {
  return content === undefined || content === null || content === "";
}

function hasFunctionCall(message: JsonObject): boolean {
  return asObject(message.function_call) !== undefined;
}

function joinParts(content: unknown): unknown {
  return Array.isArray(content) ? content.map((part) => asObject(part)?.text ?? "").join("") : content;
}

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
function cleanParameters(body: JsonObject): JsonObject {
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

type JsonObject = Readonly<Record<string, unknown>>;

/** The value when it is a JSON object: not an array, not null. */
export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** Size of a value as UTF-8 JSON, or of a string as UTF-8. */
function byteLength(value: unknown): number {
  return Buffer.byteLength(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}

/** Nesting of a JSON value: a plain value is 0, `[]` is 1. Stops counting beyond `limit`. */
function jsonDepth(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (limit <= 0) return 1;
  const children: readonly unknown[] = Object.values(value);
  return 1 + children.reduce<number>((deepest, child) => Math.max(deepest, jsonDepth(child, limit - 1)), 0);
}

/** How many values a JSON value holds, itself included. */
function countNodes(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  const children: readonly unknown[] = Object.values(value);
  return children.reduce<number>((sum, child) => sum + countNodes(child), 1);
}
