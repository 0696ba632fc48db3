import { asObject, fitsBytes, type JsonObject, jsonDepth, without } from "../base/json.ts";
import {
  ACCEPTED_PARAMETERS,
  type ChangeLog,
  countValues,
  cutBytes,
  FORBIDDEN_TEMPLATE_KEYS,
  NETWORK_LIMITS,
  REASONING_EFFORTS,
} from "./parameters.ts";

/** Levels that are left to a field below the request itself. */
const MAX_FIELD_DEPTH = NETWORK_LIMITS.maxJsonDepth - 1;

/** Takes out what the network does not know and brings the rest within its bounds. `messages` is left for others. */
export function cleanFields(body: JsonObject, log: ChangeLog): Record<string, unknown> {
  const cleaned: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === undefined) {
      // Null is how some clients leave a field out.
      log.touched();
      continue;
    }
    const next = cleanField(name, value);
    if (next === undefined) log.removed(name);
    else if (next !== value) log.changed(name);
    if (next !== undefined) cleaned[name] = next;
  }
  relate(cleaned, log);
  return cleaned;
}

function cleanField(name: string, value: unknown): unknown {
  if (!ACCEPTED_PARAMETERS.has(name)) return undefined;
  const rule = FIELD_RULES.get(name);
  if (rule !== undefined) return rule(value);
  if (OWN_FILES.has(name)) return value;
  return jsonDepth(value, MAX_FIELD_DEPTH + 1) > MAX_FIELD_DEPTH ? undefined : value;
}

/** Checked and bounded elsewhere, after this. */
const OWN_FILES: ReadonlySet<string> = new Set(["messages", "tools", "tool_choice", "response_format"]);

/** Rules between two fields. */
function relate(cleaned: Record<string, unknown>, log: ChangeLog): void {
  const drop = (name: string) => {
    if (!Object.hasOwn(cleaned, name)) return;
    delete cleaned[name];
    log.removed(name);
  };
  if (cleaned.stop_token_ids !== undefined) drop("min_tokens");
  const limits = [cleaned.max_tokens, cleaned.max_completion_tokens].filter((limit) => typeof limit === "number");
  const limit = Math.min(...limits);
  if (typeof cleaned.min_tokens === "number" && cleaned.min_tokens > limit) {
    cleaned.min_tokens = limit;
    log.changed("min_tokens");
  }
  if (cleaned.n !== undefined && cleaned.n !== 1 && cleaned.temperature === 0) {
    cleaned.n = 1;
    log.changed("n");
  }
  if (cleaned.stream !== true) drop("stream_options");
  if (cleaned.stream_options !== undefined) cleanStreamOptions(cleaned, log);
}

/** Only `include_usage` survives at the network. */
function cleanStreamOptions(cleaned: Record<string, unknown>, log: ChangeLog): void {
  const options = asObject(cleaned.stream_options);
  const { include_usage: includeUsage, ...others } = options ?? {};
  if (typeof includeUsage === "boolean" && Object.keys(others).length === 0) return;
  if (typeof includeUsage === "boolean") {
    cleaned.stream_options = { include_usage: includeUsage };
    log.changed("stream_options");
    return;
  }
  delete cleaned.stream_options;
  log.removed("stream_options");
}

/** 0 is refused; callers mean "the likeliest only" with it. */
const topP: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined ? undefined : Math.min(Math.max(number, SMALLEST_TOP_P), 1);
};

const SMALLEST_TOP_P = 1e-6;

/** -1 is "all"; so is the 0 of other servers, which this network refuses. */
const topK: FieldRule = (value) => {
  const number = toNumber(value);
  if (number === undefined) return undefined;
  const whole = Math.floor(number);
  if (whole < 1) return -1;
  return Number.isSafeInteger(whole) ? whole : -1;
};

/** Nothing sensible is meant by 0 or less. */
const repetitionPenalty: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined || number <= 0 ? undefined : Math.min(number, 2);
};

/** Entries outside ±100 would be dropped by the network; at the bound they still say what was meant. */
const logitBias: FieldRule = (value) => {
  const biases = asObject(value);
  if (biases === undefined) return undefined;
  const entries = Object.entries(biases);
  const usable = entries.flatMap(([token, bias]) => {
    const number = toNumber(bias);
    return number === undefined ? [] : [[token, Math.min(Math.max(number, -MAX_BIAS), MAX_BIAS)] as const];
  });
  const isSame = usable.length === entries.length && usable.every(([token, bias]) => biases[token] === bias);
  if (isSame && entries.length <= maxLogitBiasEntries) return value;
  const strongest = usable.sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)).slice(0, maxLogitBiasEntries);
  return strongest.length === 0 ? undefined : Object.fromEntries(strongest);
};

const MAX_BIAS = 100;

const { maxStopSequences, maxStopBytes, maxUserBytes, maxLogitBiasEntries } = NETWORK_LIMITS;

const answerCount: FieldRule = (value) => {
  const number = toNumber(value);
  return number === undefined ? undefined : Math.min(Math.max(Math.floor(number), 1), 5);
};

