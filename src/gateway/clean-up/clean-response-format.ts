import { fitAnswerSchema } from "../../protocol/schema/fit-request-schemas.ts";
import type { ChangeLog } from "./change-log.ts";
import { asObject, fitsBytes, type JsonObject, jsonDepth } from "./json.ts";

const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/** Brings `response_format` and `structured_outputs` into what the network takes. */
export function cleanResponseFormat(request: Record<string, unknown>, log: ChangeLog, model: string): void {
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
