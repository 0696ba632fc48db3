import { errorBehind } from "../client/error-response.ts";
import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { refusalError } from "../client/refusal-error.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import { plausibleTokens } from "../internal/plausible.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import { jsonFault, parseForeignJson, SMALL_ANSWER_LIMITS } from "../internal/scan-json.ts";

/** The user's first reply. */
export interface TestReply {
  /** May be empty: a thinking model can use up all tokens before it says anything. */
  readonly text: string;
  readonly finishReason: string | undefined;
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly costUsd: number | undefined;
  readonly elapsedMs: number;
}

export interface TestMessageOptions {
  readonly model: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What the request cost, where the endpoint tells. */
  readonly costUsd?: (body: unknown, headers: Headers) => number | undefined;
}

const PROMPT = "Say hello in one short sentence.";
const MAX_TOKENS = 64;
const MAX_REPLY_BYTES = 1024 * 1024;

/** Sends one small chat request. Throws what the connection's refusal means. */
export async function sendTestMessage(gonka: GonkaFetch, options: TestMessageOptions): Promise<TestReply> {
  const { model, clock, signal, costUsd } = options;
  const startedAtMs = clock.nowMs();
  const body = { model, messages: [{ role: "user", content: PROMPT }], max_tokens: MAX_TOKENS };
  const response = await gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const bodyText = await readBoundedText(response.body, MAX_REPLY_BYTES);
  if (!response.ok) {
    const { status, headers } = response;
    throw errorBehind(response) ?? refusalError({ status, headers, bodyText, path: "/chat/completions" });
  }
  const json = parseJson(bodyText);
  const cost = costUsd?.(json, response.headers);
  return { ...readReply(json), costUsd: cost, elapsedMs: clock.nowMs() - startedAtMs };
}

function parseJson(text: string): unknown {
  try {
    return parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the reply to the test message ${jsonFault(cause)}`, cause });
  }
}

function readReply(json: unknown): Omit<TestReply, "costUsd" | "elapsedMs"> {
  const choices = field(json, "choices");
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (choice === undefined)
    throw new ZephError("bad_response", { detail: "the reply to the test message has no choices" });
  const usage = field(json, "usage");
  return {
    text: withoutThinking(asText(field(field(choice, "message"), "content")) ?? ""),
    finishReason: asText(field(choice, "finish_reason")),
    promptTokens: plausibleTokens(field(usage, "prompt_tokens")),
    completionTokens: plausibleTokens(field(usage, "completion_tokens")),
  };
}

/** Some models think inside the content, and may be cut off in the middle of it. */
function withoutThinking(text: string): string {
  return text.replace(/^\s*<think>[\s\S]*?(?:<\/think>|$)/, "").trim();
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
