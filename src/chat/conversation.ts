import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import { type AnswerSettings, settingsOf } from "./answer-settings.ts";
import type { Budget } from "./budget.ts";
import type { ConversationEvent } from "./conversation-event.ts";
import {
  answererOf,
  collect,
  couldNotStream,
  type Draft,
  describeEnd,
  describeExcess,
  emptyDraft,
  estimateCostUsd,
  toFinished,
} from "./draft.ts";
import { countCharacters, type Exchange, type ImageAttachment, toModelMessages, toUserMessage } from "./exchange.ts";
import type { ChatSession } from "./session.ts";
import { type AnswerRequest, streamAnswer } from "./stream-answer.ts";
import type { Thinking } from "./thinking.ts";
import { untilAborted } from "./until-aborted.ts";
import { addToTotal, EMPTY_TOTAL, estimateTokens, type UsageTotal } from "./usage.ts";

export interface ConversationOptions extends AnswerSettings {
  readonly session: ChatSession;
  readonly clock: Pick<Clock, "nowMs">;
  /** Default true. */
  readonly stream?: boolean;
  /** Asked before every question, told after every answer. */
  readonly budget?: Budget;
}

/** A conversation with one model at a time. Prints nothing. */
export interface Conversation {
  readonly session: ChatSession;
  readonly exchanges: readonly Exchange[];
  readonly total: UsageTotal;
  /** What the user wants of the model's thinking; the same for every model. */
  thinking: Thinking;
  /** The instruction to the model; may be changed between questions. */
  system: string | undefined;
  /**
   * Asks, and tells what happens; never throws. Aborting `signal`, and leaving the loop early, cancel the answer; its
   * text so far stays in the history.
   */
  ask(question: string, signal?: AbortSignal, more?: AskOptions): AsyncGenerator<ConversationEvent, void>;
  /**
   * Asks the last question again, without its answer in the prompt. The new answer takes the place of the old one in
   * the history; a whole answer stays where the new one does not come to its end.
   */
  askAgain(signal?: AbortSignal): AsyncGenerator<ConversationEvent, void>;
  /** Goes on with another provider or model. */
  use(session: ChatSession): void;
  /** Forgets what was said; the total stays. */
  clear(): void;
  /** Takes the last question and its answer back, and gives them. What they cost stays in the total. */
  undo(): Exchange | undefined;
  /** Goes on where an earlier conversation stopped, in the place of what was said so far. */
  restore(exchanges: readonly Exchange[]): void;
}

/** One question under way. */
interface Turn {
  readonly question: string;
  readonly images: readonly ImageAttachment[] | undefined;
  readonly draft: Draft;
  readonly startMs: number;
  readonly signal: AbortSignal;
  readonly promptTokensEstimate: number;
}

interface AskOptions {
  readonly images?: readonly ImageAttachment[] | undefined;
}

type Steps = AsyncGenerator<ConversationEvent, ZephError | undefined>;

