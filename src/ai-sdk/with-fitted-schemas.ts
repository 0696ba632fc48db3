import type { SharedV3Warning } from "@ai-sdk/provider";
import { asObject } from "../protocol/json/measure-json.ts";
import type { JsonObject } from "../protocol/json/read-value.ts";
import { fitAnswerSchema, fitToolParameters, nullUnionsFor } from "../protocol/schema/fit-request-schemas.ts";

/**
 * The request's body with schemas the network takes: it refuses a request with any reference in one ("schema reference
 * keyword is forbidden"). Putting references in place changes nothing; a warning tells what had to be left out.
 */
export function withFittedSchemas(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  return fitAnswer(fitTools(body, warnings), warnings);
}

function fitTools(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  if (!Array.isArray(body.tools)) return body;
  const nullUnions = nullUnionsFor(typeof body.model === "string" ? body.model : "");
  const tools = body.tools.map((tool: unknown) => {
    const definition = asObject(asObject(tool)?.function);
    if (definition?.parameters === undefined) return tool;
    const { schema, dropped } = fitToolParameters(definition.parameters, nullUnions);
    warn(`inputSchema of the tool ${definition.name}`, dropped, warnings);
    return { ...asObject(tool), function: { ...definition, parameters: schema } };
  });
  return { ...body, tools };
}

function fitAnswer(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  const format = asObject(body.response_format);
  const wrapper = asObject(format?.json_schema);
  const given = asObject(wrapper?.schema);
  if (given === undefined) return body;
  const { schema, dropped } = fitAnswerSchema(given);
  warn("schema of the answer", dropped, warnings);
  return { ...body, response_format: { ...format, json_schema: { ...wrapper, schema } } };
}

function warn(feature: string, dropped: readonly string[], warnings: SharedV3Warning[]): void {
  if (dropped.length === 0) return;
  const details = `The Gonka network does not take all of it. Left out or shortened for the model: ${dropped.join(", ")}. What comes back is still checked against the whole schema.`;
  warnings.push({ type: "compatibility", feature, details });
}
