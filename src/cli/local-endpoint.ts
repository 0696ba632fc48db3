import { stateFile } from "../base/lock.ts";
import type { Secret } from "../base/secret.ts";
import type { CliContext } from "../base/world.ts";
import { pricedCostNgonka, pricedCostUsd, UNKNOWN_USAGE } from "../chat/session.ts";
import { zephFolders } from "../config/files.ts";
import type { ExchangeRecord } from "../gateway/exchange.ts";
import { type LocalGateway, localGateway } from "../gateway/gateway.ts";
import type { AskedUpstream, LocalGatewayOptions } from "../gateway/state.ts";
import type { Spent } from "../journal/budget.ts";
import { spendingPath } from "../journal/ledger.ts";
import { type EndpointStore, type ExpectedCost, fileStore } from "../journal/store.ts";
import { fallbackProvider } from "../provider/fallback.ts";
import { findListed, rememberedModels } from "../provider/models.ts";
import { type OpenedProvider, openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import type { OnTransportEvent } from "../transport/policy.ts";
import { setupOf } from "./setup.ts";
import { show, toSafeJson } from "./terminal.ts";

/** A provider, opened to be served to other programs. */
export interface Upstream {
  readonly setup: Setup;
  readonly opened: OpenedProvider;
  /** The endpoint in front of it. Requests are counted, kept within the daily limit, and keep the user's secrets here. */
  gateway(options: EndpointOptions): Promise<LocalGateway>;
  /** Writes into the ledger what is waiting to be written. */
  flush(): Promise<void>;
  /** The same, and lets go of what copies share. */
  close(): Promise<void>;
}

type Cost = Pick<Spent, "usd" | "ngonka">;

interface EndpointOptions
  extends Omit<LocalGatewayOptions, "upstream" | "key" | "secrets" | "checkBudget" | "onRequest"> {
  readonly key: Secret | "none";
  /** Called when a request has ended. `cost`, where a model was asked: told, or by the known prices. */
  readonly onRequest: (record: ExchangeRecord, cost: Cost | undefined) => void;
  /** Called with what a person should know about an answer. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/**
 * Opens what the local endpoint stands in front of; says what the user should know about it. Who names
 * a provider wants that one; only the default may be stood in for by `[llm] fallback`.
 *
 * @param options.tell default: on standard error
 * @param options.openStore what copies of the endpoint share; default the private file
 */
export async function openUpstream(
  context: CliContext,
  choice: { readonly provider: string | undefined; readonly model: string | undefined },
  {
    tell = (line) => show(context.stderr, line),
    openStore,
  }: {
    readonly tell?: ((line: string) => void) | undefined;
    readonly openStore?: ((setup: Setup) => Promise<EndpointStore>) | undefined;
  } = {},
): Promise<Upstream> {
  const fetch = (await context.openServerFetch?.()) ?? context.fetch;
  const setup = await setupOf({ ...context, fetch }, choice);
  // The connection is made before the gateway that counts what it tells.
  let observe: OnTransportEvent = () => {};
  const onEvent: OnTransportEvent = (event) => observe(event);
  const { clock } = context;
  const opened =
    choice.provider === undefined
      ? await fallbackProvider(setup, {
          onEvent,
          onFallback: ({ from, to, passedOver, model, error }) => {
            const time = new Date(clock.nowMs()).toISOString();
            const event = { time, event: "fallback", from, to, passedOver, model, errorCode: error.code };
            tell(`${toSafeJson(event)}\n`);
          },
        })
      : await openProvider(setup, { name: choice.provider, onEvent });
  for (const notice of [...opened.notices, ...opened.remarks]) tell(`${notice}\n`);
  const { name, type, model, embeddingModel } = opened.config;
  const store = openStore === undefined ? privateStore(context, setup) : await openStore(setup);
  const limit = await dailyLimit(store, { setup, opened, tell });
  return {
    setup,
    opened,
    flush: () => store.flush(),
    close: () => store.close(),
    async gateway({ key, onRequest, onNotice, ...options }) {
      const gateway = localGateway({
        upstream: opened.gonka,
        providerName: name,
        access: type === "gonka" ? "native" : "broker",
        ...(model === undefined ? {} : { defaultModel: model }),
        ...(embeddingModel === undefined ? {} : { defaultEmbeddingModel: embeddingModel }),
        clock,
        ...options,
        key,
        secrets: [...(await setup.knownSecrets()), ...(key === "none" ? [] : [key])],
        checkBudget: limit.check,
        ...(store.responses === undefined ? {} : { responses: store.responses }),
        onRequest: (record) => onRequest(record, limit.count(record)),
      });
      observe = (event) => {
        gateway.observe(event);
        if (event.type === "notice") onNotice?.(event.text);
      };
      return gateway;
    },
  };
}

/** Status of a record whose caller went before there was one. */
const CALLER_LEFT = 499;

/** US cents that may be spent in a day, 0 for no limit. */
export function dailyCentsOf({ loaded }: Setup): number {
  const { enabled, maxDailyCents } = loaded.config.cost;
  return enabled ? maxDailyCents : 0;
}

/** The ledger that all zephs of this user share: `zeph usage` reads it, and `[cost] max_daily_cents` holds for all of them. */
export function privateStore({ clock }: CliContext, setup: Setup): EndpointStore {
  const file = stateFile(spendingPath(zephFolders(setup.world).state), clock);
  return fileStore({ maxDailyCents: dailyCentsOf(setup), file, clock });
}

/** A text of three bytes is a token at least; most are longer. */
const LEAST_BYTES_A_TOKEN = 3;
const DEFAULT_ANSWER_TOKENS = 4096;

/** Until the first answer has told what a model costs. */
const GUESSED_USD = 0.01;

async function dailyLimit(
  store: EndpointStore,
  { setup, opened, tell }: Pick<Upstream, "setup" | "opened"> & { readonly tell: (line: string) => void },
) {
  const models = await rememberedModels(opened, setup.world);
  /** What the dearest answer of a model has cost since the start, US dollars; 0 where nobody tells. */
  const dearestUsd = new Map<string, number>();
  let isToldUnknown = false;

  function pricesOf(model: string) {
    const known = findListed(models, model);
    const { promptUsdPer1M, completionUsdPer1M } = opened.config.pricing ?? known ?? {};
    const isPriced = promptUsdPer1M !== undefined && completionUsdPer1M !== undefined;
    return { known, pricing: isPriced ? { promptUsdPer1M, completionUsdPer1M } : undefined };
  }

  /** The most a request can be expected to cost: its tokens, as many of the answer as it asks for, at the known price. */
  function expectedCost({ model = "", body }: AskedUpstream): ExpectedCost {
    const { pricing } = pricesOf(model);
    const numbers = (name: string) =>
      [...body.matchAll(new RegExp(`"${name}"\\s*:\\s*(\\d{1,9})\\b`, "g"))].map(([, digits]) => Number(digits));
    const asked = numbers("max_(?:completion_)?tokens");
    const answers = Math.max(1, ...numbers("n"));
    const tokens = {
      ...UNKNOWN_USAGE,
      input: Math.ceil(Buffer.byteLength(body) / LEAST_BYTES_A_TOKEN),
      output: answers * (asked.length === 0 ? DEFAULT_ANSWER_TOKENS : Math.max(...asked)),
    };
    const dearest = dearestUsd.get(model);
    const byPrice = pricedCostUsd(tokens, pricing);
    if (byPrice !== undefined) return { usd: Math.max(byPrice, dearest ?? 0), isGuess: false };
    // Signed requests are paid in GNK, which a limit in dollars cannot count.
    return { usd: dearest ?? (opened.config.type === "gonka" ? 0 : GUESSED_USD), isGuess: true };
  }

  /** By the provider's own price where the answer did not tell what it cost. */
  function priced({ usage, model = "", fallbackProvider: standIn }: ExchangeRecord): Cost {
    if (usage?.costUsd !== undefined || standIn !== undefined) return { usd: usage?.costUsd };
    const { known, pricing } = pricesOf(model);
    const tokens = { ...UNKNOWN_USAGE, input: usage?.promptTokens, output: usage?.completionTokens };
    return {
      usd: pricedCostUsd(tokens, pricing),
      ngonka: pricedCostNgonka(tokens, known?.pricePerTokenNgonka),
    };
  }
  return {
    /** Holds a part of the limit for a request that is about to leave. */
    async check(asked: AskedUpstream): Promise<void> {
      if (store.isLimited) await store.reserve(asked.requestId, expectedCost(asked));
    },
    /** Writes down what a request for a model took; gives back what it cost, where an answer began. */
    count(record: ExchangeRecord): Cost | undefined {
      const { requestId, status, outcome, model, client, usage, fallbackProvider: standIn } = record;
      const provider = standIn ?? opened.config.name;
      if (model === undefined || status < 200 || status >= 300) {
        const isNoted = model !== undefined && status !== CALLER_LEFT;
        store.settle(
          requestId,
          isNoted ? { provider, model, client, hasFailed: true, answersOfUnknownCost: 0 } : undefined,
        );
        return undefined;
      }
      const cost = priced(record);
      const answersOfUnknownCost = cost.usd === undefined && cost.ngonka === undefined ? 1 : 0;
      const { promptTokens: inputTokens, completionTokens: outputTokens } = usage ?? {};
      const hasFailed = outcome === "failed";
      const elapsedMs = outcome === "complete" ? record.elapsedMs : undefined;
      const what = { provider, model, client, inputTokens, outputTokens, ...cost, answersOfUnknownCost };
      store.settle(requestId, { ...what, hasFailed, elapsedMs });
      dearestUsd.set(model, Math.max(cost.usd ?? 0, dearestUsd.get(model) ?? 0));
      const isPaid = usage !== undefined || record.route === "chat";
      if (store.isLimited && isPaid && cost.usd === undefined && !isToldUnknown) {
        isToldUnknown = true;
        tell("The cost of an answer is unknown, so the daily limit cannot count it; set pricing in the config\n");
      }
      return cost;
    },
  };
}
