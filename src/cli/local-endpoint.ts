import { openBudget } from "../chat/budget.ts";
import { stateFile } from "../chat/state-file.ts";
import { pricedCostUsd, UNKNOWN_USAGE } from "../chat/usage.ts";
import { zephFolders } from "../config/paths.ts";
import { type ExchangeRecord, type LocalGateway, type LocalGatewayOptions, localGateway } from "../gateway/index.ts";
import type { Secret } from "../internal/secret.ts";
import { spendingPath } from "../journal/spending.ts";
import { fallbackProvider } from "../provider/fallback-provider.ts";
import { findListed } from "../provider/known-model.ts";
import { rememberedModels } from "../provider/model-cache.ts";
import { type OpenedProvider, openProvider } from "../provider/open-provider.ts";
import type { Setup } from "../provider/setup.ts";
import type { OnTransportEvent } from "../transport/events.ts";
import type { CliContext } from "./context.ts";
import { toSafeJson } from "./render/json.ts";
import { setupOf } from "./setup.ts";
import { show } from "./write-result.ts";

/** A provider, opened to be served to other programs. */
export interface Upstream {
  readonly setup: Setup;
  readonly opened: OpenedProvider;
  /** The endpoint in front of it. Requests are counted, kept within the daily limit, and keep the user's secrets here. */
  gateway(options: EndpointOptions): Promise<LocalGateway>;
}

interface EndpointOptions
  extends Omit<LocalGatewayOptions, "upstream" | "key" | "secrets" | "checkBudget" | "onRequest"> {
  readonly key: Secret | "none";
  /** Called when a request has ended. `costUsd` is what it cost, told or by the known prices. */
  readonly onRequest: (record: ExchangeRecord, costUsd: number | undefined) => void;
}

/**
 * Opens what the local endpoint stands in front of; says what the user should know about it.
 * @param tell default: on standard error
 * Who names
 * a provider wants that one; only the default may be stood in for by `[llm] fallback`.
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
            const event = { time, event: "fallback", from, to, passedOver, model, errorCode: error?.code };
            tell(`${toSafeJson(event)}\n`);
          },
        })
      : await openProvider(setup, { name: choice.provider, onEvent });
  for (const notice of [...opened.notices, ...opened.remarks]) tell(`${notice}\n`);
  const { name, type, model, embeddingModel } = opened.config;
  return {
    setup,
    opened,
    async gateway({ key, onRequest, ...options }) {
      const limit = await dailyLimit(context, { setup, opened, tell });
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
        onRequest: (record) => onRequest(record, limit.count(record)),
      });
      observe = (event) => gateway.observe(event);
      return gateway;
    },
  };
}

/** `[cost] max_daily_cents`, from the ledger that all zephs of this user share. */
async function dailyLimit(
  context: CliContext,
  { setup, opened, tell }: Pick<Upstream, "setup" | "opened"> & { readonly tell: (line: string) => void },
) {
  const { loaded, world } = setup;
  const { enabled, maxDailyCents } = loaded.config.cost;
  const budget = openBudget({
    maxDailyCents: enabled ? maxDailyCents : 0,
    file: stateFile(spendingPath(zephFolders(world).state), context.clock),
    clock: context.clock,
  });
  const models = await rememberedModels(opened, world);
  let isToldUnknown = false;
  let written = Promise.resolve();

  function costOf({ usage, model = "", fallbackProvider: standIn }: ExchangeRecord): number | undefined {
    if (usage?.costUsd !== undefined || standIn !== undefined) return usage?.costUsd;
    const { promptUsdPer1M, completionUsdPer1M } = opened.config.pricing ?? findListed(models, model) ?? {};
    if (promptUsdPer1M === undefined || completionUsdPer1M === undefined) return undefined;
    const tokens = { ...UNKNOWN_USAGE, input: usage?.promptTokens, output: usage?.completionTokens };
    return pricedCostUsd(tokens, { promptUsdPer1M, completionUsdPer1M });
  }
  return {
    /** What has just been spent counts already. */
    async check(): Promise<void> {
      if (!budget.isLimited) return;
      await written;
      return budget.check();
    },
    /** Writes down what a request cost, and gives it back. */
    count(record: ExchangeRecord): number | undefined {
      const costUsd = costOf(record);
      const isPaid = record.status === 200 && (record.usage !== undefined || record.route === "chat");
      // A ledger that cannot be written must not keep the answer from whoever asked.
      if (costUsd !== undefined) written = written.then(() => budget.add(costUsd)).catch(() => {});
      else if (budget.isLimited && isPaid && !isToldUnknown) {
        isToldUnknown = true;
        tell("The cost of an answer is unknown, so the daily limit cannot count it; set pricing in the config\n");
      }
      return costUsd;
    },
  };
}
