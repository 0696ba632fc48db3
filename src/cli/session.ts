import { join, resolve } from "node:path";
import { readRegularText, writeFileAtomic } from "../base/files.ts";
import { scrub } from "../base/secret.ts";
import type { CliContext } from "../base/world.ts";
import { chatModel } from "../chat/chat-model.ts";
import type { ConversationStore } from "../chat/conversations.ts";
import type {
  ChatModelListing,
  ChatSession,
  OnSessionEvent,
  OpenChatSession,
  Pricing,
  SessionEvent,
} from "../chat/session.ts";
import { zephFolders } from "../config/files.ts";
import { chooseProvider } from "../config/providers.ts";
import { ZephError } from "../errors.ts";
import { failureJournal, journalPath, recordFailures } from "../journal/journal.ts";
import { type FallbackEvent, fallbackProvider } from "../provider/fallback.ts";
import { answerLimitTokens, findListed, refreshModels, rememberedModels } from "../provider/models.ts";
import { dumpRequests, type OpenedProvider, openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import { maskOf, withoutSecrets } from "../provider/without-secrets.ts";
import type { OnTransportEvent } from "../transport/policy.ts";
import type { Model } from "../wire/models.ts";
import type { Run } from "./command-table.ts";
import { type AskFlags, isConversation, type ReplDependencies, runAsk, runChat, setUpFirst } from "./commands/ask.ts";
import { setupOf } from "./setup.ts";
import { foldFor, show } from "./terminal.ts";

/** `zeph ask`, on what is configured. */
export const runAskCommand: Run<"ask"> = async (context, flags) =>
  runAsk(context, flags, await chatDependencies(context, flags, "question"));

/** `zeph` and `zeph chat`. Who has no configuration is set up first. */
export const runChatCommand: Run<"chat"> = async (context, flags) => {
  const ended = await setUpFirst(context, flags);
  if (ended !== undefined) return ended;
  const kind = isConversation(context, flags) ? "conversation" : "question";
  return runChat(context, flags, await chatDependencies(context, flags, kind));
};

/**
 * What a chat needs from config and state folder: how to open a provider, the daily limit, the provider used last. Only
 * a conversation follows the provider that was chosen in the last one; a single question goes where the config says.
 */
export async function chatDependencies(
  context: CliContext,
  choice: Pick<AskFlags, "provider" | "model" | "debugDump" | "continue" | "load" | "private">,
  kind: "conversation" | "question",
): Promise<ReplDependencies> {
  const { provider, model } = choice;
  const setup = await setupOf(context, { provider, model });
  const { config } = setup.loaded;
  const stateFolder = zephFolders(context).state;
  const lastProvider = join(stateFolder, "last-provider");
  const runnable = config.providers.filter((provider) => provider.type !== "other");
  const { debugDump } = choice;
  const remarks = kind === "conversation" && context.interactive;
  const setupFor = async (wanted: Parameters<OpenChatSession>[0]) =>
    wanted.provider === provider && wanted.model === model ? setup : setupOf(context, wanted);
  const open = sessionOpener(context, setupFor, { remarks, debugDump });
  const isResumed = choice.continue === true || choice.load !== undefined;
  // A question that goes on with nothing is not kept, and needs no store.
  const isKept = config.keepConversations && choice.private !== true && (kind === "conversation" || isResumed);
  const follows = kind === "conversation" && config.providerPersistence && choice.model === undefined && !isResumed;
  const last = follows ? await readName(lastProvider) : undefined;
  const remembered = runnable.find(({ name }) => name === last)?.name;
  return {
    openSession: (wanted) =>
      open(wanted.provider === undefined && remembered !== undefined ? { ...wanted, provider: remembered } : wanted),
    stateFolder,
    conversations: isKept ? await keptConversations(context, stateFolder) : undefined,
    defaultProvider: runnable.find(({ isDefault }) => isDefault)?.name,
    maxDailyCents: config.cost.enabled ? config.cost.maxDailyCents : 0,
    listProviders: async () => runnable.map(({ name, model }) => ({ name, ...(model === undefined ? {} : { model }) })),
    rememberProvider: async (name) => {
      if (config.providerPersistence) await writeFileAtomic(lastProvider, `${name}\n`);
    },
  };
}

async function keptConversations({ clock, random }: CliContext, stateFolder: string): Promise<ConversationStore> {
  const { conversationStore, conversationsFolder } = await import("../chat/conversations.ts");
  return conversationStore({ folder: conversationsFolder(stateFolder), clock, random });
}

async function readName(path: string): Promise<string | undefined> {
  try {
    return (await readRegularText(path, { maxBytes: 4096 }))?.trim();
  } catch {
    // Nothing was chosen yet.
    return undefined;
  }
}

/** Opens the provider a chat talks to: config, secret, connection, AI SDK model. Notices go to standard error, once. */
function sessionOpener(
  context: CliContext,
  setupFor: (choice: Parameters<OpenChatSession>[0]) => Promise<Setup>,
  options: {
    /** Folder for the requests, one file each. */
    readonly debugDump: string | undefined;
    /** Also say what is well, such as whose key signs. In front of a single answer that would be noise. */
    readonly remarks: boolean;
  },
): OpenChatSession {
  const { debugDump, remarks } = options;
  const told = new Set<string>();
  return async ({ provider, model }) => {
    const setup = await setupFor({ provider, model });
    const { session, notices } = await openSession(context, setup, { provider, model, debugDump });
    for (const notice of [...notices.notices, ...(remarks ? notices.remarks : [])]) {
      if (!told.has(notice)) show(context.stderr, `${foldFor(context.stderr, notice)}\n`);
      told.add(notice);
    }
    return session;
  };
}

/** Opens a provider of a set-up that is there already. Who names one wants that one; only the default may be stood in for. */
export async function openSession(
  context: CliContext,
  setup: Setup,
  choice: {
    readonly provider?: string | undefined;
    readonly model?: string | undefined;
    readonly debugDump?: string | undefined;
  },
): Promise<{ readonly session: ChatSession; readonly notices: Pick<OpenedProvider, "notices" | "remarks"> }> {
  const { provider, model, debugDump } = choice;
  const toJournal = failureListener(context, setup, provider);
  const listeners = new Set<OnSessionEvent>();
  const tell: OnSessionEvent = (event) => {
    for (const listener of listeners) listener(event);
  };
  const onEvent: OnTransportEvent = (event) => {
    toJournal(event);
    tell(event.type === "clock-off" ? describeClock(event.offsetMs) : event);
  };
  const opened =
    provider === undefined
      ? await fallbackProvider(setup, {
          onEvent,
          onFallback: async (event) => tell(await describeFallback(event, setup)),
        })
      : await openProvider(setup, { name: provider, onEvent });
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
  return { session: withMask(session, maskOf(secrets)), notices: opened };
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
      pricing,
      pricePerTokenNgonka: known?.pricePerTokenNgonka,
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
    contextLengthTokens,
    pricing,
    pricePerTokenNgonka: known?.pricePerTokenNgonka,
    parameters: known?.parameters,
    reasoningEffort: config.reasoningEffort,
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
    contextLengthTokens,
    promptUsdPer1M,
    completionUsdPer1M,
    pricePerTokenNgonka,
    tools,
    parameters,
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
