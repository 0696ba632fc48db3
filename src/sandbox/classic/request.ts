import { createHash } from "node:crypto";
import type { ChainAccount, ChainStandIn } from "../chain.ts";
import { decodeBech32, parseTimestampHeader, signingInput, verifySignature } from "../crypto.ts";
import type { SandboxModel } from "../engine.ts";
import { asObject } from "../rules.ts";
import { CHAT_PATH, type IncomingCall, type Refusal, type ReplayMemory, refusal } from "./node.ts";

/** Everything the checks look at. */
export interface CheckContext {
  readonly chain: ChainStandIn;
  readonly call: IncomingCall;
  readonly typed: TypedRequest;
  readonly models: readonly SandboxModel[];
  readonly replay: ReplayMemory;
  /** The address the signature must name: the node's own, or what X-Transfer-Address says. */
  readonly transferAddress: string;
}

/** One line of the refusal table, checked in the order of the table. */
export interface Check {
  readonly row: number;
  readonly run: (context: CheckContext) => Refusal | undefined;
}

const DEFAULT_WINDOW_SECONDS = 10;
const NANOS_PER_SECOND = 1_000_000_000n;
const NANOS_PER_MS = 1_000_000n;
const ADDRESS_BYTES = 20;

/** What the escrow assumes when the request names no max_tokens. */
const DEFAULT_MAX_TOKENS = 5_000;

/** Rows 4 to 7: before it is decided whether the node acts as transfer agent or executor. */
export const ACCESS_CHECKS: readonly Check[] = [
  { row: 4, run: checkTransferAgent },
  {
    row: 5,
    run: ({ call }) => (call.header("authorization") ? undefined : refusal(5, 401, "Authorization is required")),
  },
  { row: 6, run: ({ typed }) => (typed.model === "" ? refusal(6, 400, "No model specified") : undefined) },
  { row: 7, run: checkDeveloper },
];

/** Rows 8 to 16: the transfer agent's own checks. After the last one the escrow is taken. */
export const TRANSFER_CHECKS: readonly Check[] = [
  { row: 8, run: checkPolicy },
  { row: 9, run: checkAccount },
  { row: 10, run: checkSignature },
  { row: 11, run: checkModel },
  { row: 12, run: checkBalance },
  { row: 13, run: checkTimestamp },
  { row: 14, run: checkReplay },
  // Capacity (15) and the choice of an executor (16) fail only by a fault.
  { row: 15, run: () => undefined },
  { row: 16, run: () => undefined },
];

/** Rows 9, 10 and 20, for a request that looks as if another node had forwarded it. */
export const EXECUTOR_CHECKS: readonly Check[] = [
  { row: 9, run: checkAccount },
  { row: 10, run: checkSignature },
  // No node of the sandbox forwards over HTTP, so no transfer agent can have signed it.
  { row: 20, run: () => refusal(20, 401, "Unable to validate request against TransferSignature:invalid signature") },
];

function checkTransferAgent({ chain, transferAddress }: CheckContext): Refusal | undefined {
  const allowed = chain.params.allowedTransferAgents;
  if (allowed.length === 0 || allowed.includes(transferAddress)) return undefined;
  return refusal(4, 403, "Transfer Agent not allowed");
}

function checkDeveloper({ chain, call }: CheckContext): Refusal | undefined {
  const access = chain.params.developerAccess;
  if (access === undefined || chain.blocks.latest().height >= access.untilBlockHeight) return undefined;
  if (access.allowed.includes(call.header("x-requester-address") ?? "")) return undefined;
  return refusal(7, 403, `inference requests are restricted until block height ${access.untilBlockHeight}`);
}

function checkPolicy({ call }: CheckContext): Refusal | undefined {
  const body: unknown = JSON.parse(call.body.toString("utf8"));
  // A completion has none as a rule; one that does is held to the same policy.
  const messages = typeof body === "object" && body !== null && "messages" in body ? body.messages : [];
  const problem = Array.isArray(messages) ? checkMessages(messages) : "messages must be an array";
  return problem === undefined ? undefined : refusal(8, 400, problem);
}

function checkAccount({ chain, call }: CheckContext): Refusal | undefined {
  const address = call.header("x-requester-address") ?? "";
  const decoded = decodeBech32(address);
  if (decoded === undefined || decoded.prefix !== chain.prefix || decoded.bytes.length !== ADDRESS_BYTES) {
    return refusal(9, 500, "rpc error: code = InvalidArgument desc = invalid address");
  }
  const account = chain.accounts.find(address);
  if (account === undefined) {
    return refusal(9, 500, "rpc error: code = NotFound desc = account not found: key not found");
  }
  if (account.publicKey !== undefined) return undefined;
  return refusal(9, 500, "rpc error: code = NotFound desc = account has no public key");
}

