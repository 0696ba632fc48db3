import { asObject, fitsBytes, type JsonObject, jsonDepth, without } from "../base/json.ts";
import { cleanFields, liftExtraBody, translateLegacy } from "./fields.ts";
import { cleanMessages } from "./messages.ts";
import {
  type ChangeLog,
  type ChangeSummary,
  type CleanUpOptions,
  changeLog,
  invalid,
  MAX_ENTRIES,
  NETWORK_LIMITS,
  tooMany,
} from "./parameters.ts";
import { fitAnswerSchema, fitToolParameters, nullUnionsFor } from "./schema.ts";

export interface CleanedChat extends ChangeSummary {
  /** The given object itself when nothing was changed. */
  readonly request: JsonObject;
}

/**
 * Makes a chat request fit the rules that the network publishes (see `rules/parameters.ts`): unknown fields
 * go, values come within their bounds, schemas lose their references, tool calls get ids of their own. What cannot be
 * mended is thrown: `invalid_request`, or `unsupported_capability` for images.
 *
 * One step is work of a few milliseconds at most; between two steps others may have their turn.
 *
 * @example
 * cleanChatSteps({ model: "m", messages, tags: ["x"], temperature: 3 }, options)
 * // in the end: request { model: "m", messages, temperature: 2 }, removed ["tags"], changed ["temperature"]
 */
export function* cleanChatSteps(
  body: JsonObject,
  options: Pick<CleanUpOptions, "access" | "keepToolType"> & { readonly tools?: ToolsSeen | undefined },
): Generator<undefined, CleanedChat> {
  const log = changeLog();
  const request = cleanFields(translateLegacy(liftExtraBody(body, log), log), log);
  const { model } = request;
  if (typeof model !== "string" || model === "") throw invalid("model", "must be a text");
  if (request.messages === undefined && "input" in body) {
    throw invalid(
      "messages",
      "is missing; this looks like a request of the Responses API, whose path is /v1/responses",
    );
  }
  yield;
  // Those that came another way than in the field of this name are not the ones that were seen.
  const seen = Array.isArray(body.tools) && request.tools === body.tools ? options.tools : undefined;
  yield* cleanTools(request, log, { ...options, nullUnions: nullUnionsFor(model) }, seen);
  cleanResponseFormat(request, log, model);
  yield;
  const messages = yield* cleanMessages(request.messages, log, { ...options, nullUnions: "keep" });
  yield;
  const { summary } = log;
  const cleaned = summary.isUntouched ? body : { ...request, messages };
  if (jsonDepth(cleaned, NETWORK_LIMITS.maxJsonDepth + 1) > NETWORK_LIMITS.maxJsonDepth) {
    throw invalid("tools", `the request is nested deeper than ${NETWORK_LIMITS.maxJsonDepth} levels`);
  }
  return { ...summary, request: cleaned };
}

/** Tools that may have been seen before: agents send the same with every turn. */
interface ToolsSeen {
  /** The same for the same tools only. */
  readonly key: string;
  readonly memory: ToolsMemory;
}

/** What became of tools, by their key. */
export interface ToolsMemory {
  get(key: string): ToolsVerdict | undefined;
  set(key: string, verdict: ToolsVerdict): void;
}

