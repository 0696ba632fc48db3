import { ZephError } from "../errors/zeph-error.ts";
import type { Broker } from "./broker.ts";
import { KNOWN_COST_RULES } from "./cost.ts";

/** A `[[brokers]]` table of the user's config: any field of a broker, merged into the record of the same id. */
export type BrokerOverride = Partial<Broker> & { readonly id: string };

/**
 * The registry with the user's own records: known ids are changed field by field, new ones come before `custom`. A new
 * one must bring a `baseURL`. Throws `config_invalid`.
 */
export function mergeBrokers(known: readonly Broker[], overrides: readonly BrokerOverride[]): readonly Broker[] {
  const merged = [...known];
  for (const override of overrides) {
    const index = merged.findIndex((broker) => broker.id === override.id);
    const base = merged[index];
    if (base !== undefined) merged[index] = { ...base, ...override };
    else merged.splice(placeBeforeCustom(merged), 0, toBroker(override));
  }
  return merged;
}

function placeBeforeCustom(brokers: readonly Broker[]): number {
  const index = brokers.findIndex((broker) => broker.id === "custom");
  return index === -1 ? brokers.length : index;
}

function toBroker(override: BrokerOverride): Broker {
  if (override.baseURL === undefined) {
    throw new ZephError("config_invalid", {
      detail: `[[brokers]] "${override.id}" is not a known broker, so it needs base_url`,
      hint: "See the known ids with `zeph providers --brokers`.",
    });
  }
  return {
    name: override.id,
    dialects: ["chat"],
    money: "not stated",
    modelIdStyle: "unknown",
    costRules: KNOWN_COST_RULES,
    quirks: [],
    inDirectory: false,
    source: "your config",
    ...override,
  };
}
