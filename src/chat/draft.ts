import type { ModelMessage } from "ai";
import type { ZephError } from "../errors/zeph-error.ts";
import type { FinishedEvent } from "./conversation-event.ts";
import type { ChatSession, StandIn } from "./session.ts";
import type { AnswerPart } from "./stream-answer.ts";
import {
  addUsage,
  estimateTokens,
  pricedCostNgonka,
  pricedCostUsd,
  type TokenUsage,
  toldCostUsd,
  toTokenUsage,
  UNKNOWN_USAGE,
} from "./usage.ts";

/** What has arrived of an answer so far. */
export interface Draft {
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

export function emptyDraft(): Draft {
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

export function collect(draft: Draft, part: AnswerPart, session: ChatSession): void {
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
export function answererOf({ standIn }: Draft, session: ChatSession): StandIn {
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
export function couldNotStream(draft: Draft, error: ZephError | undefined): boolean {
  if (draft.text !== "" || draft.reasoning !== "") return false;
  if (error === undefined) return draft.steps <= 1 && !draft.ended && draft.usage.output === undefined;
  const refusals = ["unsupported_capability", "invalid_request", "parameter_rejected"];
  return refusals.includes(error.code) && /\bstream/i.test(error.detail ?? "");
}

/** What the user should know about the way an answer ended; mostly nothing. */
export function describeEnd(draft: Draft): readonly string[] {
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
export function estimateCostUsd(promptTokens: number, draft: Draft, session: ChatSession): number | undefined {
  const { pricing } = answererOf(draft, session);
  const output = estimateTokens(draft.text.length + draft.reasoning.length);
  return output === 0 ? undefined : pricedCostUsd({ ...UNKNOWN_USAGE, input: promptTokens, output }, pricing);
}

/** A warning when the prompt is longer than the model can read. */
export function describeExcess(promptTokens: number, session: ChatSession): string | undefined {
  const limit = session.contextLengthTokens;
  if (limit === undefined || promptTokens <= limit) return undefined;
  return `this is about ${promptTokens} tokens, and ${session.modelId} reads at most ${limit}; it will probably be refused`;
}

export function toFinished(draft: Draft, session: ChatSession, elapsedMs: number): FinishedEvent {
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
