import { asObject, type JsonObject } from "../../base/json.ts";
import type { ZephError } from "../../errors.ts";
import {
  asList,
  asText,
  type ContentPart,
  chatToolName,
  conversation,
  customArguments,
  customAsFunction,
  estimateTokens,
  given,
  type NamedTool,
  type Refusal,
  refused,
  type Stamps,
  TOOL_SEARCH,
  type ToolNames,
  type Translation,
  unseal,
} from "./dialect.ts";

/*
 * The Responses API on a chat model: POST /v1/responses.
 * Sources: Open Responses specification 2026-04-24 (openresponses/openresponses, public/openapi/openapi.json), the types
 * of openai 6.49 (npm), and requests of Codex 0.171, read 2026-11-28. Namespace and custom tools, the search for tools,
 * `compaction_trigger` and `item_reference` are OpenAI's own additions, which Codex and the AI SDK use.
 */

export interface ResponsesContext {
  /** The caller's request, for the fields that the answer repeats. */
  readonly request: JsonObject;
  /** Items the model is shown, with those of the earlier responses. */
  readonly input: readonly JsonObject[];
  readonly toolNames: ToolNames;
  /** Tools of the request that were kept, in the caller's own form. */
  readonly tools: readonly JsonObject[];
  /** The caller asked for the conversation in short (`compaction_trigger`): the text of the answer is a summary. */
  readonly isCompaction: boolean;
}

export interface ResponsesOptions {
  readonly memory: ResponseMemory;
  readonly stamps: Stamps;
  /** Kinds of tools besides functions that the broker itself serves. */
  readonly keepsToolType?: ((type: string) => boolean) | undefined;
}

/** Fields that mean the same in a chat request. */
const SAME_FIELDS = [
  "model",
  "temperature",
  "top_p",
  "presence_penalty",
  "frequency_penalty",
  "parallel_tool_calls",
  "prompt_cache_key",
  "safety_identifier",
] as const;

/** Fields that ask for something a chat model has none of. Left out, the answer is still the one that was asked for. */
const DROPPED_FIELDS = ["max_tool_calls", "top_logprobs", "context_management", "moderation"] as const;

/** What a model is told that is to write a conversation in short. */
export const SUMMARY_REQUEST = `Write a summary of this conversation that another model can go on from, with nothing else before it. Keep:
- what the user wants, in the user's own terms, and every condition the user set;
- what was decided and why, what was done, and what came of it;
- names that will be needed again: files, functions, commands, addresses, numbers, exact error messages;
- what is unfinished, and the next step.
Write the summary only.`;

/** A request of the Responses API as a chat request. Throws `invalid_request` where the answer could not be the one asked for. */
export function responsesToChat(body: JsonObject, options: ResponsesOptions): Translation<ResponsesContext> {
  for (const field of ["conversation", "prompt"]) {
    if (body[field] !== undefined && body[field] !== null) {
      throw refused(field, "is stored at OpenAI, which this endpoint does not reach; send the input itself");
    }
  }
  if (body.background === true) throw refused("background", "answers come at once here; leave it out and use stream");
  const dropped: string[] = DROPPED_FIELDS.filter((name) => isMeant(body[name]));
  if (body.truncation === "auto") dropped.push("truncation");
  if (asObject(body.text)?.verbosity !== undefined) dropped.push("text.verbosity");
  if (asList(body.include).includes("message.output_text.logprobs")) dropped.push("include.logprobs");

  const input = inputItems(body, options.memory);
  const isCompaction = input.at(-1)?.type === "compaction_trigger";
  const { chatTools, tools, toolNames } = translateTools(body.tools, input, dropped, options.keepsToolType);
  const choice = toolChoice(body.tool_choice, chatTools, toolNames);
  const hasTools = choice.tools.length > 0 && !isCompaction;
  const messages = toMessages(asText(body.instructions) ?? "", input, dropped);
  if (messages.length === 0) throw refused("input", "is empty; send a text or a list of items");
  const chat = given({
    ...Object.fromEntries(SAME_FIELDS.map((name) => [name, body[name]])),
    messages,
    max_tokens: body.max_output_tokens,
    reasoning_effort: asObject(body.reasoning)?.effort,
    response_format: responseFormat(asObject(body.text)?.format),
    tools: hasTools ? choice.tools : undefined,
    tool_choice: hasTools ? choice.choice : undefined,
    stream: body.stream === true ? true : undefined,
    stream_options: body.stream === true ? { include_usage: true } : undefined,
  });
  return { chat, dropped, context: { request: body, input, toolNames, tools, isCompaction } };
}

