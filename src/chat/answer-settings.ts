import type { ToolSet } from "ai";
import type { ChatSession } from "./session.ts";
import { type Thinking, thinkingOptions } from "./thinking.ts";

/** What a user may say about every answer of a conversation. */
export interface AnswerSettings {
  readonly system?: string | undefined;
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly tools?: ToolSet;
  /** Most rounds of tool calls in one answer. Default 8. */
  readonly maxSteps?: number;
}

/** The settings that are the same for every question. Absent ones stay absent: the endpoint's defaults hold then. */
export function settingsOf(
  { system, maxOutputTokens: asked, tools, maxSteps, ...options }: AnswerSettings,
  session: ChatSession,
  thinking: Thinking,
) {
  const { temperature, topP, frequencyPenalty, presencePenalty } = options;
  const maxOutputTokens = asked ?? session.maxOutputTokens;
  return {
    maxSteps: maxSteps ?? 8,
    providerOptions: { gonka: thinkingOptions(session, thinking) },
    ...(system === undefined ? {} : { system }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(tools === undefined ? {} : { tools }),
  };
}
