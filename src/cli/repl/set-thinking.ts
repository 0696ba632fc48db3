import type { ChatSession } from "../../chat/session.ts";
import { type Support, supportsEffort, supportsThinkTokens, toReasoningEffort } from "../../chat/thinking.ts";
import { REASONING_EFFORTS } from "../../protocol/network-parameters.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import type { Repl } from "./repl.ts";

/** Words of `/reasoning-effort`. */
export const EFFORT_WORDS: readonly string[] = [...REASONING_EFFORTS, "auto"];

/** `/reasoning-effort LEVEL`: how hard the model shall think; `auto` leaves it to config and model. */
export function setReasoningEffort({ conversation, print }: Repl, argument: string): void {
  const { effort: before, ...rest } = conversation.thinking;
  const effort = toReasoningEffort(argument);
  if (argument !== "" && argument.toLowerCase() !== "auto" && effort === undefined) {
    print(`Say one of: ${EFFORT_WORDS.join(", ")}.\n`);
    return;
  }
  if (argument !== "") conversation.thinking = effort === undefined ? rest : { ...rest, effort };
  const { session } = conversation;
  const current = argument === "" ? before : effort;
  const others = argument === "" ? ` Others: ${EFFORT_WORDS.join(", ")}.` : "";
  const said =
    current === undefined ? describeConfigured(session) : `${current}. ${heed(session, supportsEffort(session))}`;
  print(`Thinking effort: ${said}${others}\n`);
}

function describeConfigured(session: ChatSession): string {
  const { reasoningEffort, modelId } = session;
  if (reasoningEffort === undefined) return "as the model likes.";
  const from = `${toTerminalLine(reasoningEffort)}, from the config`;
  if (toReasoningEffort(reasoningEffort) === undefined) return `${from}; not sent, as no model knows this word.`;
  return supportsEffort(session) === "yes"
    ? `${from}.`
    : `${from}; not sent, as the model list does not say that ${toTerminalLine(modelId)} takes it.`;
}

const MOST_TOKENS = 1_000_000;

/** `/think-tokens NUMBER`: most tokens for thinking; 0 switches it off, `auto` leaves it to the model. */
export function setThinkTokens({ conversation, print }: Repl, argument: string): void {
  const { tokens: before, ...rest } = conversation.thinking;
  const tokens = /^\d{1,7}$/.test(argument) && Number(argument) <= MOST_TOKENS ? Number(argument) : undefined;
  if (argument !== "" && argument.toLowerCase() !== "auto" && tokens === undefined) {
    print("Say a number of tokens; 0 switches thinking off, auto leaves it to the model.\n");
    return;
  }
  if (argument !== "") conversation.thinking = tokens === undefined ? rest : { ...rest, tokens };
  const { session } = conversation;
  const current = argument === "" ? before : tokens;
  if (current === undefined) print("Tokens for thinking: as many as the model likes.\n");
  else {
    const amount = current === 0 ? "none" : `at most ${current}`;
    print(`Tokens for thinking: ${amount}. ${heed(session, supportsThinkTokens(session))}\n`);
  }
}

function heed({ modelId }: ChatSession, support: Support): string {
  const model = toTerminalLine(modelId);
  if (support === "yes") return `${model} takes this.`;
  if (support === "no") return `${model} does not take this: it is not sent, and holds for other models.`;
  return `It is sent; the model list does not say whether ${model} heeds it.`;
}
