import { stateFile } from "../base/lock.ts";
import type { Secret } from "../base/secret.ts";
import type { CliContext } from "../base/world.ts";
import { pricedCostNgonka, pricedCostUsd, UNKNOWN_USAGE } from "../chat/session.ts";
import { zephFolders } from "../config/files.ts";
import type { ExchangeRecord } from "../gateway/exchange.ts";
import { type LocalGateway, localGateway } from "../gateway/gateway.ts";
import type { LocalGatewayOptions } from "../gateway/state.ts";
import { type Spent, spendingPath } from "../journal/journal.ts";
import { fallbackProvider } from "../provider/fallback.ts";
import { findListed, rememberedModels } from "../provider/models.ts";
import { type OpenedProvider, openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import type { OnTransportEvent } from "../transport/policy.ts";
import { dailyLimit } from "./daily-limit.ts";
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
 * @param tell default: on standard error
 */
export async function openUpstream(
  context: CliContext,
  choice: { readonly provider: string | undefined; readonly model: string | undefined },
  tell: (line: string) => void = (line) => show(context.stderr, line),
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
  const limit = await spendingOf(context, { setup, opened, tell });
  return {
    setup,
    opened,
    flush: () => limit.flush(),
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
        ...(limit.check === undefined ? {} : { checkBudget: limit.check }),
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

/** The ledger that all zephs of this user share: `zeph usage` reads it, and `[cost] max_daily_cents` holds for all of them. */
async function spendingOf(
  context: CliContext,
  { setup, opened, tell }: Pick<Upstream, "setup" | "opened"> & { readonly tell: (line: string) => void },
) {
  const { loaded, world } = setup;
  const { clock } = context;
  const { enabled, maxDailyCents } = loaded.config.cost;
  const file = stateFile(spendingPath(zephFolders(world).state), clock);
  const limit = dailyLimit({ maxDailyCents: enabled ? maxDailyCents : 0, file, clock });
  const models = await rememberedModels(opened, world);
  let isToldUnknown = false;

  /** By the provider's own price where the answer did not tell what it cost. */
  function priced({ usage, model = "", fallbackProvider: standIn }: ExchangeRecord): Cost {
    if (usage?.costUsd !== undefined || standIn !== undefined) return { usd: usage?.costUsd };
    const known = findListed(models, model);
    const { promptUsdPer1M, completionUsdPer1M } = opened.config.pricing ?? known ?? {};
    const tokens = { ...UNKNOWN_USAGE, input: usage?.promptTokens, output: usage?.completionTokens };
    const isPriced = promptUsdPer1M !== undefined && completionUsdPer1M !== undefined;
    return {
      usd: pricedCostUsd(tokens, isPriced ? { promptUsdPer1M, completionUsdPer1M } : undefined),
      ngonka: pricedCostNgonka(tokens, known?.pricePerTokenNgonka),
    };
  }
  return {
    flush: limit.flush,
    check: limit.isLimited ? limit.check : undefined,
    /** Writes down what a request took, where a model was asked and began to answer; gives back what it cost. */
    count(record: ExchangeRecord): Cost | undefined {
      const { status, model, usage, fallbackProvider: standIn } = record;
      if (status < 200 || status >= 300 || model === undefined) return undefined;
      const cost = priced(record);
      const answersOfUnknownCost = cost.usd === undefined && cost.ngonka === undefined ? 1 : 0;
      const { promptTokens: inputTokens, completionTokens: outputTokens } = usage ?? {};
      const provider = standIn ?? opened.config.name;
      limit.add({ provider, model, inputTokens, outputTokens, ...cost, answersOfUnknownCost });
      const isPaid = usage !== undefined || record.route === "chat";
      if (limit.isLimited && isPaid && cost.usd === undefined && !isToldUnknown) {
        isToldUnknown = true;
        tell("The cost of an answer is unknown, so the daily limit cannot count it; set pricing in the config\n");
      }
      return cost;
    },
  };
}
