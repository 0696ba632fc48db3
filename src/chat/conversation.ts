import type { ModelMessage } from "ai";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import type { Budget } from "../journal/budget.ts";
import { type AnswerPart, type AnswerRequest, streamAnswer } from "./chat-model.ts";
import {
  type AnswerSettings,
  addToTotal,
  addUsage,
  type ChatSession,
  type ConversationEvent,
  EMPTY_TOTAL,
  estimateTokens,
  type FinishedEvent,
  pricedCostNgonka,
  pricedCostUsd,
  type StandIn,
  settingsOf,
  type Thinking,
  type TokenUsage,
  toldCostUsd,
  toTokenUsage,
  UNKNOWN_USAGE,
  type UsageTotal,
} from "./session.ts";

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
    const { question, images, draft, startMs } = turn;
    const { text, reasoning, usage, costUsd, costNgonka, toolMessages } = draft;
    const { providerName, modelId } = answererOf(draft, session);
    const atMs = clock.nowMs();
    const times = { atMs, firstByteMs: draft.firstByteMs, elapsedMs: atMs - startMs };
    const facts = { providerName, modelId, usage, costUsd, costNgonka, ...times, images };
    const exchange = { question, answer: text, reasoning, state, ...facts };
    exchanges = [...exchanges, toolMessages === undefined ? exchange : { ...exchange, toolMessages }];
    if (state === "finished" || draft.firstByteMs !== undefined) total = addToTotal(total, draft);
    const hasFailed = state === "failed";
    const hasBegun = draft.firstByteMs !== undefined || draft.steps > 0;
    // What came from the cache was asked of nobody.
    if (!hasBegun && !hasFailed) return;
    const isPriced = costUsd !== undefined || costNgonka !== undefined;
    const spent = {
      provider: providerName,
      model: modelId,
      inputTokens: usage.input,
      outputTokens: usage.output,
      usd: costUsd ?? (isPriced || !hasBegun ? undefined : estimateCostUsd(turn.promptTokensEstimate, draft, session)),
      ngonka: costNgonka,
      answersOfUnknownCost: isPriced || !hasBegun ? 0 : 1,
      hasFailed,
      elapsedMs: state === "finished" ? clock.nowMs() - turn.startMs : undefined,
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

/** What has arrived of an answer so far. */
interface Draft {
  text: string;
  reasoning: string;
  usage: TokenUsage;
  costUsd: number | undefined;
  costNgonka: bigint | undefined;
  /** Rounds that ended; more than one only where tools are used. */
  steps: number;
  finishReason: string;
  /** Did the endpoint say by itself why the answer ended? */
  ended: boolean;
  firstByteMs: number | undefined;
  toolMessages: readonly ModelMessage[] | undefined;
  /** Who is asked in the place of the session's provider; prices and names are then its own. */
  standIn: StandIn | undefined;
}

function emptyDraft(): Draft {
  return {
    text: "",
    reasoning: "",
    usage: UNKNOWN_USAGE,
    costUsd: undefined,
    costNgonka: undefined,
    steps: 0,
    finishReason: "other",
    ended: false,
    firstByteMs: undefined,
    toolMessages: undefined,
    standIn: undefined,
  };
}

function collect(draft: Draft, part: AnswerPart, session: ChatSession): void {
  if (part.type === "text") draft.text += part.text;
  else if (part.type === "reasoning") draft.reasoning += part.text;
  else if (part.type === "tool-messages") draft.toolMessages = part.messages;
  else if (part.type === "step") {
    const usage = toTokenUsage(part.usage);
    const { pricing, pricePerTokenNgonka } = answererOf(draft, session);
    const costUsd = toldCostUsd(part.metadata) ?? pricedCostUsd(usage, pricing);
    const costNgonka = pricedCostNgonka(usage, pricePerTokenNgonka);
    draft.costUsd = draft.steps === 0 ? costUsd : addBothKnown(draft.costUsd, costUsd, (left, right) => left + right);
    draft.costNgonka =
      draft.steps === 0 ? costNgonka : addBothKnown(draft.costNgonka, costNgonka, (left, right) => left + right);
    draft.usage = addUsage(draft.usage, usage);
    draft.finishReason = part.finishReason;
    draft.ended = part.rawFinishReason !== undefined || part.finishReason !== "other";
    draft.steps += 1;
  }
}

/** The stand-in where there is one, else the session itself. */
function answererOf({ standIn }: Draft, session: ChatSession): StandIn {
  return standIn ?? session;
}

/** One round of unknown cost makes the cost of the answer unknown. */
function addBothKnown<Amount>(
  left: Amount | undefined,
  right: Amount | undefined,
  add: (left: Amount, right: Amount) => Amount,
): Amount | undefined {
  return left === undefined || right === undefined ? undefined : add(left, right);
}

/** Nothing at all came, without a word why, or the endpoint says that it does not stream. */
function couldNotStream(draft: Draft, error: ZephError | undefined): boolean {
  if (draft.text !== "" || draft.reasoning !== "") return false;
  if (error === undefined) return draft.steps <= 1 && !draft.ended && draft.usage.output === undefined;
  const refusals = ["unsupported_capability", "invalid_request", "parameter_rejected"];
  return refusals.includes(error.code) && /\bstream/i.test(error.detail ?? "");
}

/** What the user should know about the way an answer ended; mostly nothing. */
function describeEnd(draft: Draft): readonly string[] {
  const { text, reasoning, finishReason, ended } = draft;
  if (finishReason === "length") {
    return text === "" && reasoning !== ""
      ? ["all tokens went into thinking and none were left for the answer; allow more with --max-tokens"]
      : ["the answer was cut at the token limit; ask to continue, or allow more with --max-tokens"];
  }
  if (finishReason === "content-filter") return ["the endpoint stopped the answer for its content"];
  if (text === "") return ["the model gave no answer text"];
  return ended ? [] : ["the endpoint did not say why the answer ended; it may be incomplete"];
}

/** What an answer without a bill has probably cost, for the daily limit. Unknown without a price. */
function estimateCostUsd(promptTokens: number, draft: Draft, session: ChatSession): number | undefined {
  const { pricing } = answererOf(draft, session);
  const output = estimateTokens(draft.text.length + draft.reasoning.length);
  return output === 0 ? undefined : pricedCostUsd({ ...UNKNOWN_USAGE, input: promptTokens, output }, pricing);
}

/** A warning when the prompt is longer than the model can read. */
function describeExcess(promptTokens: number, session: ChatSession): string | undefined {
  const limit = session.contextLengthTokens;
  if (limit === undefined || promptTokens <= limit) return undefined;
  return `this is about ${promptTokens} tokens, and ${session.modelId} reads at most ${limit}; it will probably be refused`;
}

function toFinished(draft: Draft, session: ChatSession, elapsedMs: number): FinishedEvent {
  const { text, reasoning, usage, costUsd, costNgonka, firstByteMs, finishReason } = draft;
  const { providerName, modelId } = answererOf(draft, session);
  return {
    type: "finished",
    text,
    reasoning,
    providerName,
    modelId,
    usage,
    costUsd,
    costNgonka,
    elapsedMs,
    firstByteMs,
    finishReason,
  };
}

/** An image that goes with a question. */
export interface ImageAttachment {
  /** File name, for people. */
  readonly name: string;
  /** `image/png` … */
  readonly mediaType: string;
  readonly base64: string;
}

/** One question and what came of it. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
  readonly reasoning: string;
  readonly state: "finished" | "cancelled" | "failed";
  readonly providerName: string;
  readonly modelId: string;
  readonly usage: TokenUsage;
  readonly costUsd: number | undefined;
  /** What signed requests cost; another currency, never a part of `costUsd`. */
  readonly costNgonka?: bigint | undefined;
  /** When the answer ended. */
  readonly atMs?: number | undefined;
  /** From the request until the first piece of the answer, and until its end. Absent in what zephs before December 2026 kept. */
  readonly firstByteMs?: number | undefined;
  readonly elapsedMs?: number | undefined;
  /** What the question was asked about, besides its words. */
  readonly images?: readonly ImageAttachment[] | undefined;
  /** The answer as the model's own messages; present when tools were used. */
  readonly toolMessages?: readonly ModelMessage[];
}

