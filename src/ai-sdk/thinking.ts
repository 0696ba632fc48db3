import type {
  LanguageModelV3Content,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
  SharedV3ProviderMetadata,
} from "@ai-sdk/provider";
import { isRecord } from "../wire/chat-shape.ts";

/** Marks reasoning that stood in tags inside the content, so that it can be sent back the same way. */
const IN_TAGS: SharedV3ProviderMetadata = { gonka: { thinkTags: true } };

/** The content of a whole answer; `body` is the answer as the reader gave it. */
export function withTagsMarked(content: readonly LanguageModelV3Content[], body: unknown): LanguageModelV3Content[] {
  if (!standsInTags(body, "message")) return [...content];
  return content.map((part) => (part.type === "reasoning" ? { ...part, providerMetadata: IN_TAGS } : part));
}

/** The same for a stream, whose raw chunks come in front of the parts made of them. */
export function tagsMarked(): (part: LanguageModelV3StreamPart) => LanguageModelV3StreamPart {
  let isInTags = false;
  return (part) => {
    if (part.type === "raw") isInTags ||= standsInTags(part.rawValue, "delta");
    if (!isInTags || (part.type !== "reasoning-start" && part.type !== "reasoning-end")) return part;
    return { ...part, providerMetadata: IN_TAGS };
  };
}

function standsInTags(answer: unknown, field: "message" | "delta"): boolean {
  const choices = isRecord(answer) && Array.isArray(answer.choices) ? answer.choices : [];
  return choices.some(
    (choice) => isRecord(choice) && isRecord(choice[field]) && choice[field].thinking_in_tags === true,
  );
}

/** Puts thinking that came in tags back into its tags: models that think there need to see it unchanged. */
export function withThinkingInTags(prompt: LanguageModelV3Prompt): LanguageModelV3Prompt {
  return prompt.map((message) => {
    if (message.role !== "assistant") return message;
    const content = message.content.map((part) =>
      part.type === "reasoning" && part.providerOptions?.gonka?.thinkTags === true
        ? { type: "text" as const, text: `<think>${part.text}</think>\n\n` }
        : part,
    );
    return { ...message, content };
  });
}
