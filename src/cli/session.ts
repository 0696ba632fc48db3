import { resolve } from "node:path";
import { chatModel } from "../chat/chat-model.ts";
import type {
  ChatModelListing,
  ChatSession,
  OnSessionEvent,
  OpenChatSession,
  Pricing,
  SessionEvent,
} from "../chat/session.ts";
import { zephFolders } from "../config/paths.ts";
import { chooseProvider } from "../config/provider.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import { failureJournal } from "../journal/failure-journal.ts";
import { journalPath } from "../journal/journal-path.ts";
import { recordFailures } from "../journal/record-failures.ts";
import type { Model } from "../protocol/models.ts";
import { dumpRequests } from "../provider/dump-requests.ts";
import { type FallbackEvent, fallbackProvider } from "../provider/fallback-provider.ts";
import { answerLimitTokens, findListed } from "../provider/known-model.ts";
import { refreshModels, rememberedModels } from "../provider/model-cache.ts";
import { type OpenedProvider, openProvider } from "../provider/open-provider.ts";
import type { Setup } from "../provider/setup.ts";
import { maskOf, withoutSecrets } from "../provider/without-secrets.ts";
import type { OnTransportEvent } from "../transport/events.ts";
import type { CliContext } from "./context.ts";
import { foldFor } from "./render/fold-text.ts";
import { setupOf } from "./setup.ts";
import { show } from "./write-result.ts";

export interface SessionOptions {
  /** Folder for the requests, one file each. */
  readonly debugDump?: string;
  /** Also say what is well, such as whose key signs. In front of a single answer that would be noise. */
  readonly remarks?: boolean;
}

/** Opens the provider a chat talks to: config, secret, connection, AI SDK model. Notices go to standard error, once. */
export function sessionOpener(
  context: CliContext,
  { debugDump, remarks = false }: SessionOptions = {},
): OpenChatSession {
  const told = new Set<string>();
  return async ({ provider, model }) => {
    const setup = await setupOf(context, { provider, model });
    const toJournal = failureListener(context, setup, provider);
    const listeners = new Set<OnSessionEvent>();
    const tell: OnSessionEvent = (event) => {
      for (const listener of listeners) listener(event);
    };
    const onEvent: OnTransportEvent = (event) => {
      toJournal(event);
      tell(event.type === "clock-off" ? describeClock(event.offsetMs) : event);
    };
    // Who names a provider wants that one; only the default may be stood in for.
    const opened =
      provider === undefined
        ? await fallbackProvider(setup, {
            onEvent,
            onFallback: async (event) => tell(await describeFallback(event, setup)),
          })
        : await openProvider(setup, { name: provider, onEvent });
    for (const notice of [...opened.notices, ...(remarks ? opened.remarks : [])]) {
      if (!told.has(notice)) show(context.stderr, `${foldFor(context.stderr, notice)}\n`);
      told.add(notice);
    }
    const dumping =
      debugDump === undefined
        ? opened.gonka
        : dumpRequests(opened.gonka, {
            folder: resolve(context.cwd, debugDump),
            providerName: opened.config.name,
            clock: context.clock,
          });
    // Outermost: what is written down is what leaves.
    const secrets = await setup.knownSecrets();
    const gonka = withoutSecrets(dumping, secrets, () => tell(SECRET_REMOVED));
    const session = toSession(
      setup,
      { ...opened, gonka },
      listeners,
      await rememberedModels(opened, setup.world),
      model ?? opened.config.model,
    );
    return withMask(session, maskOf(secrets));
  };
}

function withMask(session: ChatSession, mask: (text: string) => string): ChatSession {
  return { ...session, mask, withModel: (id) => withMask(session.withModel(id), mask) };
}

const SECRET_REMOVED: SessionEvent = {
  type: "notice",
  text: "one of your secrets stands in this conversation; [redacted] is sent in its place",
};

function describeClock(offsetMs: number): SessionEvent {
  const seconds = Math.round(Math.abs(offsetMs) / 1_000);
  const where = offsetMs > 0 ? "behind" : "ahead of";
  return {
    type: "notice",
    text: `this computer's clock is ${seconds} s ${where} the node's; nodes refuse what is 60 s late or 30 s early, so set it right`,
  };
}

