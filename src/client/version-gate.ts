import type { Clock } from "../internal/clock.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
export function versionGate(_f: FetchFunction, _c: Clock) { return async (_e: Endpoint, _s: AbortSignal): Promise<void> => {}; }