function checkSignature(context: CheckContext): Refusal | undefined {
  const problem = signatureProblem(context, context.transferAddress);
  return problem === undefined ? undefined : refusal(10, 401, `Unable to validate request against PubKey:${problem}`);
}

/** What is wrong with the call's signature if it were made for `transferAddress`; undefined when it is good. */
export function signatureProblem({ chain, call }: CheckContext, transferAddress: string): string | undefined {
  const publicKey = requester(chain, call)?.publicKey;
  if (publicKey === undefined) return "invalid signature";
  const timestampNanos = parseTimestampHeader(call.header("x-timestamp"));
  const input = signingInput({ body: call.body, timestampNanos, transferAddress });
  return verifySignature(publicKey, input, call.header("authorization") ?? "");
}

function checkModel({ models, typed }: CheckContext): Refusal | undefined {
  return models.some((model) => model.id === typed.model) ? undefined : refusal(11, 404, "model not found");
}

function checkBalance({ chain, call, typed }: CheckContext): Refusal | undefined {
  const balance = requester(chain, call)?.balanceNgonka ?? 0n;
  return escrowNgonka(chain, typed) > balance ? refusal(12, 402, "Insufficient balance") : undefined;
}

function checkTimestamp({ chain, call }: CheckContext): Refusal | undefined {
  const { timestampExpirationSeconds, timestampAdvanceSeconds } = chain.params;
  const blockNanos = BigInt(chain.blocks.latest().timeMs) * NANOS_PER_MS;
  const offsetNanos = blockNanos - parseTimestampHeader(call.header("x-timestamp"));
  if (offsetNanos > windowNanos(timestampExpirationSeconds)) return refusal(13, 400, "signature is too old");
  if (offsetNanos < -windowNanos(timestampAdvanceSeconds)) return refusal(13, 400, "signature is in the future");
  return undefined;
}

function checkReplay({ chain, call, replay }: CheckContext): Refusal | undefined {
  const repeated = replay.isRepeated(call.header("authorization") ?? "", "transfer", {
    height: chain.blocks.latest().height,
    expirationSeconds: chain.params.timestampExpirationSeconds,
  });
  return repeated ? refusal(14, 400, "AuthKey has already been used for a transfer request") : undefined;
}

function windowNanos(seconds: number): bigint {
  return BigInt(seconds === 0 ? DEFAULT_WINDOW_SECONDS : seconds) * NANOS_PER_SECOND;
}

function requester(chain: ChainStandIn, call: IncomingCall): ChainAccount | undefined {
  return chain.accounts.find(call.header("x-requester-address") ?? "");
}

/** What MsgStartInference takes: prompt bytes count as tokens, and only `max_tokens` limits the answer. */
export function escrowNgonka(chain: ChainStandIn, typed: TypedRequest): bigint {
  const maxTokens = typed.maxTokens === 0 ? DEFAULT_MAX_TOKENS : typed.maxTokens;
  return BigInt(typed.promptBytes + maxTokens) * chain.params.pricePerTokenNgonka;
}

/** Groups the attempts of one logical request. */
export function bodySha256(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}

