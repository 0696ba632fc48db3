import { ZephError } from "../../errors/zeph-error.ts";
import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";

/** The field's path stands first: the answer's `param` is taken from there. */
export function invalid(at: string, problem: string): ZephError {
  return new ZephError("invalid_request", { detail: `${at}: ${problem}` });
}

/** Tools of one request. Agents with many servers behind them send some hundreds. */
const MAX_TOOLS = 1024;

/** Calls of one turn: models make a handful at once. */
export const MAX_CALLS = 1024;

/** Most entries of the lists whose length is known before anything is parsed. */
export const MAX_ENTRIES = {
  messages: NETWORK_LIMITS.maxMessages,
  tools: MAX_TOOLS,
  functions: MAX_TOOLS,
} as const;

/** What is said about a list with more entries than that. */
export function tooMany(list: keyof typeof MAX_ENTRIES): ZephError {
  const limit = MAX_ENTRIES[list];
  if (list === "messages") return invalid(list, `the network takes ${limit} at most; shorten the conversation`);
  return new ZephError("request_too_large", {
    detail: `${list}: more than ${limit}`,
    hint: `Send at most ${limit}: those that this conversation needs.`,
  });
}