/** `POST /v1/responses/input_tokens`: an estimate, which the caller of this has to say. */
export function responseInputTokens(body: JsonObject, options: ResponsesOptions): JsonObject {
  return { object: "response.input_tokens", input_tokens: estimateTokens(responsesToChat(body, options).chat) };
}

/**
 * A refusal in OpenAI's form. Codex repeats whatever is refused with a status it does not take for final (only 400 and
 * 429 are: codex-rs/protocol/src/error.rs, `is_retryable`), with the whole conversation each time. So it gets 400 for
 * what another try cannot change.
 */
export function responsesRefusal(
  error: ZephError,
  { isCodex = false, param = null }: { readonly isCodex?: boolean; readonly param?: string | null | undefined } = {},
): Refusal {
  const { httpStatus, retryable } = error;
  const status = isCodex && !retryable && httpStatus !== 429 ? 400 : httpStatus;
  return {
    status,
    body: { error: { message: words(error), type: errorType(httpStatus), code: errorCode(error), param } },
  };
}

/** Whether a request comes from Codex. @param headers names in lower case */
export function isCodex(headers: Pick<Headers, "get">): boolean {
  return /^codex/i.test(headers.get("originator") ?? headers.get("user-agent") ?? "");
}

function words({ message, hint }: ZephError): string {
  return `${message}. ${hint}`;
}

function errorCode({ code }: ZephError): string {
  return code === "context_length" ? "context_length_exceeded" : code;
}

function errorType(status: number): string {
  if (status >= 500) return "server_error";
  const known: Readonly<Record<number, string>> = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
  };
  return known[status] ?? "invalid_request_error";
}

function isMeant(value: unknown): boolean {
  return value !== undefined && value !== null && value !== 0;
}

// -- items ---------------------------------------------------------------------------------------------------------

/** The items of this request behind those of the response it follows. */
function inputItems(body: JsonObject, memory: ResponseMemory): readonly JsonObject[] {
  const previousId = body.previous_response_id;
  const earlier = previousId === undefined || previousId === null ? [] : earlierItems(String(previousId), memory);
  const { input } = body;
  if (typeof input === "string") return [...earlier, { type: "message", role: "user", content: input }];
  if (input !== undefined && input !== null && !Array.isArray(input)) {
    throw refused("input", "must be a text or a list of items");
  }
  const own = asList(input).map((value, index) => {
    const item = asObject(value);
    if (item === undefined) throw refused(`input[${index}]`, "must be an object");
    return item.type === "item_reference" || (item.type === undefined && item.role === undefined)
      ? referredItem(item, index, memory)
      : item;
  });
  return [...earlier, ...own];
}

function earlierItems(id: string, memory: ResponseMemory): readonly JsonObject[] {
  const previous = memory.find(id);
  if (previous === undefined) throw refused("previous_response_id", `"${shown(id)}" ${GONE}`);
  return [...previous.input, ...(previous.document.output as readonly JsonObject[])];
}

function referredItem({ id }: JsonObject, index: number, memory: ResponseMemory): JsonObject {
  const item = memory.item(String(id));
  if (item === undefined) throw refused(`input[${index}]`, `the item "${shown(String(id))}" ${GONE}`);
  return item;
}

const GONE =
  "is not in memory: only the latest responses are kept, and none across restarts. Send the whole conversation as input";

function shown(id: string): string {
  return id.slice(0, 64);
}

/** Items as the messages of a chat. */
function toMessages(instructions: string, items: readonly JsonObject[], dropped: string[]): readonly JsonObject[] {
  const chat = conversation();
  chat.system(instructions);
  for (const [index, item] of items.entries()) {
    const at = `input[${index}]`;
    switch (item.type ?? "message") {
      case "message":
        addMessage(chat, item, at);
        break;
      case "reasoning":
        chat.thought(thoughtOf(item));
        break;
      case "function_call":
        chat.called({
          id: String(item.call_id),
          name: chatToolName(String(item.name), asText(item.namespace)),
          arguments: asText(item.arguments) ?? "{}",
        });
        break;
      case "custom_tool_call":
        chat.called({
          id: String(item.call_id),
          name: chatToolName(String(item.name), asText(item.namespace)),
          arguments: customArguments(asText(item.input) ?? ""),
        });
        break;
      case "function_call_output":
      case "custom_tool_call_output":
        chat.result(String(item.call_id), contentParts(item.output, `${at}.output`));
        break;
      case "tool_search_call":
        if (asText(item.call_id) === undefined) break;
        chat.called({ id: String(item.call_id), name: TOOL_SEARCH, arguments: argumentsText(item.arguments) });
        break;
      case "tool_search_output":
        // The tools themselves stand with the others.
        if (asText(item.call_id) === undefined) break;
        chat.result(String(item.call_id), [{ type: "text", text: foundTools(item.tools) }]);
        break;
      case "additional_tools":
        break;
      case "compaction_trigger":
        chat.user([{ type: "text", text: SUMMARY_REQUEST }]);
        break;
      case "compaction": {
        const summary = unseal(item.encrypted_content);
        if (summary === undefined) dropped.push(`${at}.compaction`);
        else chat.user([{ type: "text", text: `Summary of the conversation so far:\n${summary}` }]);
        break;
      }
      default:
        dropped.push(`${at}.${String(item.type)}`);
    }
  }
  return chat.messages();
}