/** Negative ones mean "any" elsewhere. Beyond 2^53 a number loses digits on its way through JSON. */
const seed: FieldRule = (value) => {
  const number = toNumber(value);
  if (number === undefined || number < 0) return undefined;
  return Math.floor(number) % 2 ** 53;
};

/** A sequence that is too long would stop at nothing once cut, so it goes. */
const stop: FieldRule = (value) =>
  Array.isArray(value) ? fitting(value, maxStopSequences, shortText(maxStopBytes)) : shortText(maxStopBytes)(value);

const shortText = (maxBytes: number) => (entry: unknown) =>
  typeof entry === "string" && entry !== "" && fitsBytes(entry, maxBytes) ? entry : undefined;

const stopTokenIds: FieldRule = (value) =>
  Array.isArray(value)
    ? fitting(value, 64, (entry) => (Number.isSafeInteger(entry) && Number(entry) >= 0 ? entry : undefined))
    : undefined;

const badWords: FieldRule = (value) =>
  Array.isArray(value)
    ? fitting(value, 64, (entry) => {
        const word = shortText(128)(entry);
        return word?.trim() === "" ? undefined : word;
      })
    : undefined;

const user: FieldRule = (value) => {
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? cutBytes(value, maxUserBytes) : undefined;
};

/** The network drops it from most requests and reads it for Kimi only; too long a one is refused. */
const safetyIdentifier: FieldRule = (value) =>
  typeof value === "string" && fitsBytes(value, maxUserBytes) ? value : undefined;

/** Values that are no texts become some; what is too long is cut, and what is too many left out. */
const metadata: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  const entries = Object.entries(given);
  const kept = entries
    .filter(([key]) => key.length <= NETWORK_LIMITS.maxMetadataKeyChars)
    .slice(0, NETWORK_LIMITS.maxMetadataKeys)
    .map(([key, each]) => [key, metadataText(each)] as const);
  const isSame = kept.length === entries.length && kept.every(([key, text]) => given[key] === text);
  if (isSame) return value;
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
};

const switchValue: FieldRule = (value) => {
  if (typeof value === "boolean") return value;
  if (value === "true" || value === 1) return true;
  return value === "false" || value === 0 ? false : undefined;
};

/** The network checks the word and then drops the field; unknown words are refused. */
const reasoningEffort: FieldRule = (value) => {
  if (EFFORTS.has(value)) return value;
  return value === "max" || value === "maximum" ? "xhigh" : undefined;
};

const EFFORTS: ReadonlySet<unknown> = new Set(REASONING_EFFORTS);

const reasoning: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  if (given.effort === undefined || EFFORTS.has(given.effort)) return value;
  const effort = reasoningEffort(given.effort);
  return effort === undefined ? undefined : { ...given, effort };
};

/** Other servers take a plain switch here. */
const thinking: FieldRule = (value) => {
  if (typeof value === "boolean") return { type: value ? "enabled" : "disabled" };
  return asObject(value) === undefined ? undefined : value;
};

/** Arguments of the chat template, without those that would take it over. What is too large goes as a whole. */
const templateArguments: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  const { maxTemplateDepth, maxTemplateNodes, maxTemplateBytes } = NETWORK_LIMITS;
  const isForbidden = FORBIDDEN_TEMPLATE_KEYS.some((key) => Object.hasOwn(given, key));
  const kept = isForbidden ? without(given, FORBIDDEN_TEMPLATE_KEYS) : given;
  if (Object.keys(kept).length === 0 && isForbidden) return undefined;
  if (jsonDepth(kept, maxTemplateDepth + 1) > maxTemplateDepth) return undefined;
  if (countValues(kept, maxTemplateNodes + 1) > maxTemplateNodes) return undefined;
  return fitsBytes(kept, maxTemplateBytes) ? kept : undefined;
};

/**
 * Bounds per field: devshard/cmd/devshardctl/paramvalidators of gonka-ai/gonka v0.2.14, see
 * `rules/parameters.ts`. Fields without a rule pass as they are; `tools`, `tool_choice`, `response_format`
 * and `messages` have files of their own.
 */
const FIELD_RULES: ReadonlyMap<string, FieldRule> = new Map<string, FieldRule>([
  ["temperature", clamped(0, 2)],
  ["top_p", topP],
  ["top_k", topK],
  ["min_p", clamped(0, 1)],
  ["frequency_penalty", clamped(-2, 2)],
  ["presence_penalty", clamped(-2, 2)],
  ["repetition_penalty", repetitionPenalty],
  ["logit_bias", logitBias],
  ["max_tokens", wholeFrom(1)],
  ["max_completion_tokens", wholeFrom(1)],
  ["min_tokens", wholeFrom(0)],
  ["n", answerCount],
  ["seed", seed],
  ["stop", stop],
  ["stop_token_ids", stopTokenIds],
  ["bad_words", badWords],
  ["user", user],
  ["safety_identifier", safetyIdentifier],
  ["metadata", metadata],
  ["stream", switchValue],
  ["skip_special_tokens", switchValue],
  ["detokenize", switchValue],
  ["parallel_tool_calls", switchValue],
  ["enable_thinking", switchValue],
  ["reasoning_split", switchValue],
  ["reasoning_effort", reasoningEffort],
  ["reasoning", reasoning],
  ["thinking", thinking],
  ["thinking_token_budget", wholeFrom(0)],
  ["chat_template_kwargs", templateArguments],
]);

