import { type Clock, type NanosClock, nanosClock, systemClock } from "../internal/clock.ts";
import { once } from "../internal/once.ts";
import { DEFAULT_PREFIX, parsePrefix } from "../protocol/parse-address.ts";
import { readNativeRefusal } from "../protocol/refusals/native.ts";
import { EndpointPool } from "../transport/endpoint-pool.ts";
import type { FailoverOptions } from "../transport/failover.ts";
import { isRead } from "../transport/outgoing.ts";
import { requireNodeSize, type Signing, sendSigned } from "../transport/send-signed.ts";
import { blockTime } from "./block-time.ts";
import type { NativeConnection, Nodes } from "./connection.ts";
import { connectionDefaults } from "./connection-defaults.ts";
import { endpointSource } from "./endpoint-source.ts";
import { openSigner } from "./open-signer.ts";
import { readNodes } from "./read-nodes.ts";
import { nodeContentCheck } from "./require-node-content.ts";
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
  const prefix = parsePrefix(connection.signer?.prefix ?? connection.prefix ?? DEFAULT_PREFIX);
  const named = connection.endpoints === undefined ? undefined : readNodes(connection.endpoints, prefix);
  const pool = new EndpointPool(named ?? [], connection.order === undefined ? {} : { order: connection.order });
  const signing = openSigning(connection);
  const checkContent = nodeContentCheck(common.fetch, common.clock);
  const discover = named === undefined ? nodeList(connection, prefix) : undefined;
  let readLast: Nodes | undefined;
  return {
    baseURL: NATIVE_BASE_URL,
    options: {
      ...common,
      path: "native",
      needsDone: true,
      pool,
      send: sendSigned({ signing: signing.open, fetch: common.fetch }),
      readRefusal: readNativeRefusal,
      baseURLs: () => [NATIVE_BASE_URL, ...pool.status(0).map(({ endpoint }) => endpoint.baseURL)],
      async prepare(request, signal) {
        if (!isRead(request)) {
          requireNodeSize(request);
          // Opened here: the clock that belongs to its key must be known before the first attempt.
          await signing.open();
        }
        const nodes = await discover?.(signal);
        // A list that is remembered comes as the same object; it was read when it came first.
        if (nodes !== undefined && nodes !== readLast) pool.replace(readNodes(nodes, prefix));
        readLast = nodes;
        if (!isRead(request)) {
          const endpoints = pool.status(common.clock.nowMs()).map(({ endpoint }) => endpoint);
          await checkContent(request, endpoints, signal);
        }
      },
      admit: versionGate(common.fetch, common.clock),
      readNodeTime: blockTime(common.fetch, common.clock),
      correctClock: (serverNowMs) => signing.nanos()?.correct(serverNowMs),
      signingOffsetMs: () => signing.nanos()?.offsetMs ?? 0,
    },
  };
}

/** The signer with its clock, made at the first signed request: the crypto is not loaded before. */
function openSigning(connection: NativeConnection) {
  let nanos: NanosClock | undefined;
  async function make(): Promise<Signing> {
    const { signer, privateKey, prefix } = connection;
    const opened = signer ?? (await openSigner(privateKey, prefix === undefined ? {} : { prefix }));
    nanos = sharedNanos(opened.address, connection);
    return { signer: opened, nanos };
  }
  return {
    open: once(make),
    nanos: () => nanos,
  };
}

/** Discovery reads proofs, which takes much code; it is loaded when a connection names a source, and used then. */
function nodeList(
  { sourceUrl, discover, fetch, clock, random }: NativeConnection,
  prefix: string,
): NativeConnection["discover"] {
  if (sourceUrl === undefined) return discover;
  const options = {
    sourceUrl,
    prefix,
    ...(fetch === undefined ? {} : { fetch }),
    ...(clock === undefined ? {} : { clock }),
    ...(random === undefined ? {} : { random }),
  };
  return endpointSource({
    discover: async () => (await import("./discover-endpoints.ts")).discoverEndpoints(options),
    ...(clock === undefined ? {} : { clock }),
  });
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
