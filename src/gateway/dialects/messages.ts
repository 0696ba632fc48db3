import { asObject, type JsonObject } from "../../base/json.ts";
import type { ZephError } from "../../errors.ts";
import {
  asList,
  asText,
  type ContentPart,
  conversation,
  estimateTokens,
  given,
  type Refusal,
  refused,
  type Translation,
  unseal,
} from "./dialect.ts";

/*
 * Anthropic's Messages API on a chat model: POST /v1/messages and /v1/messages/count_tokens.
 * Sources: types and parsers of @anthropic-ai/sdk 1.14 (npm) and requests of Claude Code 2.1, read 2026-11-28.
 * Beta headers change nothing here and are ignored.
 */

export interface MessagesContext {
  /** The model's name as the caller gave it: the answer repeats it. */
  readonly model: string;
  readonly stopSequences: readonly string[];
  /** What becomes of the model's thoughts: callers that did not ask for them must not meet them. */
  readonly thinking: "shown" | "omitted" | "none";
  /** An estimate for the start of the stream, where the count is not known yet. */
  readonly inputTokens: number;
}

/** Fields that ask for something the network has none of. */
const DROPPED_FIELDS = ["mcp_servers", "container", "context_management", "inference_geo"] as const;

/** A request of the Messages API as a chat request. Throws `invalid_request` for what is no conversation. */
export function messagesToChat(
  body: JsonObject,
  { keepsToolType }: { readonly keepsToolType?: ((type: string) => boolean) | undefined } = {},
): Translation<MessagesContext> {
  const dropped: string[] = DROPPED_FIELDS.filter((name) => isMeant(body[name]));
  const messages = toMessages(body, dropped);
  if (messages.length === 0) throw refused("messages", "say nothing");
  const tools = translateTools(body.tools, dropped, keepsToolType);
  const choice = asObject(body.tool_choice);
  const output = asObject(body.output_config);
  const thinking = asObject(body.thinking);
  const format = asObject(output?.format ?? body.output_format);
  const stopSequences = asList(body.stop_sequences).filter((each) => typeof each === "string");
  const chat = given({
    model: body.model,
    messages,
    max_tokens: body.max_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    top_k: body.top_k,
    stop: stopSequences.length === 0 ? undefined : stopSequences,
    reasoning_effort: output?.effort,
    thinking: thinkingSwitch(thinking?.type),
    thinking_token_budget: thinking?.type === "enabled" ? thinking.budget_tokens : undefined,
    response_format:
      format?.type === "json_schema"
        ? { type: "json_schema", json_schema: { name: "answer", schema: format.schema, strict: true } }
        : undefined,
    tools: tools.length === 0 ? undefined : tools,
    tool_choice: tools.length === 0 ? undefined : toolChoice(choice),
    parallel_tool_calls: tools.length > 0 && choice?.disable_parallel_tool_use === true ? false : undefined,
    stream: body.stream === true ? true : undefined,
    stream_options: body.stream === true ? { include_usage: true } : undefined,
  });
  const context: MessagesContext = {
    model: asText(body.model) ?? "",
    stopSequences,
    thinking: isThinking(thinking?.type) ? (thinking?.display === "omitted" ? "omitted" : "shown") : "none",
    inputTokens: estimateTokens(chat),
  };
  return { chat, dropped, context };
}

/** `POST /v1/messages/count_tokens`: an estimate, which the caller of this has to say. */
export function messageTokens(body: JsonObject): JsonObject {
  return { input_tokens: messagesToChat(body).context.inputTokens };
}

/** A refusal in Anthropic's form. */
export function messagesRefusal(error: ZephError, requestId: string | null = null): Refusal {
  return { status: error.httpStatus, body: { ...messagesError(error), request_id: requestId } };
}

/** `error` of Anthropic: in the body of a refusal and as an event of a stream. */
export function messagesError(error: ZephError): { readonly type: "error"; readonly error: JsonObject } {
  const { code, message, hint, httpStatus } = error;
  // Claude Code shortens the conversation by itself when a refusal begins like this.
  const opening = code === "context_length" ? "prompt is too long: " : "";
  return { type: "error", error: { type: errorType(httpStatus), message: `${opening}${message}. ${hint}` } };
}

