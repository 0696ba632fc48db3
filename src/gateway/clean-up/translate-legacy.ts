import type { ChangeLog } from "./change-log.ts";
import { asObject, type JsonObject } from "./json.ts";

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
