import type { MiddlewareHandler } from "hono";
import { aborted } from "../aborted.ts";
import type { BrokerEnv, BrokerState } from "../broker/broker-state.ts";
import { type FaultSurroundings, spoilBody } from "./body-faults.ts";
import type { Fault } from "./fault.ts";
import { rawConnection } from "./raw-connection.ts";
import { replacement } from "./replacement.ts";
import { unanswered } from "./unanswered.ts";

/** Plays the planned faults on whatever the broker would have answered. */
export function playFaults(state: BrokerState): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const fault = state.faults.take(context.req.path);
    if (fault === undefined) return next();
    context.get("record").fault = fault.kind;
    const surroundings: FaultSurroundings = {
      connection: rawConnection(context.env),
      clock: state.clock,
      signal: context.req.raw.signal,
    };
    const instead = (await withhold(fault, surroundings)) ?? replacement(fault);
    if (instead !== undefined) return instead;
    await next();
    const spoilt = spoilBody(context.res, fault, surroundings);
    if (spoilt !== context.res) {
      // hono merges the headers of a replaced response into the new one; the old length must not come back that way.
      context.res = undefined;
      context.res = spoilt;
    }
    return undefined;
  };
}

/** The faults that give no answer, and the one that only gives it late. */
async function withhold(fault: Fault, surroundings: FaultSurroundings): Promise<Response | undefined> {
  const { connection, clock, signal } = surroundings;
  if (fault.kind === "refuse") {
    connection?.[fault.how ?? "close"]();
    return unanswered();
  }
  if (fault.kind === "hang") {
    await aborted(signal);
    return unanswered();
  }
  if (fault.kind === "delay") await clock.sleep(fault.delayMs, signal);
  return undefined;
}