function errorType(status: number): string {
  const known: Readonly<Record<number, string>> = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
  };
  return known[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

function isMeant(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

function isThinking(type: unknown): boolean {
  return type === "enabled" || type === "adaptive" || type === "between_tools";
}

/** Left to the model where the caller leaves it to the model. */
function thinkingSwitch(type: unknown): JsonObject | undefined {
  return type === "enabled" || type === "disabled" ? { type } : undefined;
}

// -- messages ------------------------------------------------------------------------------------------------------

/** Claude Code's own note to Anthropic's servers. It differs in every request, so it would spoil the prompt cache. */
const BILLING_NOTE = "x-anthropic-billing-header:";

function toMessages({ system, messages }: JsonObject, dropped: string[]): readonly JsonObject[] {
  if (!Array.isArray(messages)) throw refused("messages", "must be a list");
  const chat = conversation();
  chat.system(textOf(blocks(system, "system").filter(({ text }) => asText(text)?.startsWith(BILLING_NOTE) !== true)));
  for (const [index, value] of messages.entries()) {
    const message = asObject(value);
    const at = `messages[${index}]`;
    const content = blocks(message?.content, `${at}.content`);
    switch (message?.role) {
      case "user":
        addUser(chat, content, at, dropped);
        break;
      case "assistant":
        addAssistant(chat, content, at, dropped);
        break;
      case "system":
        chat.system(textOf(content));
        break;
      default:
        throw refused(`${at}.role`, "must be user, assistant or system");
    }
  }
  return chat.messages();
}

/** Content as blocks, a text as one of them. */
function blocks(content: unknown, at: string): readonly JsonObject[] {
  if (content === undefined || content === null || content === "") return [];
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) throw refused(at, "must be a text or a list of blocks");
  return content.map((value: unknown, index) => {
    const block = typeof value === "string" ? { type: "text", text: value } : asObject(value);
    if (block === undefined) throw refused(`${at}[${index}]`, "must be an object");
    return block;
  });
}

type Chat = ReturnType<typeof conversation>;

function addUser(chat: Chat, content: readonly JsonObject[], at: string, dropped: string[]): void {
  const rest: ContentPart[] = [];
  for (const [index, block] of content.entries()) {
    const here = `${at}.content[${index}]`;
    if (block.type === "tool_result") {
      const parts = blocks(block.content, `${here}.content`).flatMap((inner, place) =>
        contentPart(inner, `${here}.content[${place}]`, dropped),
      );
      chat.result(String(block.tool_use_id), parts, block.is_error === true);
    } else rest.push(...contentPart(block, here, dropped));
  }
  chat.user(rest);
}

function addAssistant(chat: Chat, content: readonly JsonObject[], at: string, dropped: string[]): void {
  for (const [index, block] of content.entries()) {
    switch (block.type) {
      case "text":
        chat.said(asText(block.text) ?? "");
        break;
      case "thinking":
        chat.thought(asText(block.thinking) || (unseal(block.signature) ?? ""));
        break;
      case "redacted_thinking":
        // Readable for Anthropic only.
        break;
      case "tool_use":
        chat.called({ id: String(block.id), name: String(block.name), arguments: JSON.stringify(block.input ?? {}) });
        break;
      default:
        dropped.push(`${at}.content[${index}].${String(block.type)}`);
    }
  }
}

/** Media keep their place: whether the network takes them is for its rules to say. */
function contentPart(block: JsonObject, at: string, dropped: string[]): readonly ContentPart[] {
  const { type } = block;
  switch (type) {
    case "text":
      return [{ type: "text", text: asText(block.text) ?? "" }];
    case "image":
      return [{ type: "image_url", image_url: { url: sourceUrl(block.source, at) } }];
    case "document":
      return documentParts(block, at, dropped);
    case "search_result": {
      const text = textOf(blocks(block.content, `${at}.content`));
      return [{ type: "text", text: `${String(block.title)} (${String(block.source)})\n${text}` }];
    }
    case "tool_reference":
      return [{ type: "text", text: `The tool ${String(block.tool_name)} can be called now.` }];
    default:
      dropped.push(`${at}.${String(type)}`);
      return [];
  }
}

function documentParts(block: JsonObject, at: string, dropped: string[]): readonly ContentPart[] {
  const source = asObject(block.source) ?? {};
  const heading = [block.title, block.context].filter((each) => typeof each === "string").join("\n");
  const title = heading === "" ? [] : [{ type: "text", text: heading }];
  if (source.type === "text") return [...title, { type: "text", text: asText(source.data) ?? "" }];
  if (source.type === "content") {
    const inner = blocks(source.content, `${at}.source.content`);
    return [...title, ...inner.flatMap((each, index) => contentPart(each, `${at}.source.content[${index}]`, dropped))];
  }
  return [...title, { type: "file", file: { file_data: sourceUrl(source, at) } }];
}

function sourceUrl(value: unknown, at: string): string {
  const source = asObject(value);
  if (source?.type === "base64") return `data:${String(source.media_type)};base64,${String(source.data)}`;
  if (source?.type === "url" && typeof source.url === "string") return source.url;
  throw refused(`${at}.source`, "must be base64 or a url; files stored at Anthropic are out of reach");
}

function textOf(content: readonly JsonObject[]): string {
  return content
    .map(({ text }) => asText(text) ?? "")
    .filter((text) => text !== "")
    .join("\n\n");
}

// -- tools ---------------------------------------------------------------------------------------------------------

/** Deferred tools are all shown at once: there is no tool search that could bring them in later. */
function translateTools(value: unknown, dropped: string[], keepsToolType?: (type: string) => boolean): JsonObject[] {
  return asList(value).flatMap((each, index) => {
    const tool = asObject(each) ?? {};
    const { type, name, description, input_schema: parameters, strict } = tool;
    if (typeof type === "string" && type !== "custom") {
      if (keepsToolType?.(type) === true) return [tool];
      dropped.push(`tools[${index}].${type}`);
      return [];
    }
    return [{ type: "function", function: given({ name, description, parameters, strict }) }];
  });
}

function toolChoice(choice: JsonObject | undefined): unknown {
  switch (choice?.type) {
    case "auto":
    case "none":
      return choice.type;
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name: choice.name } };
    default:
      return undefined;
  }
}
