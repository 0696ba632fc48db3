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

/** A part of a message that is not text. */
export interface MediaPart {
  /** Path in the request, such as `messages[0].content[1]`. */
  readonly at: string;
  readonly type: string;
  /** As model lists name it in `input_modalities`. */
  readonly modality: "image" | "audio" | "video" | "file";
}

/** Which model a chat request asks, and the parts of its messages that are not text. */
export function mediaParts(request: unknown): {
  readonly model: string | undefined;
  readonly parts: readonly MediaPart[];
} {
  const { model, messages } = asObject(request) ?? {};
  const parts = (Array.isArray(messages) ? messages : []).flatMap((message: unknown, index) => {
    const content = asObject(message)?.content;
    return (Array.isArray(content) ? content : []).flatMap((part: unknown, place): MediaPart[] => {
      const type = asObject(part)?.type;
      if (!isMediaType(type)) return [];
      const shown = /^[a-z_]{1,32}$/.test(type) ? type : "this kind";
      return [{ at: `messages[${index}].content[${place}]`, type: shown, modality: modalityOf(type) }];
    });
  });
  return { model: typeof model === "string" ? model : undefined, parts };
}

function modalityOf(type: string): MediaPart["modality"] {
  const kinds = ["image", "audio", "video"] as const;
  return kinds.find((kind) => type.toLowerCase().includes(kind)) ?? "file";
}
