import type { Clock } from "../../base/time.ts";
import { type Exchange, type ImageAttachment, startConversation } from "../../chat/conversation.ts";
import {
  type ConversationKeeper,
  type ConversationStore,
  type ConversationSummary,
  type KeptConversation,
  toMarkdown,
  toPlainData,
} from "../../chat/conversations.ts";
import { type ChatSession, type FinishedEvent, type TokenUsage, UNKNOWN_USAGE } from "../../chat/session.ts";
import { ZephError } from "../../errors.ts";
import type {
  ChatAsked,
  ChatEvent,
  ChatPart,
  PageChatSummary,
  PageChats,
  PageSources,
  PageTokens,
} from "../../gateway/page/sources.ts";
import type { Budget } from "../../journal/budget.ts";
import { toGnk } from "../terminal.ts";

interface PageChatOptions {
  readonly store: ConversationStore;
  readonly openSession: (provider: string | undefined, model: string | undefined) => Promise<ChatSession>;
  readonly budget: Budget;
  readonly clock: Pick<Clock, "nowMs">;
}

/** The chat of the page: the same conversations, limits and words as at the terminal. */
export function pageChat(options: PageChatOptions): Pick<PageSources, "chat" | "chats"> {
  const { store, openSession, budget, clock } = options;
  const images = rememberedImages();
  /** Answers that were stopped, by conversation, until what came of them is kept: whoever looks next sees it. */
  const ending = new Map<string, Promise<void>>();
  async function settled(id: string): Promise<KeptConversation> {
    await ending.get(id);
    return exactly(store, id);
  }

  async function* chat(asked: ChatAsked, signal: AbortSignal): AsyncGenerator<ChatEvent> {
    const kept = asked.conversationId === undefined ? undefined : await settled(asked.conversationId);
    const session = await openSession(asked.provider, asked.model);
    await budget.check();
    const earlier = kept === undefined ? [] : images.restore(kept);
    const index = Math.min(asked.replaceFrom ?? earlier.length, earlier.length);
    const isReplacing = index < earlier.length;
    const system = asked.system === undefined ? kept?.system : asked.system.trim() || undefined;
    const question = textIn(asked.parts);
    const attached = imagesIn(asked.parts);
    const conversation = startConversation({ session, system, clock, budget });
    conversation.restore(earlier.slice(0, index));
    const keeper = store.keeper(kept);
    // What is asked is kept before it is answered: a reload in the middle finds it.
    if (!isReplacing) {
      const pending = { ...asUnanswered(question, session), atMs: clock.nowMs() };
      await keeper.save({ exchanges: [...conversation.exchanges, pending], system, session });
    }
    const conversationId = keeper.id ?? "";
    let isSaved = false;
    async function save(): Promise<void> {
      if (isSaved) return;
      isSaved = true;
      const last = conversation.exchanges.at(-1);
      const isNothing = conversation.exchanges.length === index || (last?.answer === "" && last.reasoning === "");
      // An answer that is there is better than none.
      if (isReplacing && isNothing && last?.state !== "finished") return;
      const { exchanges } = conversation;
      await keeper.save({ exchanges, system, session });
      if (keeper.id !== undefined) images.note(keeper.id, exchanges);
    }
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = () => {
        if (ending.get(conversationId) === ended) ending.delete(conversationId);
        resolve();
      };
    });
    signal.addEventListener("abort", () => ending.set(conversationId, ended), { once: true });
    try {
      const title = kept?.title ?? (await exactly(store, conversationId)).title;
      yield { type: "start", conversationId, index, title };
      for await (const event of conversation.ask(question, signal, attached.length === 0 ? {} : { images: attached })) {
        if (event.type === "text" || event.type === "reasoning" || event.type === "notice") {
          yield { type: event.type, text: event.text };
        } else if (event.type === "finished") {
          await save();
          yield { type: "end", conversationId: keeper.id ?? conversationId, index, ...toEnd(event) };
        } else if (event.type === "failed") {
          await save();
          yield { type: "error", error: event.error, partial: event.partialText !== "" };
        }
      }
    } finally {
      await save().finally(end);
    }
  }

  const chats: PageChats = {
    list: async (words) => (await (words.trim() === "" ? store.list() : store.search(words))).map(toSummary),
    async get(id) {
      const kept = await settled(id);
      return {
        ...toSummary(kept),
        system: kept.system,
        exchanges: images.restore(kept).map((exchange) => ({
          parts: partsOf(exchange),
          answer: exchange.answer,
          reasoning: exchange.reasoning === "" ? undefined : exchange.reasoning,
          usage: toTokens(exchange.usage),
          costUsd: exchange.costUsd,
          costGnk: toGnk(exchange.costNgonka),
          model: exchange.modelId,
          provider: exchange.providerName,
          atMs: exchange.atMs,
          firstWordMs: exchange.firstByteMs,
          totalMs: exchange.elapsedMs,
          interrupted: INTERRUPTED[exchange.state],
        })),
      };
    },
    rename: async (id, title) => toSummary(await store.rename((await settled(id)).id, title)),
    remove: async (id) => store.remove((await settled(id)).id),
    async export(id, format) {
      const kept = await settled(id);
      return format === "json" ? `${JSON.stringify(toPlainData(kept), null, 2)}\n` : toMarkdown(kept);
    },
  };
  return { chat, chats };
}

const INTERRUPTED = { finished: undefined, cancelled: "stopped", failed: "failed" } as const;

/** The store finds what a person may mean; a page means this one. */
async function exactly(store: ConversationStore, id: string): Promise<KeptConversation> {
  const isId = /^[0-9a-z]{6}$/.test(id);
  const found = isId ? await store.find(id).catch(() => undefined) : undefined;
  if (found?.id === id) return found;
  throw new ZephError("usage", {
    detail: "this conversation is not there any more",
    hint: "Another window, or `zeph chats delete`, may have deleted it.",
  });
}

