import { ZephError } from "../errors.ts";
import type { TransportEvent } from "../transport/policy.ts";
import { type Answer, isByteSource, toResponse, toZephError } from "./answer.ts";
import { countRoute, dialectRefusal, dialectRoute, responseRoute } from "./dialect-routes.ts";
import {
  clientFamily,
  type Exchange,
  findRoute,
  type GatewayRequest,
  gatewayRequest,
  joinNames,
  openExchange,
  type Route,
} from "./exchange.ts";
import { chatRoute, embeddingsRoute, healthRoute, modelRoute, modelsRoute, readyRoute } from "./routes.ts";
import {
  type GatewayState,
  gatewayState,
  type LocalGatewayOptions,
  localKeyWeakness,
  type RouteContext,
} from "./state.ts";

/** The local endpoint: a function from request to response, with what a server around it needs. */
export interface LocalGateway {
  (request: Request): Promise<Response>;
  /** As the function itself, for a server that writes to a socket and has no use for a `Response`. */
  answer(request: GatewayRequest): Promise<Answer>;
  /** Takes what the connection tells (`onEvent`) into the metrics. */
  observe(event: TransportEvent): void;
  /** Why the key must not be used where other computers can reach the endpoint; `undefined` when it is strong enough. */
  readonly keyWeakness: string | undefined;
  /** From now on `/ready` says no and new requests are refused; those under way go on. */
  drain(): void;
  readonly draining: boolean;
  /** Requests under way. */
  readonly inFlight: number;
  /** This process's own numbers, in Prometheus' text form. */
  metrics(): string;
}

/**
 * An endpoint in front of a connection: chat completions (JSON and streams, bytes as they came), the Responses API, the
 * Messages API of Anthropic, text completions, embeddings, models, `/health`, `/ready` and `/metrics`. Requests are made to fit the Gonka network's rules first, and
 * what was taken out of them is named in `x-zeph-removed-params`. Never rejects: every failure is an answer.
 *
 * @example
 * ```ts
 * import { gonkaFetch } from "zeph";
 * import { listen, localGateway } from "zeph/gateway";
 *
 * const gateway = localGateway({ upstream: gonkaFetch({ kind: "broker", baseURL, apiKey }), key: "a-key-of-yours" });
 * const { baseURL: local, close } = await listen(gateway, { port: 8424 });
 * ```
 */
export function localGateway(options: LocalGatewayOptions): LocalGateway {
  const state = gatewayState(options);
  const answer = (request: GatewayRequest) => answerRequest(state, request);
  const handler = async (request: Request) => toResponse(await answer(gatewayRequest(request)), state.clock);
  Object.defineProperties(handler, {
    keyWeakness: { value: localKeyWeakness(options.key) },
    draining: { get: () => state.draining },
    inFlight: { get: () => state.inFlight },
  });
  return Object.assign(handler, {
    answer,
    observe: (event: TransportEvent) => state.metrics.observe(event),
    metrics: () => ownMetrics(state),
    drain: () => {
      state.draining = true;
    },
  }) as LocalGateway;
}

async function answerRequest(state: GatewayState, given: GatewayRequest): Promise<Answer> {
  const { method, target, host } = given;
  const queryAt = target.indexOf("?");
  const route = findRoute(method, queryAt === -1 ? target : target.slice(0, queryAt));
  const exchange = openExchange(
    { method, route: route.kind, client: clientFamily(given.headers.get("user-agent")) },
    state,
  );
  const request = state.options.onOpen?.(exchange.record, given) ?? given;
  const origin = request.headers.get("origin");
  state.inFlight += 1;
  let cors: Readonly<Record<string, string>> = {};
  try {
    state.checkHost(host);
    cors = state.origins.headersFor(origin, host);
    const answer =
      route.kind === "preflight"
        ? state.origins.preflight(origin, host)
        : await runRoute(route, { state, exchange, request });
    return finish(exchange, answer, cors);
  } catch (thrown) {
    if (request.hasLeft) {
      exchange.end("caller-left");
      return { status: 499, headers: {}, body: null };
    }
    const error = toZephError(thrown);
    exchange.record.errorCode = error.code;
    return finish(exchange, dialectRefusal({ exchange, request }, route.kind, error), cors);
  }
}

type OpenRoute = Extract<Route, { readonly kind: "health" | "ready" } | { readonly kind: "none" }>;
type KeyedRoute = Exclude<Route, OpenRoute | { readonly kind: "preflight" }>;

async function runRoute(route: OpenRoute | KeyedRoute, context: RouteContext): Promise<Answer> {
  const { state, request, exchange } = context;
  switch (route.kind) {
    case "health":
      return healthRoute();
    case "ready":
      return readyRoute(state);
    case "none":
      exchange.record.errorCode = route.error.code;
      return noRoute(route, context);
    default:
      state.checkKey(request.headers);
      if (state.draining) throw new ZephError("service_unavailable", { detail: "the local endpoint is stopping" });
      return runKeyedRoute(route, context);
  }
}

async function runKeyedRoute(route: KeyedRoute, context: RouteContext): Promise<Answer> {
  switch (route.kind) {
    case "chat":
      return chatRoute(context);
    case "embeddings":
      return embeddingsRoute(context);
    case "responses":
    case "compact":
    case "messages":
    case "completions":
      return dialectRoute(context, route.kind);
    case "count-tokens":
      return countRoute(context, "messages");
    case "input-tokens":
      return countRoute(context, "responses");
    case "response":
      return responseRoute(context, route.id);
    case "models":
      return modelsRoute(context);
    case "model":
      return modelRoute(context, route.id);
    case "metrics":
      return metricsRoute(context.state);
  }
}

function ownMetrics({ metrics, inFlight, options: { upstream } }: GatewayState): string {
  return metrics.render({ inFlight, upstream });
}

async function metricsRoute(state: GatewayState): Promise<Answer> {
  const own = ownMetrics(state);
  const body = (await state.options.sumMetrics?.(own)) ?? own;
  return { status: 200, headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, body };
}

function noRoute({ error, allow }: Extract<Route, { readonly kind: "none" }>, context: RouteContext): Answer {
  const { request } = context;
  const answer = dialectRefusal(context, "none", error, allow === undefined ? {} : { allow });
  // Codex asks for a WebSocket first; of all refusals it takes this one for the end of that.
  return allow !== undefined && request.headers.has("upgrade") ? { ...answer, status: 426 } : answer;
}

/** Adds what every answer carries. A streamed answer ends its exchange by itself; others end here. */
function finish({ record, ...exchange }: Exchange, answer: Answer, cors: Readonly<Record<string, string>>): Answer {
  record.status = answer.status;
  if (!isByteSource(answer.body)) {
    exchange.firstByte();
    exchange.end("complete");
  }
  return {
    ...answer,
    headers: {
      ...answer.headers,
      ...cors,
      "x-request-id": record.requestId,
      // The name that Anthropic's clients look for.
      ...(record.route === "messages" || record.route === "count-tokens" ? { "request-id": record.requestId } : {}),
      ...(record.removed.length === 0 ? {} : { "x-zeph-removed-params": joinNames(record.removed) }),
      ...(record.changed.length === 0 ? {} : { "x-zeph-changed-params": joinNames(record.changed) }),
    },
  };
}
