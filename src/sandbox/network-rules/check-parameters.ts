import { FORBIDDEN_TEMPLATE_KEYS, NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import { asObject, byteLength, countNodes, type JsonObject, jsonDepth } from "./as-object.ts";
import { checkSchema } from "./check-schema.ts";

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
export function checkParameters(body: JsonObject): string | undefined {
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
