import { type Clock, type NanosClock, nanosClock, systemClock } from "../internal/clock.ts";
import { normalizeBaseURL } from "../protocol/endpoint.ts";
import { readNativeRefusal } from "../protocol/refusals/native.ts";
import { EndpointPool } from "../transport/endpoint-pool.ts";
import type { FailoverOptions } from "../transport/failover.ts";
import { sendSigned } from "../transport/send-signed.ts";
import type { NativeConnection } from "./connection.ts";
import { connectionDefaults } from "./connection-defaults.ts";
import { versionGate } from "./version-gate.ts";

/**
 * Base URL of the native network for SDKs that want one: requests below it go to a node of the pool. The name can never
 * resolve (RFC 2606), so a request that misses the pool reaches nobody.
 */
export const NATIVE_BASE_URL = "https://gonka.invalid/v1";

/** Timestamps must never repeat for one key, however many connections sign with it: one source per clock and address. */
const sources = new WeakMap<Clock, Map<string, NanosClock>>();

export function nativeOptions(connection: NativeConnection): {
  readonly baseURL: string;
  readonly options: FailoverOptions;
} {
  const common = connectionDefaults(connection);
  const { signer, discover } = connection;
  const named = connection.endpoints?.map((endpoint) => ({ ...endpoint, baseURL: normalizeBaseURL(endpoint.baseURL) }));
  const pool = new EndpointPool(named ?? [], connection.order === undefined ? {} : { order: connection.order });
  const nanos = sharedNanos(signer.address, connection);
  return {
    baseURL: NATIVE_BASE_URL,
    options: {
      ...common,
      path: "native",
      pool,
      send: sendSigned({
        signer,
        nanos,
        fetch: common.fetch,
        admit: versionGate(common.fetch, common.clock),
        ...(connection.phase === undefined ? {} : { phase: connection.phase }),
      }),
      readRefusal: readNativeRefusal,
      baseURLs: () => [NATIVE_BASE_URL, ...pool.status(0).map(({ endpoint }) => endpoint.baseURL)],
      ...(named !== undefined || discover === undefined
        ? {}
        : { prepare: async (_request, signal) => pool.replace(await discover(signal)) }),
      correctClock: (serverNowMs) => nanos.correct(serverNowMs),
      signingOffsetMs: () => nanos.offsetMs,
      retryCharged: connection.retryCharged ?? false,
    },
  };
}

/** Chance is injected only together with the clock: what keeps two processes apart must not be fixed by accident. */
function sharedNanos(address: string, { clock, random }: Pick<NativeConnection, "clock" | "random">): NanosClock {
  if (clock === undefined) return sharedNanos(address, { clock: systemClock });
  const byAddress = sources.get(clock) ?? new Map<string, NanosClock>();
  sources.set(clock, byAddress);
  const nanos = byAddress.get(address) ?? nanosClock(clock, random);
  byAddress.set(address, nanos);
  return nanos;
}
