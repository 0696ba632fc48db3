import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import { asObject } from "./as-object.ts";
import { checkSchema } from "./check-schema.ts";

/** What the network has against the tools, or nothing. The text begins with the path of the field. */
export function checkTools(tools: unknown): string | undefined {
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