/**
 * Brings one field's value into what the network takes. Gives back the value itself when it is fine, another when it
 * can be translated, and `undefined` when the field has to go.
 */
type FieldRule = (value: unknown) => unknown;

/** Numbers, and texts that are one: forms and spreadsheets send those. */
function toNumber(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\s*-?\d+(?:\.\d+)?\s*$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function clamped(minimum: number, maximum: number): FieldRule {
  return (value) => {
    const number = toNumber(value);
    return number === undefined ? undefined : Math.min(Math.max(number, minimum), maximum);
  };
}

/** Whole numbers from `minimum`; smaller ones go. */
function wholeFrom(minimum: number): FieldRule {
  return (value) => {
    const number = toNumber(value);
    if (number === undefined) return undefined;
    const whole = Math.floor(number);
    return whole >= minimum && Number.isSafeInteger(whole) ? whole : undefined;
  };
}

/** The list itself when every entry fits, else what is left of it; `undefined` when that is nothing. */
function fitting<Entry>(list: readonly unknown[], maxEntries: number, entryOf: (entry: unknown) => Entry | undefined) {
  const kept: Entry[] = [];
  for (const entry of list) {
    if (kept.length === maxEntries) break;
    const fitted = entryOf(entry);
    if (fitted !== undefined) kept.push(fitted);
  }
  if (kept.length === 0) return undefined;
  const isSame = kept.length === list.length && kept.every((entry, index) => entry === list[index]);
  return isSame ? list : kept;
}

function metadataText(value: unknown): string {
  const text = typeof value === "string" ? value : shallowJson(value);
  return text.slice(0, NETWORK_LIMITS.maxMetadataValueChars);
}

function shallowJson(value: unknown): string {
  // A value nested a million levels deep would overflow the stack of the serialiser.
  return typeof value === "object" && value !== null ? "[object]" : String(value);
}

/** Fields of older and neighbouring APIs that the network refuses, and for which it has another word. */
export function translateLegacy(body: JsonObject, log: ChangeLog): JsonObject {
  return translateSchemas(translateFunctions(body, log), log);
}

/** `functions` and `function_call` of 2023, which some clients still send. */
function translateFunctions(body: JsonObject, log: ChangeLog): JsonObject {
  const { functions, function_call: call, ...rest } = body;
  if (functions === undefined && call === undefined) return body;
  const translated: Record<string, unknown> = { ...rest };
  for (const name of ["functions", "function_call"]) if (isGiven(body[name])) log.removed(name);
  if (Array.isArray(functions) && !isGiven(body.tools)) {
    translated.tools = functions.map((definition: unknown) => ({ type: "function", function: definition }));
    log.changed("tools");
  }
  if (isGiven(call) && !isGiven(body.tool_choice)) {
    const name = asObject(call)?.name;
    translated.tool_choice = name === undefined ? call : { type: "function", function: { name } };
    log.changed("tool_choice");
  }
  return translated;
}

/** Schemas under vLLM's names. `response_format` is the one that every model of the network takes. */
function translateSchemas(body: JsonObject, log: ChangeLog): JsonObject {
  const { guided_json: guided, structured_outputs: structured, ...rest } = body;
  const inner = asObject(structured);
  const schema = asObject(guided) ?? asObject(inner?.json) ?? parsedSchema(guided) ?? parsedSchema(inner?.json);
  const wantsJson = schema !== undefined || inner?.json_object === true;
  if (!wantsJson) return body;
  for (const name of ["guided_json", "structured_outputs"]) if (isGiven(body[name])) log.removed(name);
  if (isGiven(body.response_format)) return rest;
  log.changed("response_format");
  const format =
    schema === undefined ? { type: "json_object" } : { type: "json_schema", json_schema: { name: "answer", schema } };
  return { ...rest, response_format: format };
}

/** vLLM takes a schema as text too. */
function parsedSchema(value: unknown): JsonObject | undefined {
  if (typeof value !== "string") return undefined;
  try {
    return asObject(JSON.parse(value));
  } catch {
    // Not a schema; the field goes.
    return undefined;
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Moves the fields of `extra_body` to the top level, where those that are there already win. One level, as the network does. */
export function liftExtraBody(body: JsonObject, log: ChangeLog): JsonObject {
  if (!Object.hasOwn(body, "extra_body")) return body;
  const { extra_body: extra, ...rest } = body;
  const { extra_body: _, ...inner } = asObject(extra) ?? {};
  if (Object.keys(inner).length === 0) log.removed("extra_body");
  else log.changed("extra_body");
  return { ...inner, ...rest };
}
