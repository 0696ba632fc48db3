import type { LanguageModelV3CallOptions } from "@ai-sdk/provider";
import type { ToolSet } from "ai";
import type { Clock } from "../base/time.ts";
import type { ZephError } from "../errors.ts";
import type { Budget } from "../journal/budget.ts";
import { startConversation } from "./conversation.ts";
import { type ChatSession, type FinishedEvent, isOutcome } from "./session.ts";

/** Whether a model did what was asked of it; `error`: nobody can tell, the request failed for another reason. */
type Ability = "yes" | "no" | "error";

/** How one of the models did. */
export interface Contestant {
  readonly answer: FinishedEvent;
  /** Output tokens a second between the first piece and the last; absent where nobody told the tokens. */
  readonly tokensPerSecond: number | undefined;
  readonly toolCall: Ability;
  readonly jsonMode: Ability;
}

/** What happens, of all models in between each other; `index` is the place of the session in the list. */
type CompareEvent =
  | { readonly type: "first"; readonly index: number; readonly ms: number }
  | { readonly type: "text"; readonly index: number; readonly text: string }
  | ({ readonly type: "end"; readonly index: number } & Contestant)
  | { readonly type: "error"; readonly index: number; readonly error: ZephError };

interface CompareOptions {
  readonly sessions: readonly ChatSession[];
  readonly clock: Pick<Clock, "nowMs">;
  readonly budget: Budget;
  readonly signal: AbortSignal;
}

/**
 * Asks several models the same question at the same moment. Those that have answered are asked twice more, each for a
 * little: for a call of a tool, and for an answer as JSON. Everything is paid for, and counted, as any other question.
 */
export async function* compare(question: string, options: CompareOptions): AsyncGenerator<CompareEvent> {
  const waiting: CompareEvent[] = [];
  let wake = () => {};
  let open = options.sessions.length;
  const tell = (event: CompareEvent) => {
    waiting.push(event);
    wake();
  };
  const work = options.sessions.map((session, index) =>
    contest(question, { ...options, session, tell, index }).finally(() => {
      open -= 1;
      wake();
    }),
  );
  while (open > 0 || waiting.length > 0) {
    const next = waiting.shift();
    if (next !== undefined) yield next;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
  await Promise.all(work);
}

async function contest(
  question: string,
  given: CompareOptions & {
    readonly session: ChatSession;
    readonly index: number;
    readonly tell: (event: CompareEvent) => void;
  },
): Promise<void> {
  const { session, index, tell, clock, budget, signal } = given;
  for await (const event of startConversation({ session, clock, budget }).ask(question, signal)) {
    if (event.type === "first-byte") tell({ type: "first", index, ms: event.elapsedMs });
    else if (event.type === "text") tell({ type: "text", index, text: event.text });
    else if (event.type === "failed") tell({ type: "error", index, error: event.error });
    else if (event.type === "finished") {
      // One after the other: both at once would be measured against the account's limits.
      const toolCall = await callsTool(given);
      const jsonMode = await answersJson(given);
      tell({ type: "end", index, answer: event, tokensPerSecond: speedOf(event), toolCall, jsonMode });
    }
  }
}

/** Nothing can be told of an answer that came in one piece. */
function speedOf({ usage, elapsedMs, firstByteMs }: FinishedEvent): number | undefined {
  const streamedMs = firstByteMs === undefined ? 0 : elapsedMs - firstByteMs;
  return usage.output === undefined || streamedMs <= 0 ? undefined : (usage.output / streamedMs) * 1000;
}

const MOST_TOKENS = 1024;

async function callsTool({ session, clock, budget, signal }: CompareOptions & { readonly session: ChatSession }) {
  let isCalled = false;
  // The form that schemas of the AI SDK have, without the AI SDK.
  const tools = {
    current_weather: {
      description: "The weather at a place, now",
      inputSchema: {
        jsonSchema: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
      },
      execute: async (input: unknown) => {
        isCalled = typeof (input as { place?: unknown } | null)?.place === "string";
        return { celsius: 12 };
      },
    },
  } as unknown as ToolSet;
  const asking = startConversation({ session, clock, budget, tools, maxSteps: 1, maxOutputTokens: MOST_TOKENS });
  const failure = await outcomeOf(asking.ask("What is the weather in Oslo now? Use the tool.", signal));
  return isCalled ? "yes" : (failure ?? "no");
}

async function answersJson({ session, clock, budget, signal }: CompareOptions & { readonly session: ChatSession }) {
  const { model } = session;
  const asJson = (options: LanguageModelV3CallOptions): LanguageModelV3CallOptions => ({
    ...options,
    providerOptions: { gonka: { ...options.providerOptions?.gonka, response_format: { type: "json_object" } } },
  });
  const inJson = {
    ...session,
    model: {
      ...model,
      doStream: (options: LanguageModelV3CallOptions) => model.doStream(asJson(options)),
      doGenerate: (options: LanguageModelV3CallOptions) => model.doGenerate(asJson(options)),
    },
  };
  const asking = startConversation({ session: inJson, clock, budget, maxOutputTokens: MOST_TOKENS });
  const failure = await outcomeOf(
    asking.ask('Answer with a JSON object with the one field "capital": the capital of Norway.', signal),
  );
  return failure ?? (isJsonObject(asking.exchanges.at(-1)?.answer ?? "") ? "yes" : "no");
}

/** A refusal is a no; whatever else fails says nothing about the model. */
async function outcomeOf(
  events: ReturnType<ReturnType<typeof startConversation>["ask"]>,
): Promise<Ability | undefined> {
  let failure: Ability | undefined;
  for await (const event of events) {
    if (!isOutcome(event) || event.type === "finished") continue;
    const isRefused = event.type === "failed" && REFUSALS.has(event.error.code);
    failure = isRefused ? "no" : "error";
  }
  return failure;
}

const REFUSALS: ReadonlySet<string> = new Set(["unsupported_capability", "invalid_request", "parameter_rejected"]);

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    // Prose, or JSON within prose: not what was asked for.
    return false;
  }
}
