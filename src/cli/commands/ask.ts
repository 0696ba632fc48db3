import type { AnswerCache } from "../../chat/answer-cache.ts";
import { type Budget, openBudget } from "../../chat/budget.ts";
import { type ConversationOptions, startConversation } from "../../chat/conversation.ts";
import { type ConversationEvent, isOutcome, type OutcomeEvent } from "../../chat/conversation-event.ts";
import type { ChatSession, OpenChatSession } from "../../chat/session.ts";
import { stateFile } from "../../chat/state-file.ts";
import { EXIT } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { spendingPath } from "../../journal/spending.ts";
import type { CliContext } from "../context.ts";
import { noticesTold } from "../notices.ts";
import { readQuestion } from "../read-question.ts";
import { showAnswer } from "../render/answer-view.ts";
import { renderJson } from "../render/json.ts";
import { waitLine } from "../render/status-line.ts";
import { show } from "../write-result.ts";

/** Flags of `zeph ask` and `zeph chat`, as commander hands them over. */
export interface AskFlags {
  /** The words of the question. */
  readonly prompt?: readonly string[];
  readonly model?: string;
  readonly provider?: string;
  readonly system?: string;
  readonly maxTokens?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly frequencyPenalty?: string;
  readonly presencePenalty?: string;
  /** `--no-stream` makes it false. */
  readonly stream?: boolean;
  readonly hideReasoning?: boolean;
  readonly debugDump?: string;
}

/** What the two commands need and do not make themselves. */
export interface ChatDependencies {
  readonly openSession: OpenChatSession;
  /** Where the daily ledger and the line history are kept. */
  readonly stateFolder: string;
  /** `[cost] max_daily_cents`; 0 or absent means no limit. */
  readonly maxDailyCents?: number;
  /** Present when `[llm] response_cache_enabled` says so. */
  readonly cache?: AnswerCache;
}

/** `zeph ask`: one question, one answer; nothing but the answer on standard output. */
export async function runAsk(context: CliContext, flags: AskFlags, dependencies: ChatDependencies): Promise<number> {
  const settings = conversationSettings(flags);
  const question = await readQuestion(context, flags.prompt ?? []);
  const session = await dependencies.openSession(sessionChoice(flags));
  const budget = dailyBudget(context, dependencies);
  const { cache } = dependencies;
  const conversation = startConversation({
    session,
    clock: context.clock,
    budget,
    ...settings,
    ...(cache === undefined ? {} : { cache }),
  });
  const events = conversation.ask(question, context.signal);
  if (context.json) {
    session.subscribe((event) => {
      const line = event.type === "notice" ? `${event.text}\n` : waitLine(event, session.providerName);
      if (line !== undefined) show(context.stderr, line);
    });
    return writeJsonOutcome(context, session, await outcomeOf(events));
  }
  const outcome = await showAnswer(events, { context, session, hideReasoning: flags.hideReasoning === true });
  if (outcome.type === "failed") throw outcome.error;
  return outcome.type === "finished" ? EXIT.ok : EXIT.interrupted;
}

export function sessionChoice({ provider, model }: AskFlags): { provider?: string; model?: string } {
  return { ...(provider === undefined ? {} : { provider }), ...(model === undefined ? {} : { model }) };
}

export function dailyBudget({ clock }: CliContext, { stateFolder, maxDailyCents = 0 }: ChatDependencies): Budget {
  return openBudget({ maxDailyCents, file: stateFile(spendingPath(stateFolder), clock), clock });
}

/** Settings of the conversation that come from flags. Throws `usage` for numbers that are none. */
export function conversationSettings(flags: AskFlags): Omit<ConversationOptions, "session" | "clock"> {
  const { system, stream, maxTokens, temperature, topP, frequencyPenalty, presencePenalty } = flags;
  return {
    ...(system === undefined ? {} : { system }),
    ...(stream === undefined ? {} : { stream }),
    ...(maxTokens === undefined ? {} : { maxOutputTokens: toCount("--max-tokens", maxTokens) }),
    ...(temperature === undefined ? {} : { temperature: toNumber("--temperature", temperature, 0, 2) }),
    ...(topP === undefined ? {} : { topP: toNumber("--top-p", topP, 0, 1) }),
    ...(frequencyPenalty === undefined
      ? {}
      : { frequencyPenalty: toNumber("--frequency-penalty", frequencyPenalty, -2, 2) }),
    ...(presencePenalty === undefined
      ? {}
      : { presencePenalty: toNumber("--presence-penalty", presencePenalty, -2, 2) }),
  };
}

function toCount(flag: string, value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new ZephError("usage", { detail: `${flag} takes a number, a whole number above 0` });
}

function toNumber(flag: string, value: string, min: number, max: number): number {
  const number = /^-?\d{1,3}(?:\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new ZephError("usage", { detail: `${flag} takes a number, from ${min} to ${max}` });
}

async function outcomeOf(events: AsyncIterable<ConversationEvent>): Promise<OutcomeEvent> {
  for await (const event of events) if (isOutcome(event)) return event;
  throw new ZephError("internal", { detail: "the answer has no end" });
}

function writeJsonOutcome(context: CliContext, session: ChatSession, outcome: OutcomeEvent): number {
  const { stdout } = context;
  const notices = noticesTold(context);
  if (outcome.type === "finished") {
    const { text, reasoning, providerName, modelId, usage, costUsd, costNgonka, fromCache } = outcome;
    const { elapsedMs, firstByteMs, finishReason } = outcome;
    const data = {
      text,
      ...(reasoning.trim() === "" ? {} : { reasoning: reasoning.trim() }),
      model: modelId,
      provider: providerName,
      usage: {
        input: usage.input ?? null,
        output: usage.output ?? null,
        cached: usage.cached ?? null,
        reasoning: usage.reasoning ?? null,
      },
      costUsd: costUsd ?? null,
      costNgonka: costNgonka ?? null,
      ...(fromCache === undefined ? {} : { fromCache }),
      elapsedMs,
      firstByteMs: firstByteMs ?? null,
      finishReason,
    };
    stdout.write(renderJson({ data }, notices));
    return EXIT.ok;
  }
  const error = outcome.type === "failed" ? outcome.error : new ZephError("cancelled");
  if (outcome.partialText === "") throw error;
  // What arrived was paid for: it must not get lost with the error.
  stdout.write(renderJson({ error, data: { text: outcome.partialText, model: session.modelId } }, notices));
  return error.exitCode;
}
