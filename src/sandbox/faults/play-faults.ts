import type { MiddlewareHandler } from "hono";
import type { BrokerEnv, BrokerState } from "../broker/broker-state.ts";

export function playFaults(_state: BrokerState): MiddlewareHandler<BrokerEnv> {
  return async (_context, next) => {
    await next();
  };
}
