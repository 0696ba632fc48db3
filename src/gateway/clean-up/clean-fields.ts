import { ACCEPTED_PARAMETERS, NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import type { ChangeLog } from "./change-log.ts";
import { FIELD_RULES } from "./fields/field-rules.ts";
import { asObject, type JsonObject, jsonDepth } from "./json.ts";

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
