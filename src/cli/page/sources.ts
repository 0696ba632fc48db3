import { stateFile } from "../../base/lock.ts";
import type { CliContext } from "../../base/world.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers } from "../../brokers/registry.ts";
import { type Contestant, compare } from "../../chat/compare.ts";
import { conversationStore, conversationsFolder } from "../../chat/conversations.ts";
import { type ChatModelListing, type ChatSession, withListing } from "../../chat/session.ts";
import { zephFolders } from "../../config/files.ts";
import type { ProviderConfig } from "../../config/providers.ts";
import { isZephErrorCode } from "../../errors.ts";
import type { ExchangeRecord } from "../../gateway/exchange.ts";
import type {
  CompareAsked,
  CompareEvent,
  PageLimit,
  PageModel,
  PageProvider,
  PageSources,
  PageState,
  StoryPart,
} from "../../gateway/page/sources.ts";
import { type Budget, openBudget } from "../../journal/budget.ts";
import { explainCode } from "../../journal/journal.ts";
import { spendingPath } from "../../journal/ledger.ts";
import type { Setup } from "../../provider/setup.ts";
import { maskOf } from "../../provider/without-secrets.ts";
import { VERSION } from "../../version.ts";
import { dailyCentsOf, type Upstream } from "../local-endpoint.ts";
import { openSession } from "../session.ts";
import { toGnk } from "../terminal.ts";
import { pageChat, unkept } from "./chat.ts";
import { pageNetwork } from "./network.ts";
import { pageUsage } from "./usage.ts";

type Compared = Contestant & { readonly index: number };

interface PageSourcesOptions {
  readonly upstream: Upstream;
  /** Was the provider named on the command line? Then nobody stands in for it. */
  readonly isNamed: boolean;
  readonly isDemo: boolean;
}

/** What the page shows, from the places where it is: config, model lists, kept conversations, ledger, journal. */
export async function pageSources(
  context: CliContext,
  { upstream, isNamed, isDemo }: PageSourcesOptions,
): Promise<PageSources> {
  const { setup, opened } = upstream;
  const { config } = setup.loaded;
  const { clock, random } = context;
  const stateFolder = zephFolders(setup.world).state;
  const provider = opened.config.name;
  const runnable = config.providers.filter((each) => each.type !== "other");
  const maxDailyCents = dailyCentsOf(setup);
  const ledger = openBudget({
    maxDailyCents,
    file: stateFile(spendingPath(stateFolder), clock),
    clock,
    client: "zeph page",
  });
  const budget: Budget = {
    ...ledger,
    // What the endpoint has spent in the last moments counts too.
    async check() {
      if (ledger.isLimited) await upstream.flush();
      await ledger.check();
    },
  };
  const kept = conversationStore({ folder: conversationsFolder(stateFolder), clock, random });
  const store = config.keepConversations ? kept : unkept(kept, { clock, random });
  const mask = maskOf(await setup.knownSecrets());
  const nameFor = (name: string) => (name === provider && !isNamed ? undefined : name);
  const sessions = openSessions(context, setup, nameFor);
  /** Who is compared is asked by name: nobody stands in. */
  const byName = openSessions(context, setup, (name) => name);
  /** A question of its own has a session of its own: a session tells all who listen when somebody stands in. */
  const alone: OpenSession = async (name) => (await openSession(context, setup, { provider: nameFor(name) })).session;
  const lists = modelLists(context, sessions);

  async function limit(): Promise<PageLimit> {
    await upstream.flush();
    const usedUsd = await budget.spentTodayUsd();
    if (!budget.isLimited) return { usedUsd };
    return { usd: maxDailyCents / 100, usedUsd, leftUsd: Math.max(0, maxDailyCents / 100 - usedUsd) };
  }

  async function state(): Promise<PageState> {
    const models = await Promise.all(
      runnable.map(async (each) =>
        withConfigured(each, await lists.known(each.name)).map((model) => toModel(each, model)),
      ),
    );
    return {
      version: VERSION,
      provider,
      model: opened.config.model,
      models: models.flat(),
      providers: config.providers.map((each) => toProvider(each, setup, provider)),
      limit: await limit(),
      demo: isDemo,
    };
  }

  async function choose(name: string | undefined, model: string | undefined, open: OpenSession): Promise<ChatSession> {
    const session = await open(name ?? provider);
    return withListing(model === undefined ? session : session.withModel(model), lists.latest(name ?? provider));
  }

  async function* compareFor({ question, entries }: CompareAsked, signal: AbortSignal): AsyncGenerator<CompareEvent> {
    const contestants = await Promise.all(entries.map(({ provider: name, model }) => choose(name, model, byName)));
    await budget.check();
    for await (const event of compare(question, { sessions: contestants, clock, budget, signal })) {
      yield event.type === "end" ? toCompared(event) : event;
    }
    yield { type: "done" };
  }

  return {
    state,
    ...pageChat({ store, budget, clock, openSession: (name, model) => choose(name, model, alone) }),
    mask,
    story: async (record, changes) => storyOf(record, changes),
    ...pageUsage({ stateFolder, clock, limit, flush: upstream.flush }),
    ...pageNetwork({ context, setup, listOf: lists.known, labelOf: (each) => labelOf(each, setup) }),
    compare: (asked, signal) => compareFor(asked, signal),
  };
}

function toCompared({ index, answer, tokensPerSecond, toolCall, jsonMode }: Compared): CompareEvent {
  const { usage, costUsd, costNgonka, firstByteMs: firstWordMs, elapsedMs: totalMs } = answer;
  const costs = { outputTokens: usage.output, costUsd, costGnk: toGnk(costNgonka) };
  return { type: "end", index, firstWordMs, totalMs, tokensPerSecond, ...costs, toolCall, jsonMode };
}