/** Starts a conversation. One question at a time. */
export function startConversation(options: ConversationOptions): Conversation {
  const { clock, budget } = options;
  let { system } = options;
  let session = options.session;
  let exchanges: readonly Exchange[] = [];
  let total = EMPTY_TOTAL;
  let stream = options.stream ?? true;
  let toldUnknownCost = false;
  let thinking: Thinking = {};

  const messagesFor = ({ question, images }: Pick<Turn, "question" | "images">) => [
    ...toModelMessages(exchanges),
    toUserMessage(question, images),
  ];
  const settings = () => settingsOf({ ...options, system }, session, thinking);

  /** One call of the model. Returns the error it ended with, if it did. */
  async function* attempt(turn: Turn): Steps {
    const { draft, startMs, signal } = turn;
    const request: AnswerRequest = {
      ...settings(),
      model: session.model,
      messages: messagesFor(turn),
      signal,
      stream,
    };
    draft.standIn = undefined;
    const unsubscribe = session.subscribe((event) => {
      if (event.type === "notice") draft.standIn = event.standIn ?? draft.standIn;
    });
    try {
      for await (const part of untilAborted(streamAnswer(request), signal)) {
        if (draft.firstByteMs === undefined && part.type !== "step" && part.type !== "notice") {
          draft.firstByteMs = clock.nowMs() - startMs;
          yield { type: "first-byte", elapsedMs: draft.firstByteMs };
        }
        collect(draft, part, session);
        if (part.type !== "step" && part.type !== "tool-messages") yield part;
      }
      return undefined;
    } catch (error) {
      return session.toZephError(error);
    } finally {
      unsubscribe();
    }
  }

  /** The call, and a second one without streaming where the endpoint cannot stream. */
  async function* answer(turn: Turn): Steps {
    const error = yield* attempt(turn);
    if (!stream || turn.signal.aborted || !couldNotStream(turn.draft, error)) return error;
    stream = false;
    yield { type: "notice", text: `${session.providerName} does not stream; asking for the whole answer at once` };
    return yield* attempt(turn);
  }

  async function remember(turn: Turn, state: Exchange["state"]): Promise<void> {
    const { question, images, draft } = turn;
    const { text, reasoning, usage, costUsd, costNgonka, toolMessages } = draft;
    const { providerName, modelId } = answererOf(draft, session);
    const facts = { providerName, modelId, usage, costUsd, costNgonka, atMs: clock.nowMs(), images };
    const exchange = { question, answer: text, reasoning, state, ...facts };
    exchanges = [...exchanges, toolMessages === undefined ? exchange : { ...exchange, toolMessages }];
    if (state === "finished" || draft.firstByteMs !== undefined) total = addToTotal(total, draft);
    // What came from the cache was asked of nobody.
    if (draft.firstByteMs === undefined && draft.steps === 0) return;
    const spent = {
      provider: providerName,
      model: modelId,
      inputTokens: usage.input,
      outputTokens: usage.output,
      usd:
        costUsd ?? (costNgonka === undefined ? estimateCostUsd(turn.promptTokensEstimate, draft, session) : undefined),
      ngonka: costNgonka,
      answersOfUnknownCost: costUsd === undefined && costNgonka === undefined ? 1 : 0,
    };
    // A ledger that cannot be written must not take away an answer that is there and paid for.
    await budget?.add(spent).catch(() => {});
  }

  function closingNotices(draft: Draft): readonly string[] {
    const notices = describeEnd(draft);
    if (budget?.isLimited !== true || draft.costUsd !== undefined || toldUnknownCost) return notices;
    toldUnknownCost = true;
    const reason =
      draft.costNgonka === undefined ? "what this costs is unknown" : "this is paid in GNK, not in dollars";
    return [...notices, `${reason}, so the daily limit cannot count it; set pricing in the config`];
  }

  async function* send(turn: Turn): AsyncGenerator<ConversationEvent, void> {
    const { draft, signal, startMs } = turn;
    let state: Exchange["state"] | "under-way" = "under-way";
    try {
      yield { type: "waiting", promptTokensEstimate: turn.promptTokensEstimate };
      const error = yield* answer(turn);
      const elapsedMs = clock.nowMs() - startMs;
      state = signal.aborted ? "cancelled" : error === undefined ? "finished" : "failed";
      await remember(turn, state);
      if (state === "finished") for (const text of closingNotices(draft)) yield { type: "notice", text };
      if (state === "cancelled") yield { type: "cancelled", partialText: draft.text, elapsedMs };
      else if (error === undefined) yield toFinished(draft, session, elapsedMs);
      else yield { type: "failed", error, partialText: draft.text, elapsedMs };
    } finally {
      // Still under way: whoever asked stopped listening.
      if (state === "under-way") await remember(turn, "cancelled");
    }
  }

  async function* askAgain(signal?: AbortSignal): AsyncGenerator<ConversationEvent, void> {
    const replaced = exchanges.at(-1);
    if (replaced === undefined) throw new ZephError("internal", { detail: "nothing was asked yet" });
    const before = exchanges.slice(0, -1);
    exchanges = before;
    try {
      yield* ask(replaced.question, signal, { images: replaced.images });
    } finally {
      const next = exchanges.at(before.length);
      const isBetter = next !== undefined && (next.state === "finished" || replaced.state !== "finished");
      exchanges = [...before, isBetter ? next : replaced];
    }
  }

  async function* ask(
    question: string,
    outerSignal?: AbortSignal,
    { images }: AskOptions = {},
  ): AsyncGenerator<ConversationEvent, void> {
    const startMs = clock.nowMs();
    const asked = { question, images };
    const characters = (system ?? "").length + countCharacters(messagesFor(asked));
    const promptTokensEstimate = estimateTokens(characters);
    const controller = new AbortController();
    const onAbort = () => controller.abort(outerSignal?.reason);
    if (outerSignal?.aborted === true) onAbort();
    else outerSignal?.addEventListener("abort", onAbort, { once: true });
    try {
      const excess = describeExcess(promptTokensEstimate, session);
      const turn = { ...asked, draft: emptyDraft(), startMs, signal: controller.signal, promptTokensEstimate };
      if (excess !== undefined) yield { type: "notice", text: excess };
      await budget?.check();
      yield* send(turn);
    } catch (error) {
      const failure = ZephError.is(error) ? error : session.toZephError(error);
      yield { type: "failed", error: failure, partialText: "", elapsedMs: clock.nowMs() - startMs };
    } finally {
      outerSignal?.removeEventListener("abort", onAbort);
      controller.abort();
    }
  }

  return {
    get session() {
      return session;
    },
    get exchanges() {
      return exchanges;
    },
    get total() {
      return total;
    },
    get thinking() {
      return thinking;
    },
    set thinking(wanted) {
      thinking = wanted;
    },
    get system() {
      return system;
    },
    set system(wanted) {
      system = wanted;
    },
    ask,
    askAgain,
    use(next) {
      session = next;
      stream = options.stream ?? true;
    },
    clear() {
      exchanges = [];
    },
    undo() {
      const last = exchanges.at(-1);
      exchanges = exchanges.slice(0, -1);
      return last;
    },
    restore(earlier) {
      exchanges = [...earlier];
    },
  };
}