/** What the node reads from a body before it checks anything else. */
interface TypedRequest {
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

/**
 * Which messages a node accepts since v0.2.12: rule names of gonka-ai/gonka
 * decentralized-api/completionapi/request_validation.go at 8a35022b.
 * @returns undefined when the messages are fine, else the node's words
 */
export function checkMessages(messages: readonly unknown[]): string | undefined {
  const open = new Set<string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    const problem = isFields(message) ? checkMessage(message, at, open) : `${at} must be an object`;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkMessage(message: Fields, at: string, open: Set<string>): string | undefined {
  const roleProblem = textProblem(message, "role");
  if (roleProblem !== undefined) return `${at}.role: ${roleProblem}`;
  switch (message.role) {
    case "developer":
    case "system":
    case "user":
      return forbidden(message, at, ["tool_calls", "tool_call_id", "function_call"]) ?? requiredContent(message, at);
    case "assistant":
      return checkAssistant(message, at, open);
    case "tool":
      return (
        forbidden(message, at, ["tool_calls", "function_call"]) ??
        checkToolAnswer(message, at, open) ??
        requiredContent(message, at)
      );
    case "function":
      return (
        forbidden(message, at, ["tool_calls", "tool_call_id", "function_call"]) ??
        prefixed(`${at}.name: `, textProblem(message, "name")) ??
        requiredContent(message, at)
      );
    default:
      return `${at}.role has unsupported value ${JSON.stringify(message.role)}`;
  }
}

function checkAssistant(message: Fields, at: string, open: Set<string>): string | undefined {
  const calls = message.tool_calls;
  const problem =
    forbidden(message, at, ["tool_call_id"]) ??
    ("tool_calls" in message ? checkToolCalls(calls, `${at}.tool_calls`) : undefined) ??
    ("function_call" in message ? checkFunctionCall(message.function_call, `${at}.function_call`) : undefined);
  if (problem !== undefined) return problem;
  const content = message.content;
  if (content === undefined || content === null) {
    if (!("tool_calls" in message) && !("function_call" in message)) {
      return `${at}.content: is required unless tool_calls or function_call is provided`;
    }
  } else {
    const contentIssue = contentProblem(content);
    if (contentIssue !== undefined) return `${at}.content: ${contentIssue}`;
  }
  if (Array.isArray(calls)) for (const call of calls) open.add(String(call.id));
  return undefined;
}

function checkToolAnswer(message: Fields, at: string, open: Set<string>): string | undefined {
  const problem = textProblem(message, "tool_call_id");
  if (problem !== undefined) return `${at}.tool_call_id: ${problem}`;
  if (open.delete(String(message.tool_call_id))) return undefined;
  return `${at}.tool_call_id does not match any previous assistant tool_calls`;
}

function checkToolCalls(calls: unknown, at: string): string | undefined {
  if (!Array.isArray(calls)) return `${at} must be an array`;
  if (calls.length === 0) return `${at} must not be empty`;
  const ids = new Set<unknown>();
  for (const [index, call] of calls.entries()) {
    const problem = checkToolCall(call, `${at}[${index}]`, ids);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkToolCall(call: unknown, at: string, ids: Set<unknown>): string | undefined {
  if (!isFields(call)) return `${at} must be an object`;
  const idProblem = textProblem(call, "id");
  if (idProblem !== undefined) return `${at}.id: ${idProblem}`;
  if (ids.has(call.id)) return `${at}.id is duplicated`;
  ids.add(call.id);
  const typeProblem = textProblem(call, "type");
  if (typeProblem !== undefined) return `${at}.type: ${typeProblem}`;
  if (call.type !== "function") return `${at}.type must be "function"`;
  const target = call.function;
  if (target === undefined || target === null) return `${at}.function is required`;
  return checkFunctionCall(target, `${at}.function`);
}

function checkFunctionCall(target: unknown, at: string): string | undefined {
  if (!isFields(target)) return `${at} must be an object`;
  const nameProblem = textProblem(target, "name");
  if (nameProblem !== undefined) return `${at}.name: ${nameProblem}`;
  const given = target.arguments;
  if (given !== undefined && given !== null && typeof given !== "string") return `${at}.arguments: must be a string`;
  return undefined;
}

function requiredContent(message: Fields, at: string): string | undefined {
  const content = message.content;
  if (content === undefined || content === null) return `${at}.content: is required`;
  return prefixed(`${at}.content: `, contentProblem(content));
}

function contentProblem(content: unknown): string | undefined {
  if (typeof content === "string") return isBlank(content) ? "must not be empty" : undefined;
  if (!Array.isArray(content)) return "must be a string or an array of typed content parts";
  if (content.length === 0) return "must not be empty";
  for (const [index, part] of content.entries()) {
    if (!isFields(part)) return `[${index}] must be an object`;
    const typeProblem = textProblem(part, "type");
    if (typeProblem !== undefined) return `[${index}].type: ${typeProblem}`;
    // Images, sound and types of a model's own are the model server's to take or refuse.
    const partProblem = part.type === "text" ? textProblem(part, "text") : undefined;
    if (partProblem !== undefined) return `[${index}].text: ${partProblem}`;
  }
  return undefined;
}

function forbidden(message: Fields, at: string, names: readonly string[]): string | undefined {
  const present = names.find((name) => name in message);
  return present === undefined ? undefined : `${at}: ${present} is not allowed for this role`;
}

function textProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return "is required";
  if (typeof value !== "string") return "must be a string";
  return isBlank(value) ? "must not be empty" : undefined;
}

function prefixed(prefix: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : prefix + problem;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Blank in Go's sense: U+0085 is a space there, U+FEFF is not. */
function isBlank(text: string): boolean {
  return /^[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$/.test(text);
}