/** The story of one request, in the words of `zeph explain`. */
function storyOf(record: ExchangeRecord, changes: readonly string[]): readonly StoryPart[] {
  const { errorCode, status, outcome, elapsedMs, firstByteMs, usage, fallbackProvider, upstreamRequestId } = record;
  const told = isZephErrorCode(errorCode) ? explainCode(errorCode) : undefined;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const tokens = [
    usage?.promptTokens === undefined ? undefined : `${usage.promptTokens} tokens were read`,
    usage?.completionTokens === undefined ? undefined : `${usage.completionTokens} were written`,
  ].filter((each) => each !== undefined);
  const parts: readonly (readonly [title: string, text: string | undefined])[] = [
    ["What happened", told?.what ?? ENDINGS[outcome]],
    ["What it means", told === undefined ? undefined : `${told.meaning} ${told.again}`],
    ["What to do", told?.next],
    [
      "Who answered",
      fallbackProvider === undefined
        ? undefined
        : `${fallbackProvider}, in the place of the provider that was asked first.`,
    ],
    [
      "Changed on the way",
      changes.length === 0 ? undefined : `The network does not take everything: ${changes.join(", ")}.`,
    ],
    [
      "Time",
      firstByteMs === undefined
        ? undefined
        : `The first byte came after ${seconds(firstByteMs)}, the last after ${seconds(elapsedMs)}.`,
    ],
    ["Tokens", tokens.length === 0 ? undefined : `${tokens.join(", ")}.`],
    [
      "Answer",
      `HTTP ${status}${upstreamRequestId === undefined ? "" : `; the provider calls this request ${upstreamRequestId}`}.`,
    ],
  ];
  return parts.flatMap(([title, text]) => (text === undefined ? [] : [{ title, text }]));
}

const ENDINGS: Readonly<Record<ExchangeRecord["outcome"], string>> = {
  complete: "It was answered.",
  failed: "The answer broke off.",
  "caller-left": "The client left before the end of the answer.",
};

type OpenSession = (provider: string) => Promise<ChatSession>;

/** Each provider is opened when it is first used, and once. */
function openSessions(context: CliContext, setup: Setup, nameFor: (name: string) => string | undefined): OpenSession {
  const open = new Map<string, Promise<ChatSession>>();
  return (name) => {
    const known = open.get(name);
    if (known !== undefined) return known;
    const opening = openSession(context, setup, { provider: nameFor(name) }).then(({ session }) => session);
    open.set(name, opening);
    // What was missing may be there next time.
    opening.catch(() => open.delete(name));
    return opening;
  };
}

/** Models come and go within weeks, not within minutes. */
const LIST_LASTS_MS = 600_000;
/** A page is not held up by a provider that does not answer; the list is there when it is asked for again. */
const LIST_WAIT_MS = 2_000;

/** What providers list now, asked for when somebody looks. */
function modelLists({ clock }: CliContext, sessions: OpenSession) {
  const lists = new Map<
    string,
    { readonly readAtMs: number; models: readonly ChatModelListing[]; reading: Promise<void> }
  >();
  function read(name: string) {
    const before = lists.get(name);
    if (before !== undefined && clock.nowMs() - before.readAtMs < LIST_LASTS_MS) return before;
    const list = { readAtMs: clock.nowMs(), models: before?.models ?? [], reading: Promise.resolve() };
    list.reading = sessions(name)
      .then((session) => session.listModels())
      .then(
        (models) => {
          list.models = models;
        },
        () => {
          // Its chat tells what is wrong with it; it is asked again next time.
          lists.delete(name);
        },
      );
    lists.set(name, list);
    return list;
  }
  return {
    /** Without asking anybody. */
    latest: (name: string): readonly ChatModelListing[] => lists.get(name)?.models ?? [],
    async known(name: string): Promise<readonly ChatModelListing[]> {
      const list = read(name);
      const done = new AbortController();
      await Promise.race([list.reading, clock.sleep(LIST_WAIT_MS, done.signal).catch(() => {})]);
      done.abort();
      return list.models;
    },
  };
}

/** The configured model is offered also where no list came. */
function withConfigured(
  { model }: Exclude<ProviderConfig, { type: "other" }>,
  listed: readonly ChatModelListing[],
): readonly ChatModelListing[] {
  return model === undefined || listed.some(({ id }) => id === model) ? listed : [{ id: model }, ...listed];
}

function toModel(provider: Exclude<ProviderConfig, { type: "other" }>, model: ChatModelListing): PageModel {
  const { pricing } = provider;
  return {
    id: model.id,
    provider: provider.name,
    contextTokens: provider.contextLength ?? model.contextLengthTokens,
    inputUsdPerMillion: pricing?.promptUsdPer1M ?? model.promptUsdPer1M,
    outputUsdPerMillion: pricing?.completionUsdPer1M ?? model.completionUsdPer1M,
    inputNgonkaPerToken: model.pricePerTokenNgonka === undefined ? undefined : Number(model.pricePerTokenNgonka),
    takesImages: model.images === true,
  };
}

const KINDS = { compatible: "gateway", gonka: "native", other: "other" } as const;

function toProvider(each: ProviderConfig, setup: Setup, standard: string): PageProvider {
  return { name: each.name, label: labelOf(each, setup), kind: KINDS[each.type], isDefault: each.name === standard };
}

function labelOf(each: ProviderConfig, { loaded }: Setup): string {
  if (each.type !== "compatible") return each.name;
  const broker = brokerForBaseURL(each.baseURL, mergeBrokers(BROKERS, loaded.config.brokers));
  return broker === undefined || broker.name.toLowerCase() === each.name
    ? (broker?.name ?? each.name)
    : `${each.name} (${broker.name})`;
}
