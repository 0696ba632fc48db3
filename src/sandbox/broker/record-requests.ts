import type { MiddlewareHandler } from "hono";
import { scrub } from "../../internal/redact.ts";
import { isUnanswered } from "../faults/unanswered.ts";
import { randomText } from "../random-text.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import type { OpenRecord } from "./request-log.ts";

/** A sandbox may run for days; the oldest records go first. */
const MAX_RECORDS = 10_000;

/** Gives every request an id and a line in the log, and tells when it has ended. */
export function recordRequests(state: BrokerState): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const startedMs = state.clock.nowMs();
    const record: OpenRecord = {
      requestId: `req_${randomText(state.random, 24)}`,
      method: context.req.method,
      // Somebody may put a key into the address by mistake.
      path: scrub(context.req.path),
      key: state.readKey(context.req.header("authorization")),
      fields: {},
    };
    state.requests.push(record);
    if (state.requests.length > MAX_RECORDS) state.requests.shift();
    context.set("record", record);
    const end = () => {
      if (record.elapsedMs !== undefined) return;
      record.elapsedMs = state.clock.nowMs() - startedMs;
      state.options.onRequest?.(record);
    };
    const { outgoing } = context.env ?? {};
    outgoing?.once("close", end);
    await next();
    if (!isUnanswered(context.res)) record.status = context.res.status;
    context.header("x-request-id", record.requestId);
    // Without a server there is no connection to wait for: called as a plain function.
    if (outgoing === undefined) end();
  };
}
