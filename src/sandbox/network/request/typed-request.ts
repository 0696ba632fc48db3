import { GoJsonError, type GoValue, goField, parseGoJson } from "./go-json.ts";
import { CHAT_PATH, type IncomingCall } from "./incoming-call.ts";
import { type Refusal, refusal } from "./refusal.ts";

/** What the node reads from a body before it checks anything else. */
export interface TypedRequest {
  readonly model: string;
  /** As sent; 0 when absent. */
  readonly maxTokens: number;
  /** Bytes of all text content and one newline per message: what the escrow counts as prompt tokens. */
  readonly promptBytes: number;
}

const MAX_INT32 = 2 ** 31 - 1;
const MIN_INT32 = -(2 ** 31);
const INT32_FIELDS: readonly string[] = ["seed", "max_tokens", "max_completion_tokens"];
/** Fields that only `/v1/completions` types: gonka-ai/gonka public/post_completions_handler.go (v0.2.13). */
const FLOAT_FIELDS: readonly string[] = ["temperature", "top_p", "frequency_penalty", "presence_penalty"];
const COMPLETION_INT_FIELDS: readonly string[] = ["top_k"];

/** Rows 2 and 3 of the refusal table; for `/v1/completions` its own four texts. */
export function parseTypedRequest(call: IncomingCall): TypedRequest | Refusal {
  return call.path === CHAT_PATH ? parseChat(call.body) : parseCompletion(call.body);
}

export function isRefusal(value: TypedRequest | Refusal): value is Refusal {
  return "row" in value;
}

function parseChat(body: Buffer): TypedRequest | Refusal {
  let root: GoValue;
  try {
    root = parseGoJson(body);
    checkChatTypes(root);
  } catch (error) {
    if (error instanceof GoJsonError) return refusal(2, 400, `invalid chat completion request: ${error.message}`);
    throw error;
  }
  const messages = goField(root, "messages");
  if (messages?.kind !== "array" || messages.items.length === 0) return refusal(3, 400, "messages is required");
  const promptBytes = messages.items.reduce((sum, message) => sum + contentBytes(goField(message, "content")) + 1, 0);
  return { model: stringField(root, "model"), maxTokens: int32Field(root, "max_tokens"), promptBytes };
}

function parseCompletion(body: Buffer): TypedRequest | Refusal {
  let root: GoValue;
  let prompts: readonly string[];
  try {
    root = parseGoJson(body);
    checkScalars(root, "CompletionsRequest");
    checkCompletionTypes(root);
    prompts = promptList(goField(root, "prompt"));
  } catch (error) {
    if (error instanceof GoJsonError) return refusal(2, 400, "invalid request format");
    throw error;
  }
  const model = stringField(root, "model");
  if (model.trim() === "") return refusal(2, 400, "model is required");
  if (prompts.length > 1) return refusal(2, 400, "batch prompts are not supported");
  const prompt = prompts[0] ?? "";
  if (prompt.trim() === "") return refusal(2, 400, "prompt is required");
  return { model, maxTokens: int32Field(root, "max_tokens"), promptBytes: Buffer.byteLength(prompt) + 1 };
}

function promptList(prompt: GoValue | undefined): readonly string[] {
  if (prompt === undefined || prompt.kind === "null") return [];
  if (prompt.kind === "string") return [prompt.value];
  if (prompt.kind !== "array") throw new GoJsonError("prompt is neither text nor a list");
  return prompt.items.map((item) => {
    // Go reads null into an empty string.
    if (item.kind === "null") return "";
    if (item.kind !== "string") throw new GoJsonError("prompt holds something other than text");
    return item.value;
  });
}

function checkCompletionTypes(root: GoValue): void {
  if (root.kind !== "object") return;
  for (const [key, value] of root.entries) {
    const name = key.toLowerCase();
    const at = `CompletionsRequest.${name}`;
    if (value.kind === "null") continue;
    if (FLOAT_FIELDS.includes(name) && value.kind !== "number") throw typeError(value, at, "float64");
    if (COMPLETION_INT_FIELDS.includes(name)) checkInt32(value, at);
    if (name === "stream" && value.kind !== "bool") throw typeError(value, at, "bool");
    if (name === "stop") checkStop(value, at);
  }
}

function checkStop(value: GoValue, at: string): void {
  const texts = value.kind === "array" ? value.items : [value];
  for (const text of texts) checkString(text, at);
}

function checkChatTypes(root: GoValue): void {
  checkScalars(root, "OpenAiRequest");
  const messages = goField(root, "messages");
  if (messages === undefined || messages.kind === "null") return;
  if (messages.kind !== "array") throw typeError(messages, "OpenAiRequest.messages", "[]public.Message");
  for (const message of messages.items) {
    if (message.kind === "null") continue;
    if (message.kind !== "object") throw typeError(message, "OpenAiRequest.messages", "public.Message");
    const role = goField(message, "role") ?? { kind: "null" };
    checkString(role, "Message.messages.role");
    if (role.kind !== "string" || role.value === "") throw new GoJsonError("message role must be a non-empty string");
    checkContent(goField(message, "content"));
  }
}

function checkScalars(root: GoValue, struct: string): void {
  if (root.kind === "null") return;
  if (root.kind !== "object") {
    throw new GoJsonError(`json: cannot unmarshal ${root.kind} into Go value of type public.${struct}`);
  }
  for (const [key, value] of root.entries) {
    const name = key.toLowerCase();
    if (name === "model") checkString(value, `${struct}.model`);
    if (INT32_FIELDS.includes(name)) checkInt32(value, `${struct}.${name}`);
  }
}

function checkContent(content: GoValue | undefined): void {
  if (content === undefined || content.kind === "null" || content.kind === "string") return;
  const isList = content.kind === "array" && content.items.every(isTypedPart);
  if (!isList) throw new GoJsonError("message content must be a string or an array of typed content parts");
}

/** A part without a type, or null, is one to Go's decoder; the message policy refuses it afterwards. */
function isTypedPart(part: GoValue): boolean {
  if (part.kind === "null") return true;
  if (part.kind !== "object") return false;
  return ["type", "text"].every((name) => ["string", "null"].includes(goField(part, name)?.kind ?? "null"));
}

function checkString(value: GoValue, field: string): void {
  if (value.kind !== "string" && value.kind !== "null") throw typeError(value, field, "string");
}

function checkInt32(value: GoValue, field: string): void {
  if (value.kind === "null") return;
  if (value.kind !== "number") throw typeError(value, field, "int32");
  const number = Number(value.raw);
  if (!/^-?\d+$/.test(value.raw) || number > MAX_INT32 || number < MIN_INT32) {
    throw new GoJsonError(`json: cannot unmarshal number ${value.raw} into Go struct field ${field} of type int32`);
  }
}

function typeError(value: GoValue, field: string, type: string): GoJsonError {
  return new GoJsonError(`json: cannot unmarshal ${value.kind} into Go struct field ${field} of type ${type}`);
}

function stringField(root: GoValue, name: string): string {
  const value = goField(root, name);
  return value?.kind === "string" ? value.value : "";
}

function int32Field(root: GoValue, name: string): number {
  const value = goField(root, name);
  return value?.kind === "number" ? Number(value.raw) : 0;
}

function contentBytes(content: GoValue | undefined): number {
  if (content?.kind === "string") return Buffer.byteLength(content.value);
  if (content?.kind !== "array") return 0;
  return content.items.reduce((sum, part) => sum + Buffer.byteLength(stringField(part, "text")), 0);
}