interface ToolsVerdict {
  /** Absent: they went on as they came. */
  readonly tools?: readonly JsonObject[] | undefined;
  /** Places of tools that were taken out, and of those that were changed. */
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** The verdicts used last. */
export function toolsMemory(maxVerdicts: number): ToolsMemory {
  const verdicts = new Map<string, ToolsVerdict>();
  return {
    get(key) {
      const found = verdicts.get(key);
      if (found === undefined) return undefined;
      verdicts.delete(key);
      verdicts.set(key, found);
      return found;
    },
    set(key, verdict) {
      verdicts.set(key, verdict);
      const [oldest] = verdicts.keys();
      if (verdicts.size > maxVerdicts && oldest !== undefined) verdicts.delete(oldest);
    },
  };
}

/** Brings `tools` and `tool_choice` into what the network takes, a tool per step. Throws `request_too_large`. */
function* cleanTools(
  request: Record<string, unknown>,
  log: ChangeLog,
  options: CleanUpOptions,
  seen: ToolsSeen | undefined,
): Generator<undefined, void> {
  if (request.tools !== undefined && !Array.isArray(request.tools)) {
    delete request.tools;
    log.removed("tools");
  }
  const given: readonly unknown[] = Array.isArray(request.tools) ? request.tools : [];
  // Lists that came another way than in the field of this name: as functions, or inside of `extra_body`.
  if (given.length > MAX_ENTRIES.tools) throw tooMany("tools");
  const key = seen === undefined ? "" : `${options.nullUnions} ${seen.key}`;
  const known = seen?.memory.get(key);
  const verdict = known ?? (yield* judgeTools(given, options));
  if (known === undefined) seen?.memory.set(key, verdict);
  for (const place of verdict.removed) log.removed(place);
  for (const place of verdict.changed) log.changed(place);
  const tools = (verdict.tools ?? given) as readonly JsonObject[];
  if (tools.length === 0) {
    // The network takes an empty list out together with the choice.
    for (const name of ["tools", "tool_choice"]) {
      if (request[name] === undefined) continue;
      delete request[name];
      log.removed(name);
    }
    return;
  }
  request.tools = tools;
  cleanToolChoice(request, tools, log);
}

/** One tool per step. */
function* judgeTools(given: readonly unknown[], options: CleanUpOptions): Generator<undefined, ToolsVerdict> {
  const tools: JsonObject[] = [];
  const removed: string[] = [];
  const changed: string[] = [];
  for (const [index, tool] of given.entries()) {
    const cleaned = cleanTool(tool, options);
    if (cleaned === undefined) removed.push(`tools[${index}]`);
    else if (cleaned !== tool) changed.push(`tools[${index}]`);
    if (cleaned !== undefined) tools.push(cleaned);
    yield;
  }
  return { tools: removed.length + changed.length === 0 ? undefined : tools, removed, changed };
}

function cleanTool(value: unknown, { nullUnions, keepToolType }: CleanUpOptions): JsonObject | undefined {
  const tool = asObject(value);
  if (tool === undefined) return undefined;
  if (typeof tool.type === "string" && tool.type !== "function")
    return keepToolType?.(tool.type) === true ? tool : undefined;
  const definition = definitionOf(tool);
  if (definition === undefined || typeof definition.name !== "string" || definition.name.trim() === "")
    return undefined;
  const parameters = cleanParameters(definition, nullUnions);
  if (definition === tool.function && parameters === definition.parameters && tool.type === "function") return tool;
  const rest = without(definition, ["parameters"]);
  return { type: "function", function: parameters === undefined ? rest : { ...rest, parameters } };
}

/** The definition where Chat Completions has it, or flat in the tool as the Responses and Messages APIs have it. */
function definitionOf(tool: JsonObject): JsonObject | undefined {
  const nested = asObject(tool.function);
  if (nested !== undefined || typeof tool.name !== "string") return nested;
  const { name, description, parameters = tool.input_schema } = tool;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

function cleanParameters({ parameters }: JsonObject, nullUnions: "keep" | "avoid"): unknown {
  if (parameters === undefined || parameters === null) return undefined;
  return fitToolParameters(parameters, nullUnions).schema;
}

function cleanToolChoice(request: Record<string, unknown>, tools: readonly JsonObject[], log: ChangeLog): void {
  const { tool_choice: choice } = request;
  if (choice === undefined) return;
  const cleaned = toolChoice(choice, tools);
  if (cleaned === choice) return;
  request.tool_choice = cleaned;
  log.changed("tool_choice");
}

/** Words and forms of neighbouring APIs are translated; a choice of what is not there becomes `auto`. */
function toolChoice(choice: unknown, tools: readonly JsonObject[]): unknown {
  if (choice === "auto" || choice === "none" || choice === "required") return choice;
  if (choice === "any") return "required";
  const given = asObject(choice);
  if (given?.type === "any") return "required";
  if (given?.type === "none") return "none";
  const name = asObject(given?.function)?.name ?? given?.name;
  const isThere = tools.some((tool) => asObject(tool.function)?.name === name);
  if (typeof name !== "string" || !isThere || !fitsBytes(name, NETWORK_LIMITS.maxToolNameBytes)) return "auto";
  if (given?.type === "function" && asObject(given.function) !== undefined) return choice;
  return { type: "function", function: { name } };
}

const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/** Brings `response_format` and `structured_outputs` into what the network takes. */
function cleanResponseFormat(request: Record<string, unknown>, log: ChangeLog, model: string): void {
  const { response_format: given } = request;
  if (given !== undefined) {
    const cleaned = responseFormat(given);
    if (cleaned === undefined) {
      delete request.response_format;
      log.removed("response_format");
    } else if (cleaned !== given) {
      request.response_format = cleaned;
      log.changed("response_format");
    }
  }
  if (request.structured_outputs === undefined) return;
  if (request.response_format === undefined && mayUseStructuredOutputs(request.structured_outputs, model)) return;
  delete request.structured_outputs;
  log.removed("structured_outputs");
}

function responseFormat(value: unknown): unknown {
  if (value === "json" || value === "json_object") return { type: "json_object" };
  const format = asObject(value);
  if (format === undefined) return undefined;
  switch (format.type) {
    case "text":
    case "json_object":
      return jsonDepth(value, 2) > 1 ? { type: format.type } : value;
    case "json":
      return { type: "json_object" };
    case "json_schema":
      return schemaFormat(format);
    default:
      return undefined;
  }
}

function schemaFormat(format: JsonObject): unknown {
  // The Responses API has the schema flat, where Chat Completions has it in `json_schema`.
  const wrapper = asObject(format.json_schema) ?? (asObject(format.schema) === undefined ? undefined : format);
  const schema = asObject(wrapper?.schema);
  // "JSON, whatever it looks like" is what is left of a schema that is not there.
  if (wrapper === undefined || schema === undefined) return { type: "json_object" };
  const { schema: fitted } = fitAnswerSchema(schema);
  const name = formatName(wrapper.name);
  const isSame =
    wrapper !== format && fitted === schema && name === wrapper.name && jsonDepth({ ...wrapper, schema: 0 }, 2) < 2;
  if (isSame) return format;
  const { strict } = wrapper;
  return {
    type: "json_schema",
    json_schema: { name, schema: fitted, ...(typeof strict === "boolean" ? { strict } : {}) },
  };
}

function formatName(name: unknown): string {
  if (typeof name !== "string" || name === "") return "answer";
  return NAME.test(name) ? name : name.replace(/[^A-Za-z0-9_.-]/g, "_").slice(0, 64);
}

/** Accepted on MiniMax only, and within bounds of its own (v0.2.14); Kimi refuses it, and so did the whole network in May 2026. */
function mayUseStructuredOutputs(value: unknown, model: string): boolean {
  const given = asObject(value);
  if (given === undefined || !/minimax/i.test(model)) return false;
  const { choice, grammar, structural_tag: tag, ...others } = given;
  if (jsonDepth(given, 17) > 16 || Object.keys(others).some((name) => name !== "regex")) return false;
  const choiceFits =
    choice === undefined ||
    (Array.isArray(choice) &&
      choice.length <= 256 &&
      choice.every((each) => typeof each === "string" && fitsBytes(each, 1024)));
  const grammarFits =
    grammar === undefined || (typeof grammar === "string" && fitsBytes(grammar, 8192) && brackets(grammar) <= 200);
  const tagFits = tag === undefined || (asObject(tag) !== undefined && fitsBytes(tag, 4096));
  return choiceFits && grammarFits && tagFits;
}

/** Deepest nesting of brackets of any kind. */
function brackets(grammar: string): number {
  let depth = 0;
  let deepest = 0;
  for (const letter of grammar) {
    if ("([{".includes(letter)) depth += 1;
    else if (")]}".includes(letter)) depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
