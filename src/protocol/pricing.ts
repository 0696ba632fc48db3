import { optional, readAmount, readBoolean, readList, readNumber, readObject, readText } from "./json/read-value.ts";

/** Price of one model on the network. */
export interface ModelPrice {
  readonly id: string;
  /** `undefined` when the node does not tell, which is not 0. */
  readonly pricePerTokenNgonka: bigint | undefined;
  readonly unitsOfComputePerToken: bigint | undefined;
  /** Share of the capacity in use, as the node computes it. */
  readonly utilization: number | undefined;
  readonly capacity: number | undefined;
}

/** `GET /v1/governance/pricing` (prices follow demand) or `GET /v1/pricing`. */
export interface NetworkPricing {
  readonly unitOfComputePriceNgonka: bigint | undefined;
  readonly dynamicPricing: boolean;
  readonly models: readonly ModelPrice[];
}

/** Reads either pricing answer. Throws `bad_response`. */
export function parseNetworkPricing(value: unknown): NetworkPricing {
  const pricing = readObject(value, "pricing");
  return {
    unitOfComputePriceNgonka: optional(pricing.unit_of_compute_price, "unit_of_compute_price", readAmount),
    dynamicPricing: optional(pricing.dynamic_pricing_enabled, "dynamic_pricing_enabled", readBoolean) ?? false,
    models: optional(pricing.models, "models", (list, place) => readList(list, place, readModelPrice)) ?? [],
  };
}

function readModelPrice(value: unknown, place: string): ModelPrice {
  const model = readObject(value, place);
  return {
    id: readText(model.id, `${place}.id`),
    pricePerTokenNgonka: optional(model.price_per_token, `${place}.price_per_token`, readAmount),
    unitsOfComputePerToken: optional(
      model.units_of_compute_per_token,
      `${place}.units_of_compute_per_token`,
      readAmount,
    ),
    utilization: optional(model.utilization, `${place}.utilization`, readNumber),
    capacity: optional(model.capacity, `${place}.capacity`, readNumber),
  };
}