/** Tells the model why its earlier answer has no end. */
const MARKS = {
  cancelled: "[The user stopped this answer here.]",
  failed: "[The connection broke off here.]",
} as const;

/**
 * The conversation as the model gets it. An answer that was cut keeps its text and is marked; a question that got no
 * text at all is left out, so that two user messages never follow each other (many chat templates refuse that).
 */
function toModelMessages(exchanges: readonly Exchange[]): ModelMessage[] {
  return exchanges.flatMap((exchange): ModelMessage[] => {
    const question = toUserMessage(exchange.question, exchange.images);
    if (exchange.toolMessages !== undefined) return [question, ...exchange.toolMessages];
    if (exchange.answer === "") return [];
    const mark = exchange.state === "finished" ? "" : `\n\n${MARKS[exchange.state]}`;
    return [question, { role: "assistant", content: exchange.answer + mark }];
  });
}

/** Words alone, or words and images; images come first, as the models' own examples have it. */
export function toUserMessage(text: string, images: readonly ImageAttachment[] = []): ModelMessage {
  if (images.length === 0) return { role: "user", content: text };
  const parts = images.map(({ mediaType, base64 }) => ({ type: "image" as const, image: base64, mediaType }));
  return { role: "user", content: [...parts, { type: "text", text }] };
}

