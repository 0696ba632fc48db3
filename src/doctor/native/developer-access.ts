/** Whether only selected developers may ask at present. */
export interface DeveloperAccess {
  /** Until this block; 0 where everybody may. */
  readonly untilBlockHeight: bigint;
  readonly allowed: readonly string[];
}

/**
 * Reads `params.developer_access_params` of the chain's parameters (gonka-ai/gonka v0.2.7 on). Absent or unreadable
 * means open: the node's own refusal says the rest.
 */
export function parseDeveloperAccess(json: unknown): DeveloperAccess {
  const access = field(field(json, "params"), "developer_access_params");
  const until = field(access, "until_block_height");
  const allowed = field(access, "allowed_developer_addresses");
  const text = typeof until === "number" || typeof until === "string" ? String(until) : "0";
  return {
    untilBlockHeight: /^\d{1,19}$/.test(text) ? BigInt(text) : 0n,
    allowed: Array.isArray(allowed) ? allowed.filter((each): each is string => typeof each === "string") : [],
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
