import type { MiddlewareHandler } from "hono";
import { refusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import { refuseKey } from "./keys.ts";

/** Lets a request of `/v1/*` pass only with a key that may make it. */
export function authorize(state: BrokerState, price: "billed" | "free"): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const refusal = refuseKey(context.get("record").key, {
      billed: price === "billed",
      policy: state.options,
      nowMs: state.clock.nowMs(),
    });
    if (refusal !== undefined) return refusalResponse(refusal);
    await next();
    return undefined;
  };
}
