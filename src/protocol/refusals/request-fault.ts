import type { ErrorBody } from "./error-body.ts";
import type { Refusal } from "./refusal.ts";

/** Wordings of "too long" in use: OpenAI, vLLM, several brokers. Zeph (Rust) knew the first three only. */
const CONTEXT_LENGTH =
  /maximum context length|prompt is too long|maximum number of tokens|context[ _]length|context window|max_model_len|too many (?:input )?tokens|input (?:is )?too long/i;

/** The network's reject of a parameter (gonka-ai/gonka docs/chat-api, 2026-07-23); the name stands quoted before it. */
const PARAMETER_REJECTED = /["`]([^"`]+)["`] is currently rejected by the Gonka network/;

/** What a 400, 413 or 422 means, for brokers and nodes alike. */
export function readRequestFault(status: number, body: ErrorBody): Pick<Refusal, "code" | "hint"> {
  if (body.code === "context_length_exceeded" || CONTEXT_LENGTH.test(body.message)) return { code: "context_length" };
  if (status === 413) return { code: "request_too_large" };
  const parameter = PARAMETER_REJECTED.exec(body.message)?.[1];
  if (parameter !== undefined) {
    return {
      code: "parameter_rejected",
      hint: `Leave ${parameter} out, or send the request through \`zeph serve\`, which removes what the network refuses.`,
    };
  }
  if (body.code === "model_not_found") return { code: "model_not_found" };
  return { code: "invalid_request" };
}