function argumentsText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? {});
}

function foundTools(value: unknown): string {
  const names = namedTools(value, "", undefined).map(({ tool, namespace }) =>
    chatToolName(String(tool.name), namespace),
  );
  return names.length === 0 ? "No tool was found." : `These tools can be called now: ${names.join(", ")}`;
}

function addMessage(chat: ReturnType<typeof conversation>, item: JsonObject, at: string): void {
  const parts = contentParts(item.content, `${at}.content`);
  switch (item.role) {
    case "user":
      chat.user(parts);
      break;
    case "system":
    case "developer":
      chat.system(textOf(parts));
      break;
    case "assistant":
      chat.said(textOf(parts));
      break;
    default:
      throw refused(`${at}.role`, "must be user, assistant, system or developer");
  }
}

function contentParts(content: unknown, at: string): readonly ContentPart[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (content === undefined || content === null) return [];
  if (!Array.isArray(content)) throw refused(at, "must be a text or a list of parts");
  return content.map((value: unknown, index) => contentPart(value, `${at}[${index}]`));
}

/** Media keep their place: whether the network takes them is for its rules to say. */
function contentPart(value: unknown, at: string): ContentPart {
  const part = asObject(value);
  if (part === undefined) throw refused(at, "must be an object");
  switch (part.type) {
    case "input_text":
    case "output_text":
    case "text":
    case "summary_text":
    case "reasoning_text":
      return { type: "text", text: asText(part.text) ?? "" };
    case "refusal":
      return { type: "text", text: asText(part.refusal) ?? "" };
    case "input_image": {
      const url = asText(part.image_url);
      if (url === undefined) throw refused(at, "must have an image_url; files stored at OpenAI are out of reach");
      return { type: "image_url", image_url: given({ url, detail: part.detail }) };
    }
    case "input_file":
      return { type: "file", file: given({ filename: part.filename, file_data: part.file_data ?? part.file_url }) };
    case "input_audio":
      return { type: "input_audio", input_audio: part.input_audio };
    case "input_video":
      return { type: "video_url", video_url: { url: part.video_url } };
    default:
      throw refused(`${at}.type`, "is not a kind of content this endpoint knows");
  }
}

function textOf(parts: readonly ContentPart[]): string {
  return parts.map((part) => asText(part.text) ?? "").join("\n\n");
}

function thoughtOf({ encrypted_content: sealed, content, summary }: JsonObject): string {
  const texts = (parts: unknown) => asList(parts).map((part) => asText(asObject(part)?.text) ?? "");
  return unseal(sealed) ?? ([texts(content), texts(summary)].find((each) => each.length > 0) ?? []).join("\n");
}

// -- tools and formats -----------------------------------------------------------------------------------------------

interface PlacedTool {
  readonly tool: JsonObject;
  readonly at: string;
  readonly namespace: string | undefined;
}

/** Tools one by one, those inside a namespace with its name. */
function namedTools(value: unknown, at: string, namespace: string | undefined): readonly PlacedTool[] {
  return asList(value).flatMap((each, index) => {
    const tool = asObject(each) ?? {};
    const here = `${at}[${index}]`;
    return tool.type === "namespace"
      ? namedTools(tool.tools, `${here}.tools`, asText(tool.name))
      : [{ tool, at: here, namespace }];
  });
}

/** The tools of the request and those that came with its items: handed in later, or found by a search. */
function translateTools(
  value: unknown,
  input: readonly JsonObject[],
  dropped: string[],
  keepsToolType?: (type: string) => boolean,
) {
  const chatTools: JsonObject[] = [];
  const toolNames = new Map<string, NamedTool>();
  const inItems = input.flatMap(({ type, tools }, index) =>
    type === "additional_tools" || type === "tool_search_output"
      ? namedTools(tools, `input[${index}].tools`, undefined)
      : [],
  );
  const lost = new Set<unknown>();
  for (const { tool, at, namespace } of [...namedTools(value, "tools", undefined), ...inItems]) {
    const named = namedTool(tool, namespace);
    if (named !== undefined) {
      const name = chatToolName(named.name, namespace);
      if (!toolNames.has(name)) chatTools.push({ type: "function", function: definition(tool, name) });
      toolNames.set(name, named);
    } else if (typeof tool.type === "string" && keepsToolType?.(tool.type) === true) chatTools.push(tool);
    else {
      dropped.push(`${at}.${String(tool.type)}`);
      lost.add(tool);
    }
  }
  const tools = asList(value).flatMap((each) => {
    const tool = asObject(each);
    if (tool === undefined || lost.has(tool)) return [];
    return [tool.type === "function" ? { description: null, parameters: null, strict: null, ...tool } : tool];
  });
  return { chatTools, tools, toolNames };
}

