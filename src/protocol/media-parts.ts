import { ZephError } from "../errors/zeph-error.ts";
import { asObject } from "./json/measure-json.ts";

const MEDIA = /image|video|audio|file|document|media/i;

/** Whether a content part's `type` (`image_url`, `input_audio`, `file` …) means that it is not text. */
export function isMediaType(type: unknown): type is string {
  return typeof type === "string" && MEDIA.test(type);
}

/** `unsupported_capability` for a part that is not text. @param at path of the part in the request */
export function mediaRefused(at: string, type: string): ZephError {
  const kind = /^[a-z_]{1,32}$/.test(type) ? type : "this kind";
  return new ZephError("unsupported_capability", {
    detail: `${at}: ${kind} is not text, and the Gonka network takes text only`,
    hint: "Leave images, audio and files out of the messages; describe or transcribe them first.",
  });
}

/** Throws `unsupported_capability` for the first part of the messages of a chat request that is not text. */
export function requireTextParts(request: unknown): void {
  const messages = asObject(request)?.messages;
  if (!Array.isArray(messages)) return;
  for (const [index, message] of messages.entries()) {
    const content = asObject(message)?.content;
    if (!Array.isArray(content)) continue;
    for (const [place, part] of content.entries()) {
      const type = asObject(part)?.type;
      if (isMediaType(type)) throw mediaRefused(`messages[${index}].content[${place}]`, type);
    }
  }
}
