import { topUpPage } from "../brokers/broker.ts";
import { brokerForBaseURL } from "../brokers/registry.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { once } from "../internal/once.ts";
import { Secret } from "../internal/secret.ts";
import { normalizeBaseURL } from "../protocol/endpoint.ts";
import { readBrokerRefusal } from "../protocol/refusals/broker.ts";
import { EndpointPool, type EndpointStatus } from "../transport/endpoint-pool.ts";
import { type FailoverOptions, failover } from "../transport/failover.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import type { Hints } from "../transport/give-up.ts";
import { sendBearer } from "../transport/send-bearer.ts";
import type { BrokerConnection, Connection, DevshardConnection } from "./connection.ts";
import { connectionDefaults } from "./connection-defaults.ts";
import { NATIVE_BASE_URL, nativeOptions } from "./native-options.ts";

/** What the registry knows to do about this broker's refusals. */
function brokerHints(baseURL: string): Hints {
  const broker = brokerForBaseURL(baseURL);
  const page = broker === undefined ? undefined : topUpPage(broker);
  return page === undefined ? {} : { insufficient_quota: `Top up at ${page}, then try again.` };
}

/** A `fetch` for one connection, with what a caller may want to know about it. */
export interface GonkaFetch extends FetchFunction {
  /** Give this to an SDK as its base URL. Requests below it go to whichever endpoint is chosen. */
  readonly baseURL: string;
  /** How each endpoint has done so far. */
  endpoints(): readonly EndpointStatus[];
}

/**
 * A `fetch` that reaches the Gonka network: through a broker with a Bearer key, or by requests signed for one of a pool
 * of nodes. Retries, waits and failover happen inside, and nowhere else.
 *
 * Resolves with the upstream `Response`; a refusal that was given up on carries `x-should-retry: false` and
 * `x-zeph-error-code`. Throws `ZephError` when there was no response (`unreachable`, `timeout_headers`,
 * `all_endpoints_failed`, `insecure_url`, `foreign_origin`, `unsupported_body`, `native_closed` …) and the signal's
 * reason when the caller aborts.
 *
 * @example
 * ```ts
 * import { gonkaFetch } from "zeph";
 * const gonka = gonkaFetch({ kind: "broker", baseURL: "https://api.gonkagate.com/v1", apiKey });
 * const models = await (await gonka(`${gonka.baseURL}/models`)).json();
 * ```
 */
export function gonkaFetch(connection: Connection): GonkaFetch {
  const { baseURL, options } = optionsOf(connection);
  return Object.assign(failover(options), {
    baseURL,
    endpoints: () => options.pool.status(options.clock.nowMs()),
  });
}

function optionsOf(connection: Connection): { readonly baseURL: string; readonly options: FailoverOptions } {
  if (connection.kind === "broker") return brokerOptions(connection);
  return connection.kind === "native" ? nativeOptions(connection) : devshardOptions(connection);
}

/** An order is never repeated by the loop: the session goes from host to host by itself, and knows what was paid. */
function devshardOptions(connection: DevshardConnection): {
  readonly baseURL: string;
  readonly options: FailoverOptions;
} {
  const { name = "devshard", privateKey, sourceUrl, stateFolder, maxTokens, autoOpen } = connection;
  const common = connectionDefaults(connection);
  // Loaded when it is used: a state machine and a curve that no other connection needs.
  const send = once(async () => {
    const key = Secret.from(privateKey ?? "").reveal();
    if (key.trim() === "") throw new ZephError("secret_missing", { detail: "no private key was given" });
    const { sendDevshard } = await import("../transport/devshard-connection.ts");
    const { fetch, clock } = common;
    return sendDevshard({ privateKey: key, sourceUrl, stateFolder, maxTokens, autoOpen, fetch, clock });
  });
  return {
    baseURL: NATIVE_BASE_URL,
    options: {
      ...common,
      maxAttempts: 1,
      path: "native",
      needsDone: true,
      pool: new EndpointPool([{ baseURL: NATIVE_BASE_URL, name }]),
      send: async (endpoint, request, signal) => (await send())(endpoint, request, signal),
      readRefusal: readBrokerRefusal,
      baseURLs: () => [NATIVE_BASE_URL],
    },
  };
}

function brokerOptions(connection: BrokerConnection): { readonly baseURL: string; readonly options: FailoverOptions } {
  const baseURL = normalizeBaseURL(connection.baseURL);
  const name = connection.name ?? new URL(baseURL).host;
  const common = connectionDefaults(connection);
  return {
    baseURL,
    options: {
      ...common,
      hints: { ...brokerHints(baseURL), ...common.hints },
      path: "broker",
      needsDone: brokerForBaseURL(baseURL) !== undefined,
      pool: new EndpointPool([{ baseURL, name }]),
      send: sendBearer(Secret.from(connection.apiKey ?? ""), common.fetch),
      readRefusal: readBrokerRefusal,
      baseURLs: () => [baseURL],
    },
  };
}
