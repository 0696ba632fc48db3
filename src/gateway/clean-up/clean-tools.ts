import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import { fitToolParameters } from "../../protocol/schema/fit-request-schemas.ts";
import type { ChangeLog } from "./change-log.ts";
import type { CleanUpOptions } from "./clean-up-options.ts";
import { MAX_ENTRIES, tooMany } from "./invalid.ts";
import { asObject, fitsBytes, type JsonObject, without } from "./json.ts";

/** Brings `tools` and `tool_choice` into what the network takes, a tool per step. Throws `request_too_large`. */
export function* cleanTools(
  request: Record<string, unknown>,
  log: ChangeLog,
  options: CleanUpOptions,
): Generator<undefined, void> {
  if (request.tools !== undefined && !Array.isArray(request.tools)) {
    delete request.tools;
    log.removed("tools");
  }
  const given: readonly unknown[] = Array.isArray(request.tools) ? request.tools : [];
  // Lists that came another way than in the field of this name: as functions, or inside of `extra_body`.
  if (given.length > MAX_ENTRIES.tools) throw tooMany("tools");
  const tools: JsonObject[] = [];
  for (const [index, tool] of given.entries()) {
    const cleaned = cleanTool(tool, options);
    if (cleaned === undefined) log.removed(`tools[${index}]`);
    else if (cleaned !== tool) log.changed(`tools[${index}]`);
    if (cleaned !== undefined) tools.push(cleaned);
    yield;
  }
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