/** About a thousand tokens, whatever its size: models look at pieces of a smaller picture. */
const CHARACTERS_OF_AN_IMAGE = 4_000;

/** Characters the model has to read, for an estimate. */
function countCharacters(messages: readonly ModelMessage[]): number {
  const partLength = (part: object & { readonly type: string }) =>
    part.type === "image" ? CHARACTERS_OF_AN_IMAGE : JSON.stringify(part).length;
  return messages.reduce((sum, { content }) => {
    if (typeof content === "string") return sum + content.length;
    return content.reduce((inner, part) => inner + partLength(part), sum);
  }, 0);
}

/**
 * Passes on what `source` yields until `signal` is aborted; then it ends, at once and without an error, even when the
 * source takes no notice of the signal. Ctrl-C must give the prompt back immediately.
 */
async function* untilAborted<Item>(source: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item, void> {
  const iterator = source[Symbol.asyncIterator]();
  // One promise for the whole stream would collect a reaction for each item.
  let wake = () => {};
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const next = iterator.next();
      // After an abort nobody waits for this any more; its late failure is of no interest.
      next.catch(() => {});
      const result = await new Promise<IteratorResult<Item> | "aborted">((resolve, reject) => {
        wake = () => resolve("aborted");
        if (signal.aborted) wake();
        next.then(resolve, reject);
      });
      if (result === "aborted") return;
      if (result.done === true) {
        ended = true;
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!ended) iterator.return?.().catch(() => {});
  }
}

interface TranscriptOptions {
  readonly savedAtMs: number;
  readonly system?: string | undefined;
  readonly title?: string | undefined;
}

/** The conversation as a Markdown document: who said what, which model, where an answer was cut. */
export function toTranscript(exchanges: readonly Exchange[], { savedAtMs, system, title }: TranscriptOptions): string {
  const parts = [`# ${title ?? "Conversation"}\n\nSaved ${new Date(savedAtMs).toISOString()} by zeph.`];
  if (system !== undefined) parts.push(`## System\n\n${system.trim()}`);
  for (const exchange of exchanges) {
    parts.push(`## You\n\n${exchange.question.trim()}`, `## ${exchange.modelId}\n\n${toAnswer(exchange)}`);
  }
  return `${parts.join("\n\n")}\n`;
}

const ENDINGS = {
  finished: undefined,
  cancelled: "*(stopped here by the user)*",
  failed: "*(broke off here)*",
} as const;

function toAnswer({ answer, reasoning, state }: Exchange): string {
  const thinking =
    reasoning.trim() === "" ? undefined : `<details><summary>Thinking</summary>\n\n${reasoning.trim()}\n\n</details>`;
  const text = closeFence(answer.trim());
  return [thinking, text === "" ? undefined : text, ENDINGS[state]].filter((part) => part !== undefined).join("\n\n");
}

/** An answer cut inside a code block would swallow the rest of the document. */
function closeFence(text: string): string {
  const fences = text.match(/^ {0,3}(```|~~~)/gm) ?? [];
  return fences.length % 2 === 0 ? text : `${text}\n${fences.at(-1)?.trim()}`;
}
