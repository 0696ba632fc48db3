import { asObject } from "../../network-rules/as-object.ts";
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

type FieldType = "string" | "int32" | "float64" | "bool";

/** Fields that both doors type: gonka-ai/gonka public/entities.go (v0.2.13). */
const SHARED_FIELDS: Readonly<Record<string, FieldType>> = {
  model: "string",
  seed: "int32",
  max_tokens: "int32",
  max_completion_tokens: "int32",
};

/** And those of `/v1/completions` alone: gonka-ai/gonka public/post_completions_handler.go (v0.2.13). */
const COMPLETION_FIELDS: Readonly<Record<string, FieldType>> = {
  ...SHARED_FIELDS,
  temperature: "float64",
  top_p: "float64",
  frequency_penalty: "float64",
  presence_penalty: "float64",
  top_k: "int32",
  stream: "bool",
};

/** Rows 2 and 3 of the refusal table; for `/v1/completions` its own four texts. */
export function parseTypedRequest(call: IncomingCall): TypedRequest | Refusal {
  return call.path === CHAT_PATH ? parseChat(call.body) : parseCompletion(call.body);
}

export function isRefusal(value: TypedRequest | Refusal): value is Refusal {
  return "row" in value;
}

/** What Go's decoder would not take, in about its words. */
class Untyped extends Error {}

function parseChat(body: Buffer): TypedRequest | Refusal {
  try {
    const root = readFields(body, "OpenAiRequest", SHARED_FIELDS);
    const messages = readMessages(root.messages);
    if (messages.length === 0) return refusal(3, 400, "messages is required");
    const promptBytes = messages.reduce<number>((sum, message) => sum + contentBytes(message) + 1, 0);
    return { ...toTyped(root), promptBytes };
  } catch (error) {
    if (error instanceof Untyped) return refusal(2, 400, `invalid chat completion request: ${error.message}`);
    throw error;
  }
}

function parseCompletion(body: Buffer): TypedRequest | Refusal {
  let root: Fields;
  let prompts: readonly string[];
  try {
    root = readFields(body, "CompletionsRequest", COMPLETION_FIELDS);
    // Go reads null into an empty string.
    prompts = readTexts(root.prompt, "prompt").map((text) => text ?? "");
    readTexts(root.stop, "stop");
  } catch (error) {
    if (error instanceof Untyped) return refusal(2, 400, "invalid request format");
    throw error;
  }
  const typed = toTyped(root);
  if (typed.model.trim() === "") return refusal(2, 400, "model is required");
  if (prompts.length > 1) return refusal(2, 400, "batch prompts are not supported");
  const prompt = prompts[0] ?? "";
  if (prompt.trim() === "") return refusal(2, 400, "prompt is required");
  return { ...typed, promptBytes: Buffer.byteLength(prompt) + 1 };
}

type Fields = Readonly<Record<string, unknown>>;

/** The fields of the body by their names in lower case, as Go matches them; those of the table have its types. */
function readFields(body: Buffer, struct: string, types: Readonly<Record<string, FieldType>>): Fields {
  const text = body.toString("utf8");
  const value = parseJson(text);
  if (value === null) return {};
  const object = asObject(value);
  if (object === undefined) {
    throw new Untyped(`json: cannot unmarshal ${kindOf(value)} into Go value of type public.${struct}`);
  }
  const fields = Object.fromEntries(Object.entries(object).map(([name, field]) => [name.toLowerCase(), field]));
  for (const [name, type] of Object.entries(types)) {
    const field = fields[name];
    const isFraction = type === "int32" && spellsFraction(text, name);
    if (field === undefined || field === null || (isOfType(field, type) && !isFraction)) continue;
    const shown = type === "int32" && typeof field === "number" ? `number ${field}` : kindOf(field);
    throw new Untyped(`json: cannot unmarshal ${shown} into Go struct field ${struct}.${name} of type ${type}`);
  }
  return fields;
}

/** `maxNestingDepth` of Go's encoding/json. */
const MAX_DEPTH = 10_000;

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Untyped(text.trim() === "" ? "unexpected end of JSON input" : "invalid JSON");
  }
  if (nesting(text) > MAX_DEPTH) throw new Untyped("exceeded max depth");
  return value;
}

/** Of a JSON text. Counted in the text: walking a value that is nested so deep would overflow. */
function nesting(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isText = false;
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at];
    if (character === "\\") at += 1;
    else if (character === '"') isText = !isText;
    else if (!isText && (character === "[" || character === "{")) deepest = Math.max(deepest, ++depth);
    else if (!isText && (character === "]" || character === "}")) depth -= 1;
  }
  return deepest;
}

function isOfType(value: unknown, type: FieldType): boolean {
  if (type === "int32") return Number.isInteger(value) && Math.abs(Number(value) + 0.5) < 2 ** 31;
  return typeof value === (type === "float64" ? "number" : type === "bool" ? "boolean" : "string");
}

/** `128.0` and `1e3` are no integers to Go. A quote inside a text has a backslash before it, so no text is meant here. */
function spellsFraction(text: string, name: string): boolean {
  return new RegExp(`"${name}"\\s*:\\s*-?\\d+(?:\\.|e)`, "i").test(text);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function readMessages(messages: unknown): readonly unknown[] {
  if (messages === undefined || messages === null) return [];
  if (!Array.isArray(messages)) {
    throw new Untyped(
      `json: cannot unmarshal ${kindOf(messages)} into Go struct field OpenAiRequest.messages of type []public.Message`,
    );
  }
  for (const message of messages.filter((each) => each !== null)) {
    const { role, content } = asObject(message) ?? {};
    if (typeof role !== "string" || role === "") throw new Untyped("message role must be a non-empty string");
    const isText = content === undefined || content === null || typeof content === "string";
    if (!isText && !(Array.isArray(content) && content.every(isTypedPart))) {
      throw new Untyped("message content must be a string or an array of typed content parts");
    }
  }
  return messages;
}

/** A part without a type, or null, is one to Go's decoder; the message policy refuses it afterwards. */
function isTypedPart(part: unknown): boolean {
  const fields = part === null ? {} : asObject(part);
  return fields !== undefined && [fields.type, fields.text].every((each) => typeof (each ?? "") === "string");
}

function readTexts(value: unknown, name: string): readonly (string | null)[] {
  const texts: readonly unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return texts.map((text) => {
    if (typeof text === "string" || text === null) return text;
    throw new Untyped(`${name} holds something other than text`);
  });
}

function toTyped({ model, max_tokens: maxTokens }: Fields) {
  return {
    model: typeof model === "string" ? model : "",
    maxTokens: typeof maxTokens === "number" ? maxTokens : 0,
  };
}

function contentBytes(message: unknown): number {
  const { content } = asObject(message) ?? {};
  if (typeof content === "string") return Buffer.byteLength(content);
  if (!Array.isArray(content)) return 0;
  return content.reduce<number>((sum, part) => {
    const { text } = asObject(part) ?? {};
    return sum + (typeof text === "string" ? Buffer.byteLength(text) : 0);
  }, 0);
}
