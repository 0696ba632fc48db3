import { once } from "../base/time.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
import { errorBehind } from "../transport/exchange.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import type { OnTransportEvent } from "../transport/policy.ts";
import { type OpenedProvider, openProvider } from "./open.ts";
import type { Setup } from "./setup.ts";

/** What the user must see: a question went to another provider, which may cost other money. */
export interface FallbackEvent {
  readonly from: string;
  /** Who is asked now; `undefined` when `passedOver` could not even be opened. */
  readonly to: string | undefined;
  readonly passedOver?: string;
  readonly model: string | undefined;
  /** The provider behind `to`, with its own prices. */
  readonly provider?: OpenedProvider;
  readonly error: ZephError;
}

interface FallbackOptions {
  /** Provider to ask first; default as `openProvider`. */
  readonly name?: string | undefined;
  readonly onEvent?: OnTransportEvent;
  /** The next provider is asked when what this returns is done. */
  readonly onFallback?: (event: FallbackEvent) => void | Promise<void>;
}

/** How long a provider that failed is passed over. */
const REST_MS = 60_000;

/** On answers that another provider gave. */
export const FALLBACK_HEADER = "x-zeph-fallback-provider";

/**
 * The provider to ask, with those of `[llm] fallback` behind it: when it cannot answer, the same question goes to the
 * next one, with that one's model. Never after the first byte of an answer, never for what the user can mend (key,
 * model, request), never after a failure that was charged. Reads (GET) stay with the first provider. Throws as
 * `openProvider` does; a fallback that cannot be opened is told and passed over.
 *
 * @example
 * ```ts
 * const { gonka } = await fallbackProvider(setup, { onFallback: ({ from, to }) => notice(`${from} → ${to}`) });
 * ```
 */
export async function fallbackProvider(setup: Setup, options: FallbackOptions = {}): Promise<OpenedProvider> {
  const { name, onEvent, onFallback = () => {} } = options;
  const events = onEvent === undefined ? {} : { onEvent };
  const first = await openProvider(setup, { name, ...events });
  const others = setup.loaded.config.fallback.filter((other) => other !== first.config.name);
  if (others.length === 0) return first;
  const open = new Map([[first.config.name, async () => first]]);
  for (const other of others)
    open.set(
      other,
      once(() => openFallback(setup, other, events)),
    );
  const resting = new Map<string, { readonly untilMs: number; readonly outcome: Outcome }>();
  const { clock } = setup.world;
  const names = [first.config.name, ...others];

  async function ask(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    if (input instanceof Request || (init.method ?? "GET").toUpperCase() !== "POST") return first.gonka(input, init);
    const nowMs = clock.nowMs();
    const isResting = (each: string) => (resting.get(each)?.untilMs ?? 0) > nowMs;
    const awake = names.filter((each) => !isResting(each));
    const chain = awake.length === 0 ? names : awake;
    const from = first.config.name;
    // Told for every question, not only for the one that found out: it is other money.
    const passedOver = chain[0] === from ? undefined : resting.get(from)?.outcome;
    let last = passedOver === undefined ? undefined : { from, outcome: passedOver };
    for (const each of chain) {
      const provider = await openOrTell(each, last);
      if (provider === undefined) continue;
      const isFirst = provider === first;
      if (last !== undefined) {
        const { model } = provider.config;
        await onFallback({ from: last.from, to: each, model, provider, error: last.outcome.error });
      }
      const outcome = await attempt(provider, String(input), init, isFirst);
      if (outcome.error === undefined) return isFirst ? outcome.response : marked(outcome.response, each);
      if (!mayFallBack(outcome.error)) return settle(outcome);
      resting.set(each, { untilMs: clock.nowMs() + REST_MS, outcome: { error: outcome.error } });
      last = { from: each, outcome };
    }
    if (last === undefined) throw new ZephError("no_endpoints", { detail: "no provider could be opened" });
    return settle(last.outcome);
  }

  async function openOrTell(each: string, last: { readonly from: string } | undefined) {
    try {
      return await open.get(each)?.();
    } catch (error) {
      if (!ZephError.is(error)) throw error;
      const from = last?.from ?? first.config.name;
      await onFallback({ from, to: undefined, passedOver: each, model: undefined, error });
      return undefined;
    }
  }

  async function attempt(
    provider: OpenedProvider,
    url: string,
    init: RequestInit,
    isFirst: boolean,
  ): Promise<Answered | Outcome> {
    const { model } = provider.config;
    const body = isFirst || model === undefined ? init.body : rewriteModel(init.body, model);
    try {
      const response = await provider.gonka(moveBelow(url, first, provider), {
        ...init,
        ...(body === undefined ? {} : { body }),
      });
      const error = errorBehind(response);
      return error === undefined ? { response, error } : { response, error };
    } catch (thrown) {
      if (ZephError.is(thrown)) return { error: thrown };
      throw thrown;
    }
  }

  const gonka: GonkaFetch = Object.assign(ask, { baseURL: first.gonka.baseURL, endpoints: first.gonka.endpoints });
  return { ...first, gonka };
}

interface Answered {
  readonly response: Response;
  readonly error: undefined;
}

interface Outcome {
  readonly response?: Response;
  readonly error: ZephError;
}

function settle({ response, error }: Outcome): Response {
  if (response === undefined) throw error;
  return response;
}

/** Without a model of its own it could only be asked for a model of another house. */
async function openFallback(
  setup: Setup,
  name: string,
  events: { readonly onEvent?: OnTransportEvent },
): Promise<OpenedProvider> {
  const provider = await openProvider(setup, { name, ...events });
  if (provider.config.model === undefined) throw new ZephError("model_missing", { detail: `provider "${name}"` });
  return provider;
}

function marked(response: Response, provider: string): Response {
  const headers = new Headers(response.headers);
  headers.set(FALLBACK_HEADER, provider);
  const { status, statusText, body } = response;
  return new Response(body, { status, statusText, headers });
}

/**
 * Causes that are final for one provider and say nothing against another: its network is closed, or its account is
 * empty. What the user can mend (key, model, request, address) never moves a prompt elsewhere.
 */
const ELSEWHERE_IS_DIFFERENT: ReadonlySet<ZephErrorCode> = new Set([
  "native_closed",
  "endpoint_gone",
  "native_requires_api_key",
  "developer_not_allowed",
  "no_endpoints",
  "insufficient_quota",
  "insufficient_balance",
]);

/** May the same question go to the next provider after this error? Never when it was charged for certain. */
export function mayFallBack(error: Pick<ZephError, "code" | "retryable" | "charged">): boolean {
  if (error.charged === "yes") return false;
  return error.retryable || ELSEWHERE_IS_DIFFERENT.has(error.code);
}

/** The same request for another provider: its own model in place of the one that was asked for. */
export function rewriteModel(body: RequestInit["body"], model: string): RequestInit["body"] {
  const text = bodyText(body);
  if (text === undefined) return body;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("model" in parsed)) return body;
    return JSON.stringify({ ...parsed, model });
  } catch {
    // Not JSON: nothing names a model.
    return body;
  }
}

function bodyText(body: RequestInit["body"]): string | undefined {
  if (typeof body === "string") return body;
  if (ArrayBuffer.isView(body)) return new TextDecoder().decode(body);
  return body instanceof ArrayBuffer ? new TextDecoder().decode(body) : undefined;
}

/** The address of a request below one provider, as an address below another. */
function moveBelow(url: string, from: OpenedProvider, to: OpenedProvider): string {
  return url.startsWith(from.gonka.baseURL) ? to.gonka.baseURL + url.slice(from.gonka.baseURL.length) : url;
}
