import { type Answer, jsonAnswer } from "../answer.ts";
import type { GatewayState } from "../gateway-state.ts";

/** The process lives. Says nothing about the upstream. */
export function healthRoute(): Answer {
  return jsonAnswer({ status: "ok" });
}

/** Whether a request now has a chance: 503 while stopping, and while every endpoint cools down after failures. */
export function readyRoute({ draining, options }: GatewayState): Answer {
  if (draining) return jsonAnswer({ status: "stopping" }, 503);
  const endpoints = options.upstream.endpoints();
  const usable = endpoints.filter(({ coolsUntilMs }) => coolsUntilMs === undefined).length;
  // A pool that is filled at the first request is empty before it.
  if (endpoints.length > 0 && usable === 0) return jsonAnswer({ status: "upstream failing" }, 503);
  return jsonAnswer({ status: "ready" });
}