function toSummary({
  id,
  title,
  modelId,
  providerName,
  updatedAtMs,
  exchangeCount,
}: ConversationSummary): PageChatSummary {
  return { id, title, model: modelId, provider: providerName, updatedAt: updatedAtMs, exchangeCount };
}

function toTokens({ input, output, reasoning }: TokenUsage): PageTokens {
  return { inputTokens: input, outputTokens: output, reasoningTokens: reasoning };
}

function toEnd(event: FinishedEvent) {
  const { usage, costUsd, costNgonka, firstByteMs, elapsedMs, finishReason, modelId, providerName } = event;
  return {
    usage: toTokens(usage),
    costUsd,
    costGnk: toGnk(costNgonka),
    firstWordMs: firstByteMs,
    totalMs: elapsedMs,
    finishReason,
    model: modelId,
    provider: providerName,
  };
}

function asUnanswered(question: string, { providerName, modelId }: ChatSession): Exchange {
  const said = { question, answer: "", reasoning: "", state: "cancelled" as const };
  return { ...said, providerName, modelId, usage: UNKNOWN_USAGE, costUsd: undefined };
}

function textIn(parts: readonly ChatPart[]): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n\n");
}

function imagesIn(parts: readonly ChatPart[]): readonly ImageAttachment[] {
  return parts.flatMap((part, index) => {
    if (part.type !== "image") return [];
    const [, mediaType = "", base64 = ""] = /^data:([^;]+);base64,(.*)$/s.exec(part.dataUrl) ?? [];
    return [{ name: `image ${index + 1}`, mediaType, base64 }];
  });
}

function partsOf({ question, images = [] }: Exchange): readonly ChatPart[] {
  const shown = images.map(({ mediaType, base64 }) => ({
    type: "image" as const,
    dataUrl: `data:${mediaType};base64,${base64}`,
  }));
  return [...shown, { type: "text", text: question }];
}

/** Characters of all pictures together that are remembered; the oldest go first. */
const MAX_IMAGE_CHARS = 64 * 1024 * 1024;

/** Pictures are not kept on the disk. This run remembers them, so that a conversation can go on about one. */
function rememberedImages() {
  const known = new Map<string, readonly ImageAttachment[]>();
  let chars = 0;
  const sizeOf = (images: readonly ImageAttachment[] = []) =>
    images.reduce((sum, { base64 }) => sum + base64.length, 0);
  const keyOf = (id: string, { atMs }: Exchange) => `${id} ${atMs}`;
  return {
    note(id: string, exchanges: readonly Exchange[]): void {
      for (const exchange of exchanges) {
        const key = keyOf(id, exchange);
        if (exchange.images === undefined || exchange.atMs === undefined || known.has(key)) continue;
        known.set(key, exchange.images);
        chars += sizeOf(exchange.images);
      }
      for (const [key, images] of known) {
        if (chars <= MAX_IMAGE_CHARS) break;
        known.delete(key);
        chars -= sizeOf(images);
      }
    },
    restore({ id, exchanges }: KeptConversation): readonly Exchange[] {
      return exchanges.map((exchange) => {
        const images = known.get(keyOf(id, exchange));
        return images === undefined ? exchange : { ...exchange, images };
      });
    },
  };
}

/**
 * A store that writes nothing, for `[session] keep_conversations = false`: what is said here ends with the run. What was
 * kept before stays readable, and goes on in memory.
 */
export function unkept(
  kept: ConversationStore,
  { clock, random }: { readonly clock: Pick<Clock, "nowMs">; readonly random: () => number },
): ConversationStore {
  const own = new Map<string, KeptConversation>();
  const newest = (all: readonly ConversationSummary[]) => [...all].sort((a, b) => b.updatedAtMs - a.updatedAtMs);
  const newId = () => Array.from({ length: 6 }, () => Math.floor(random() * 36).toString(36)).join("");
  const hasAll = ({ title, exchanges }: KeptConversation, words: string) => {
    const text = [title, ...exchanges.flatMap(({ question, answer }) => [question, answer])].join("\n").toLowerCase();
    return words
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word));
  };
  function keeper(resumed?: KeptConversation): ConversationKeeper {
    const isOwn = resumed !== undefined && own.has(resumed.id);
    const id = isOwn ? resumed.id : newId();
    let isBegun = isOwn;
    return {
      get id() {
        return isBegun ? id : undefined;
      },
      async save({ exchanges, system, session }) {
        if (isBegun && !own.has(id)) return;
        isBegun = true;
        const nowMs = clock.nowMs();
        const before = own.get(id) ?? resumed;
        own.set(id, {
          id,
          title: before?.title ?? (exchanges[0]?.question ?? "").replace(/\s+/g, " ").slice(0, 80),
          createdAtMs: before?.createdAtMs ?? nowMs,
          updatedAtMs: nowMs,
          exchangeCount: exchanges.length,
          providerName: session.providerName,
          modelId: session.modelId,
          system,
          exchanges,
          droppedCount: 0,
        });
      },
    };
  }
  return {
    list: async () => newest([...own.values(), ...(await kept.list())]),
    search: async (words) =>
      newest([...[...own.values()].filter((each) => hasAll(each, words)), ...(await kept.search(words))]),
    find: async (wanted) => own.get(wanted) ?? kept.find(wanted),
    async rename(id, title) {
      const found = own.get(id);
      if (found === undefined) return kept.rename(id, title);
      const renamed = { ...found, title };
      own.set(id, renamed);
      return renamed;
    },
    async remove(id) {
      if (!own.delete(id)) await kept.remove(id);
    },
    keeper,
  };
}
