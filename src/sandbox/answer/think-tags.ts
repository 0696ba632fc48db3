import type { EngineEvent } from "../engine.ts";

type Words = Extract<EngineEvent, { type: "reasoning" | "text" }>;

/** Puts a model's thinking into the content between `<think>` and `</think>`, as MiniMax models send it. */
export function thinkTagger(): (event: Words) => string {
  let thinking: "before" | "inside" | "after" = "before";
  return (event) => {
    if (event.type === "reasoning") {
      const opening = thinking === "inside" ? "" : "<think>\n";
      thinking = "inside";
      return opening + event.text;
    }
    const closing = thinking === "inside" ? "\n</think>\n\n" : "";
    thinking = "after";
    return closing + event.text;
  };
}
