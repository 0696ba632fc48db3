import { asObject, jsonFault, parseForeignJson, readBoundedText } from "../base/json.ts";
import { Secret } from "../base/secret.ts";
import { once } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { topUpPage } from "../brokers/records.ts";
import { brokerForBaseURL } from "../brokers/registry.ts";
import { ZephError } from "../errors.ts";
import { normalizeBaseURL } from "../wire/endpoint.ts";
import { type Model, matchModel, parseModels } from "../wire/models.ts";
import { readBrokerRefusal } from "../wire/refusals.ts";
import { type BrokerConnection, type Connection, connectionDefaults, type DevshardConnection } from "./connection.ts";
import { type AnswerHead, type Exchange, errorBehind } from "./exchange.ts";
import { errorAnswer, type FailoverOptions, failover, fetchBy, type Hints, pour } from "./failover.ts";
import { NATIVE_BASE_URL, nativeOptions } from "./native.ts";
import { EndpointPool, type EndpointStatus } from "./policy.ts";
import { sendBearer, sendResponse } from "./send.ts";

/** What the registry knows to do about this broker's refusals. */
function brokerHints(baseURL: string): Hints {
  const broker = brokerForBaseURL(baseURL);
  const page = broker === undefined ? undefined : topUpPage(broker);
  return page === undefined ? {} : { insufficient_quota: `Top up at ${page}, then try again.` };
}

/** What lies below a connection's `fetch`. */
export interface ConnectionCore {
  readonly exchange: Exchange;
  /** Addresses that a caller of the `fetch` may use. */
  readonly baseURLs: () => readonly string[];
}

/** A `fetch` for one connection, with what a caller may want to know about it. */
export interface GonkaFetch extends FetchFunction {
  /** Give this to an SDK as its base URL. Requests below it go to whichever endpoint is chosen. */
  readonly baseURL: string;
  /** How each endpoint has done so far. */
  endpoints(): readonly EndpointStatus[];
  /**
   * The same without web objects, for `zeph serve`. Absent where somebody wraps the `fetch` alone.
   * @internal
   */
  readonly core?: ConnectionCore | undefined;
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
  const core = { exchange: failover(options), baseURLs: options.baseURLs };
  return byCore(core, baseURL, () => options.pool.status(options.clock.nowMs()));
}

/** A connection's faces around its core. */
function byCore(core: ConnectionCore, baseURL: string, endpoints: GonkaFetch["endpoints"]): GonkaFetch {
  return Object.assign(fetchBy(core), { baseURL, endpoints, core });
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
  const { name = "devshard", privateKey, sourceUrl, prefix, stateFolder, maxTokens, autoOpen } = connection;
  const common = connectionDefaults(connection);
  // Loaded when it is used: a state machine and a curve that no other connection needs.
  const send = once(async () => {
    const key = Secret.from(privateKey ?? "").reveal();
    if (key.trim() === "") throw new ZephError("secret_missing", { detail: "no private key was given" });
    const { sendDevshard } = await import("./devshard-connection.ts");
    const { fetch, clock } = common;
    return sendDevshard({ privateKey: key, sourceUrl, prefix, stateFolder, maxTokens, autoOpen, fetch, clock });
  });
  return {
    baseURL: NATIVE_BASE_URL,
    options: {
      ...common,
      maxAttempts: 1,
      path: "native",
      needsDone: true,
      pool: new EndpointPool([{ baseURL: NATIVE_BASE_URL, name }]),
      send: sendResponse(async (endpoint, request, signal) => (await send())(endpoint, request, signal)),
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
      send: sendBearer(Secret.from(connection.apiKey ?? ""), common.carry),
      readRefusal: readBrokerRefusal,
      baseURLs: () => [baseURL],
    },
  };
}

/**
 * The models an endpoint offers now. Also the free check of a key: 401 means the key is refused.
 * Throws what the connection's refusal means (`invalid_api_key`, `insufficient_quota`, `unreachable` …).
 */
export async function listModels(gonka: GonkaFetch, signal?: AbortSignal): Promise<readonly Model[]> {
  return parseModels(await readJson(gonka, "/models", signal));
}

const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** Reads one JSON document below a connection's base URL. A refusal is thrown as the `ZephError` the loop named. */
async function readJson(gonka: GonkaFetch, path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await gonka(gonka.baseURL + path, signal === undefined ? {} : { signal });
  const text = await readBoundedText(response.body, MAX_JSON_BYTES);
  if (!response.ok) throw errorBehind(response) ?? new ZephError("bad_response", { status: response.status });
  try {
    return parseForeignJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `${path} ${jsonFault(cause)}`, cause });
  }
}

/**
 * Adds one look at the live list to a "no such model" refusal, so that the hint names what is there. Only this refusal
 * costs the second, free request.
 */
export function withNearestModels(gonka: GonkaFetch): GonkaFetch {
  const { core, baseURL, endpoints } = gonka;
  if (core === undefined) return gonka;
  const exchange: Exchange = (request, sink) => {
    const leaving = new AbortController();
    let refusal: { readonly head: AnswerHead; readonly error: ZephError; body: string } | undefined;
    const decoder = new TextDecoder();
    async function explained({ head, error, body }: NonNullable<typeof refusal>): Promise<void> {
      const hint = await nearestHint(gonka, modelIn(request.body), leaving.signal);
      if (hint === undefined) return pour(sink, head, body);
      const { bodyText, ...answer } = errorAnswer(error.with({ hint }), head.headers);
      pour(sink, answer, bodyText);
    }
    const underway = core.exchange(request, {
      head(head) {
        if (head.error?.code !== "model_not_found") return sink.head(head);
        refusal = { head, error: head.error, body: "" };
      },
      data(bytes) {
        if (refusal === undefined) return sink.data(bytes);
        refusal.body += decoder.decode(bytes, { stream: true });
        return true;
      },
      end() {
        if (refusal === undefined) return sink.end();
        explained(refusal).catch((thrown: unknown) => sink.fail(thrown));
      },
      fail: (thrown) => sink.fail(thrown),
    });
    return {
      abort(reason) {
        if (refusal !== undefined) leaving.abort(reason);
        underway.abort(reason);
      },
      resume: () => underway.resume(),
    };
  };
  return byCore({ ...core, exchange }, baseURL, endpoints);
}

async function nearestHint(
  gonka: GonkaFetch,
  model: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    const ids = (await listModels(gonka, signal)).filter(({ kind }) => kind === "chat").map(({ id }) => id);
    if (ids.length === 0) return "The endpoint lists no models now; try again in a moment.";
    const match = matchModel(model, ids);
    if (match.kind === "loose")
      return `It is called ${match.id} here; letter case counts. Change it with --model or /model.`;
    if (match.kind !== "none")
      return "The endpoint lists it all the same: it may be coming or going. Try again in a moment.";
    return `Offered now: ${match.nearest.join(", ")}. Choose with --model, /model or \`zeph init\`.`;
  } catch (error) {
    // The list is an addition; the refusal itself is told in any case.
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function modelIn(body: Uint8Array | undefined): string {
  try {
    const { model } = asObject(JSON.parse(new TextDecoder().decode(body))) ?? {};
    return model === undefined ? "" : String(model);
  } catch {
    // A body that is not JSON was refused for that already.
    return "";
  }
}