function namedTool({ type, name, execution }: JsonObject, namespace: string | undefined): NamedTool | undefined {
  if (type === "tool_search" && execution === "client") return { kind: "search", name: TOOL_SEARCH, namespace };
  if (typeof name !== "string" || (type !== "function" && type !== "custom")) return undefined;
  return { kind: type, name, namespace };
}

function definition(tool: JsonObject, name: string): JsonObject {
  if (tool.type === "custom") return customAsFunction(name, tool);
  const { description, parameters, strict } = tool;
  return given({ name, description, parameters, strict });
}

/** The choice, and the tools that are left when it allows some of them only. */
function toolChoice(value: unknown, tools: readonly JsonObject[], names: ToolNames) {
  const choice = asObject(value);
  if (choice === undefined) return { choice: value, tools };
  if (choice.type === "allowed_tools") {
    const allowed = new Set(asList(choice.tools).map((tool) => chosenName(asObject(tool) ?? {})));
    const left = tools.filter((tool) => allowed.has(asText(asObject(tool.function)?.name)));
    return { choice: choice.mode ?? "auto", tools: left };
  }
  const name = chosenName(choice);
  // A tool that was dropped cannot be chosen.
  const isThere = name !== undefined && names.has(name);
  return { choice: isThere ? { type: "function", function: { name } } : "auto", tools };
}

function chosenName({ name, namespace }: JsonObject): string | undefined {
  return typeof name === "string" ? chatToolName(name, asText(namespace)) : undefined;
}

function responseFormat(value: unknown): JsonObject | undefined {
  const format = asObject(value);
  if (format === undefined || format.type === "text") return undefined;
  if (format.type !== "json_schema") return format;
  const { name, description, schema, strict } = format;
  return { type: "json_schema", json_schema: given({ name: name ?? "answer", description, schema, strict }) };
}

/** A response that later requests may refer to. */
export interface KeptResponse {
  readonly id: string;
  /** Everything the model was shown, as items; without the instructions, which belong to one request only. */
  readonly input: readonly JsonObject[];
  readonly document: JsonObject;
}

/** Where responses with `store` are kept for `previous_response_id` and `item_reference`. */
export interface ResponseMemory {
  keep(response: KeptResponse): void;
  find(id: string): KeptResponse | undefined;
  /** An item of a kept response by its id. */
  item(id: string): JsonObject | undefined;
  forget(id: string): boolean;
}

/**
 * Keeps the latest responses in memory: nothing reaches the disk, and all are gone when the program ends. The oldest go
 * first. A conversation of many turns counts in full for each of them.
 */
export function responseMemory({ maxResponses = 256, maxBytes = 64 * 1024 * 1024 } = {}): ResponseMemory {
  const kept = new Map<string, { readonly response: KeptResponse; readonly bytes: number }>();
  const items = new Map<string, { readonly item: JsonObject; readonly owner: string }>();
  let bytes = 0;

  function forget(id: string): boolean {
    const entry = kept.get(id);
    if (entry === undefined) return false;
    kept.delete(id);
    bytes -= entry.bytes;
    for (const item of ownItems(entry.response)) {
      if (items.get(String(item.id))?.owner === id) items.delete(String(item.id));
    }
    return true;
  }

  return {
    keep(response) {
      forget(response.id);
      const size = Buffer.byteLength(JSON.stringify([response.input, response.document]));
      if (size > maxBytes) return;
      kept.set(response.id, { response, bytes: size });
      bytes += size;
      for (const item of ownItems(response)) {
        const id = asText(item.id);
        if (id !== undefined) items.set(id, { item, owner: response.id });
      }
      for (const oldest of kept.keys()) {
        if (kept.size <= maxResponses && bytes <= maxBytes) break;
        forget(oldest);
      }
    },
    find: (id) => kept.get(id)?.response,
    item: (id) => items.get(id)?.item,
    forget,
  };
}

/** What the caller sent and what came back: both can be referred to. */
export function ownItems({ input, document }: KeptResponse): readonly JsonObject[] {
  return [...input, ...(document.output as readonly JsonObject[])];
}
