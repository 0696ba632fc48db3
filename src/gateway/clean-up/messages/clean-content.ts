import { isMediaType, mediaRefused } from "../../../protocol/media-parts.ts";
import { invalid } from "../invalid.ts";
import { asObject, type JsonObject, jsonDepth } from "../json.ts";

/** Parts of other APIs that are text under another name. */
const TEXT_TYPES: ReadonlySet<unknown> = new Set(["text", "input_text", "output_text", undefined]);
/** Parts that repeat what a model thought; the network has other fields for it. */
const THINKING_TYPES: ReadonlySet<unknown> = new Set(["thinking", "redacted_thinking", "reasoning"]);

/**
 * Content the network takes: a text, a list of text parts, or nothing. Gives back the value itself when it is fine.
 * Throws `unsupported_capability` for images and other media, `invalid_request` for what is no content at all.
 * @param at path of the content in the request
 */
export function cleanContent(content: unknown, role: string, at: string): unknown {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return mayBeEmpty(role) ? content : "";
  if (typeof content === "number" || typeof content === "boolean") return String(content);
  if (Array.isArray(content)) return cleanParts(content, role, at);
  const single = asObject(content);
  if (typeof single?.type === "string") return cleanParts([single], role, at);
  if (role === "tool" || role === "function") return toolResult(content, at);
  throw invalid(at, "must be a text or a list of text parts");
}

export function mayBeEmpty(role: string): boolean {
  return role === "assistant" || role === "tool";
}

function cleanParts(parts: readonly unknown[], role: string, at: string): unknown {
  const cleaned = parts.flatMap((part, index) => {
    const kept = cleanPart(part, `${at}[${index}]`);
    return kept === undefined ? [] : [kept];
  });
  if (cleaned.length === 0) return mayBeEmpty(role) ? null : "";
  const isSame = cleaned.length === parts.length && cleaned.every((part, index) => part === parts[index]);
  return isSame ? parts : cleaned;
}

function cleanPart(value: unknown, at: string): JsonObject | undefined {
  if (typeof value === "string") return { type: "text", text: value };
  if (value === null) return undefined;
  const part = asObject(value);
  if (part === undefined) throw invalid(at, "must be a text part");
  const { type, text } = part;
  if (isMediaType(type)) throw mediaRefused(at, type);
  if (THINKING_TYPES.has(type)) return undefined;
  if (type === "refusal" && typeof part.refusal === "string") return { type: "text", text: part.refusal };
  if (!TEXT_TYPES.has(type)) throw invalid(`${at}.type`, "only text parts are taken");
  if (text === null || text === undefined) return undefined;
  if (typeof text !== "string") throw invalid(`${at}.text`, "must be a text");
  // What else a part holds (cache marks, annotations) is not for this network.
  return type === "text" && Object.keys(part).length === 2 ? part : { type: "text", text };
}

function toolResult(content: unknown, at: string): string {
  // A result nested a million levels deep would overflow the stack of the serialiser.
  if (jsonDepth(content, 513) > 512) throw invalid(at, "is nested too deeply");
  return JSON.stringify(content);
}
