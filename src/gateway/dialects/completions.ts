import { asObject, type JsonObject } from "../../base/json.ts";
import type { ZephError } from "../../errors.ts";
import type { ChatChunk, ChatCompletion, ChatUsage } from "../../wire/chat-shape.ts";
import {
  type AnswerEvents,
  asList,
  asText,
  given,
  type Refusal,
  refused,
  type Stamps,
  type Translation,
} from "./dialect.ts";

/*
 * Text completions on a chat model: POST /v1/completions of OpenAI, which LlamaIndex asks by default. The prompt becomes
 * the words of the user. What only a bare language model can do (filling gaps, prompts of tokens, probabilities of the
 * prompt) is refused in words rather than answered wrongly. Source: OpenAI's API reference, types of openai 6.49.
 */

interface CompletionsContext {
  readonly model: string;
  /** Stands before the text when the caller wants the prompt repeated. */
  readonly echo: string;
  /** The caller asked for the usage at the end of the stream. */
  readonly wantsUsage: boolean;
}

/** Fields that mean the same in a chat request. */
const SAME_FIELDS = [
  "model",
  "max_tokens",
  "temperature",
  "top_p",
  "top_k",
  "n",
  "stream",
  "stop",
  "presence_penalty",
  "frequency_penalty",
  "repetition_penalty",
  "logit_bias",
  "seed",
  "user",
] as const;

/** A text completion as a chat request. Throws `invalid_request` for what a chat model cannot do. */
export function completionsToChat(body: JsonObject): Translation<CompletionsContext> {
  const prompt = promptOf(body.prompt);
  if (typeof body.suffix === "string" && body.suffix !== "") {
    throw refused("suffix", "filling a gap needs a model made for it; chat models have no such mode");
  }
  if (body.logprobs !== undefined && body.logprobs !== null && body.logprobs !== 0 && body.logprobs !== false) {
    throw refused("logprobs", "are not given for text completions; ask /v1/chat/completions");
  }
  if (typeof body.best_of === "number" && body.best_of > Number(body.n ?? 1)) {
    throw refused("best_of", "must not be larger than n; the best of several cannot be told without probabilities");
  }
  const chat = given({
    ...Object.fromEntries(SAME_FIELDS.map((name) => [name, body[name]])),
    messages: [{ role: "user", content: prompt }],
    stream_options: body.stream === true ? { include_usage: true } : undefined,
  });
  const context: CompletionsContext = {
    model: String(body.model ?? ""),
    echo: body.echo === true ? prompt : "",
    wantsUsage: asObject(body.stream_options)?.include_usage === true,
  };
  return { chat, dropped: [], context };
}

/**
 * Throws `invalid_request` for embeddings of tokens: they are numbers of another model's vocabulary, so that the vectors
 * would be of other words. LangChain sends them unless it is told not to.
 */
export function refuseTokenInput({ input }: JsonObject): void {
  const [first] = asList(input);
  if (typeof first !== "number" && !Array.isArray(first)) return;
  throw refused(
    "input",
    "holds tokens of another model's vocabulary; send text (in LangChain: check_embedding_ctx_length=False)",
  );
}

/** A whole chat answer as a text completion. */
export function completionFromWhole(
  { choices, usage, model }: ChatCompletion,
  context: CompletionsContext,
  stamps: Stamps,
): JsonObject {
  return {
    ...head(context, stamps, model),
    choices: choices.map(({ index, message, finish_reason: reason }) => ({
      index,
      text: `${context.echo}${message.content ?? asText(message.refusal) ?? ""}`,
      logprobs: null,
      finish_reason: finishReason(reason) ?? "stop",
    })),
    usage: usageOf(usage),
  };
}

/** A chat stream as text completions. Thoughts are no part of the text and stay out. */
export function completionEvents(context: CompletionsContext, stamps: Stamps): AnswerEvents {
  const start = head(context, stamps, undefined);
  const begun = new Set<number>();
  const texts = new Map<number, { text: string; finish_reason: string | null }>();
  let usage: ChatUsage | undefined;

  const event = (fields: JsonObject) => `data: ${JSON.stringify({ ...start, ...fields })}\n\n`;

  function add({ choices, usage: counted }: ChatChunk): string {
    usage = counted ?? usage;
    let events = "";
    for (const { index, delta, finish_reason: reason } of choices) {
      const said = delta.content ?? asText(delta.refusal) ?? "";
      const finish = finishReason(reason);
      if (said === "" && finish === null) continue;
      const text = begun.has(index) ? said : `${context.echo}${said}`;
      begun.add(index);
      const before = texts.get(index);
      texts.set(index, {
        text: `${before?.text ?? ""}${text}`,
        finish_reason: finish ?? before?.finish_reason ?? null,
      });
      events += event({ choices: [{ index, text, logprobs: null, finish_reason: finish }] });
    }
    return events;
  }

  return {
    begin: () => "",
    add,
    end() {
      const counted = context.wantsUsage && usage !== undefined ? event({ choices: [], usage: usageOf(usage) }) : "";
      return `${counted}data: [DONE]\n\n`;
    },
    fail: (error) => `data: ${JSON.stringify(completionsRefusal(error).body)}\n\ndata: [DONE]\n\n`,
    ping: () => ": still thinking\n\n",
    document: () => ({
      ...start,
      choices: [...texts].map(([index, choice]) => ({ index, logprobs: null, ...choice })),
      usage: usageOf(usage),
    }),
  };
}

/** A refusal in OpenAI's form. */
export function completionsRefusal({ code, httpStatus, message, hint }: ZephError): Refusal {
  const type = httpStatus >= 500 ? "server_error" : "invalid_request_error";
  return { status: httpStatus, body: { error: { message: `${message}. ${hint}`, type, code, param: null } } };
}

function promptOf(value: unknown): string {
  const [first, ...others] = asList(value);
  if (typeof value === "string") return value;
  if (typeof first === "number" || Array.isArray(first)) {
    throw refused("prompt", "holds tokens of another model's vocabulary; send text");
  }
  if (others.length > 0) throw refused("prompt", "holds several; send one request for each");
  if (typeof first !== "string") throw refused("prompt", "must be a text");
  return first;
}

function head({ model }: CompletionsContext, stamps: Stamps, answered: string | undefined): JsonObject {
  return {
    id: `cmpl-${stamps.newId()}`,
    object: "text_completion",
    created: Math.floor(stamps.nowMs() / 1000),
    model: model === "" ? (answered ?? "") : model,
  };
}

/** As it came, with the three counts that must be there. */
function usageOf(usage: ChatUsage | null | undefined): JsonObject | undefined {
  if (usage === undefined || usage === null) return undefined;
  const { prompt_tokens: prompt = 0, completion_tokens: completion = 0, total_tokens: total } = usage;
  return { ...usage, prompt_tokens: prompt, completion_tokens: completion, total_tokens: total ?? prompt + completion };
}

function finishReason(reason: string | null | undefined): string | null {
  if (reason === undefined || reason === null) return null;
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}
