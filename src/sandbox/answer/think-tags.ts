import type { EngineEvent } from "../engine.ts";

/** Puts a model's thinking into the content between `<think>` and `</think>`, as MiniMax models send it. */
export interface ThinkTagger {
  /** The content to send for a piece of thinking or text. */
  write(event: Extract<EngineEvent, { type: "reasoning" | "text" }>): string;
  /** What ends the thinking when something other than text follows; empty when it has ended. */
  close(): string;
}

export function thinkTagger(): ThinkTagger {
  let isInside = false;
  const close = () => {
    const closing = isInside ? "\n</think>\n\n" : "";
    isInside = false;
    return closing;
  };
  return {
    write(event) {
      if (event.type === "text") return close() + event.text;
      const opening = isInside ? "" : "<think>\n";
      isInside = true;
      return opening + event.text;
    },
    close,
  };
}
