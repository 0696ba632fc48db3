import type {
  LanguageModelV3Content,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
  SharedV3ProviderMetadata,
} from "@ai-sdk/provider";
import { type AnswerPiece, splitLeadingThink } from "./leading-think.ts";

/** Marks reasoning that stood in tags inside the content, so that it can be sent back the same way. */
const IN_TAGS: SharedV3ProviderMetadata = { gonka: { thinkTags: true } };

const THINK_ID = "think-0";

/** The content of a whole answer, with thinking in leading tags as a reasoning part of its own. */
export function withThinkingApart(content: readonly LanguageModelV3Content[]): LanguageModelV3Content[] {
  const first = content.find((part) => part.type === "text");
  return content.flatMap((part): LanguageModelV3Content[] => {
    if (part !== first || part.type !== "text") return [part];
    const splitter = splitLeadingThink();
    const pieces = [...splitter.push(part.text), ...splitter.end()];
    if (!pieces.some(({ type }) => type === "reasoning")) return [part];
    return joined(pieces).map(({ type, text }) =>
      type === "text" ? { ...part, text } : { type, text, providerMetadata: IN_TAGS },
    );
  });
}

function joined(pieces: readonly AnswerPiece[]): AnswerPiece[] {
  const textOf = (wanted: AnswerPiece["type"]) =>
    pieces.map(({ type, text }) => (type === wanted ? text : "")).join("");
  const whole: AnswerPiece[] = [
    { type: "reasoning", text: textOf("reasoning") },
    { type: "text", text: textOf("text") },
  ];
  return whole.filter(({ text }) => text !== "");
}

/** The same for a stream: gives back the parts that stand for one part of the first text block. */
export function thinkingApart(): (part: LanguageModelV3StreamPart) => readonly LanguageModelV3StreamPart[] {
  const splitter = splitLeadingThink();
  let block: "awaited" | "open" | "over" = "awaited";
  let shown: "nothing" | "reasoning" | "text" = "nothing";

  function* write(pieces: readonly AnswerPiece[], id: string): Generator<LanguageModelV3StreamPart> {
    for (const { type, text } of pieces) {
      if (type === "reasoning" && shown === "nothing") {
        yield { type: "reasoning-start", id: THINK_ID, providerMetadata: IN_TAGS };
      }
      if (type === "text" && shown !== "text") {
        if (shown === "reasoning") yield { type: "reasoning-end", id: THINK_ID };
        yield { type: "text-start", id };
      }
      shown = type;
      yield type === "text"
        ? { type: "text-delta", id, delta: text }
        : { type: "reasoning-delta", id: THINK_ID, delta: text };
    }
  }

  return (part) => {
    if (block === "awaited" && part.type === "text-start") {
      block = "open";
      return [];
    }
    if (block !== "open") return [part];
    if (part.type === "text-delta") return shown === "text" ? [part] : [...write(splitter.push(part.delta), part.id)];
    if (part.type !== "text-end") return [part];
    block = "over";
    const rest = [...write(splitter.end(), part.id)];
    if (shown === "text") return [...rest, part];
    return shown === "reasoning" ? [...rest, { type: "reasoning-end", id: THINK_ID }] : rest;
  };
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
