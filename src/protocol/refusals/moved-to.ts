import { redactUrl } from "../../internal/redact.ts";
import type { RefusedResponse } from "./refusal.ts";

/**
 * Where an endpoint says it has moved, fit to show: without user, password and query. The target is told, never
 * followed with the key. (308 with `new_url`: network gateways.)
 */
export function movedTo({ location, bodyText }: RefusedResponse): string | undefined {
  const target = location ?? /"new_url"\s*:\s*"([^"\\]{1,500})"/.exec(bodyText)?.[1];
  if (target === undefined) return undefined;
  const address = target.startsWith("//") ? `https:${target}` : target;
  if (URL.canParse(address)) return redactUrl(address);
  return target.startsWith("/") ? target.replace(/[?#].*$/s, "") : undefined;
}
