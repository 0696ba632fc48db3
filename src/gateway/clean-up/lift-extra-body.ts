import type { ChangeLog } from "./change-log.ts";
import { asObject, type JsonObject } from "./json.ts";

/** Moves the fields of `extra_body` to the top level, where those that are there already win. One level, as the network does. */
export function liftExtraBody(body: JsonObject, log: ChangeLog): JsonObject {
  if (!Object.hasOwn(body, "extra_body")) return body;
  const { extra_body: extra, ...rest } = body;
  const { extra_body: _, ...inner } = asObject(extra) ?? {};
  if (Object.keys(inner).length === 0) log.removed("extra_body");
  else log.changed("extra_body");
  return { ...inner, ...rest };
}