async function describeFallback(
  { from, to, passedOver, model: modelId, provider, error }: FallbackEvent,
  { world }: Setup,
): Promise<SessionEvent> {
  if (to === undefined || modelId === undefined || provider === undefined) {
    return { type: "notice", text: `${passedOver ?? from} could not take over: ${error.summary}` };
  }
  const known = findListed(await rememberedModels(provider, world), modelId);
  const pricing = pricingOf(provider.config.pricing ?? known);
  return {
    type: "notice",
    text: `${from}: ${error.summary}. Asking ${to} (${modelId}) instead`,
    standIn: {
      providerName: to,
      modelId,
      ...(pricing === undefined ? {} : { pricing }),
      ...(known?.pricePerTokenNgonka === undefined ? {} : { pricePerTokenNgonka: known.pricePerTokenNgonka }),
    },
  };
}

/** Notes what was given up on, for `zeph explain`. */
function failureListener({ clock, random }: CliContext, setup: Setup, provider: string | undefined): OnTransportEvent {
  const journal = failureJournal({ path: journalPath(zephFolders(setup.world).state), clock, random });
  const { name, model } = chooseProvider(setup.loaded.config, provider);
  return recordFailures(journal, { provider: name, model });
}

function toSession(
  setup: Setup,
  opened: OpenedProvider,
  listeners: Set<OnSessionEvent>,
  models: readonly Model[],
  wantedModel: string | undefined,
): ChatSession {
  const { config, gonka } = opened;
  if (wantedModel === undefined) throw new ZephError("model_missing", { detail: `provider "${config.name}"` });
  const known = findListed(models, wantedModel);
  const modelId = known?.id ?? wantedModel;
  const contextLengthTokens = config.contextLength ?? known?.contextLengthTokens;
  const pricing = pricingOf(config.pricing ?? known);
  const maxOutputTokens = answerLimitTokens(config, known);
  return {
    providerName: config.name,
    modelId,
    model: chatModel({ gonka, name: config.name, modelId }),
    maxOutputTokens,
    ...(contextLengthTokens === undefined ? {} : { contextLengthTokens }),
    ...(pricing === undefined ? {} : { pricing }),
    ...(known?.pricePerTokenNgonka === undefined ? {} : { pricePerTokenNgonka: known.pricePerTokenNgonka }),
    ...(known?.parameters === undefined ? {} : { parameters: known.parameters }),
    ...(config.reasoningEffort === undefined ? {} : { reasoningEffort: config.reasoningEffort }),
    toZephError,
    subscribe(onEvent) {
      listeners.add(onEvent);
      return () => listeners.delete(onEvent);
    },
    async listModels(signal) {
      const live = await refreshModels(opened, setup.world, signal);
      return live.filter(({ kind }) => kind === "chat").map(toListing);
    },
    withModel: (id) => toSession(setup, opened, listeners, models, id),
  };
}

function pricingOf(given: Partial<Record<keyof Pricing, number | undefined>> | undefined): Pricing | undefined {
  const { promptUsdPer1M, completionUsdPer1M } = given ?? {};
  return promptUsdPer1M === undefined || completionUsdPer1M === undefined
    ? undefined
    : { promptUsdPer1M, completionUsdPer1M };
}

function toListing(model: Model): ChatModelListing {
  const { id, contextLengthTokens, promptUsdPer1M, completionUsdPer1M, pricePerTokenNgonka, tools, parameters } = model;
  return {
    id,
    images: model.images,
    ...(contextLengthTokens === undefined ? {} : { contextLengthTokens }),
    ...(promptUsdPer1M === undefined ? {} : { promptUsdPer1M }),
    ...(completionUsdPer1M === undefined ? {} : { completionUsdPer1M }),
    ...(pricePerTokenNgonka === undefined ? {} : { pricePerTokenNgonka }),
    ...(tools === undefined ? {} : { tools }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

/** The connection names its failures; what is left is an abort on its way, or a fault of ours. */
function toZephError(error: unknown): ZephError {
  if (ZephError.is(error)) return error;
  const cause = error instanceof Error ? error : undefined;
  if (cause?.name === "AbortError" || cause?.name === "ResponseAborted") return new ZephError("cancelled", { cause });
  if (cause?.name === "TimeoutError") return new ZephError("timeout_total", { cause });
  return new ZephError("internal", { detail: scrub(cause?.message ?? String(error)), cause: error });
}
