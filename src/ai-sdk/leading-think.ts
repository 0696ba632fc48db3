/** A piece of an answer, told apart. */
export interface AnswerPiece {
  readonly type: "reasoning" | "text";
  readonly text: string;
}

/** Takes an answer as it arrives. */
export interface ThinkSplitter {
  push(text: string): readonly AnswerPiece[];
  /** What was held back for the case that it became a tag. */
  end(): readonly AnswerPiece[];
}

const OPENING = "<think>";
const CLOSING = "</think>";

/**
 * Tells `<think>…</think>` at the start of an answer from the answer. Only there: models that think in the content do it
 * first, and a tag further on belongs to the text. White space around the tags is dropped, but only where there are tags.
 */
export function splitLeadingThink(): ThinkSplitter {
  let phase: "start" | "thinking" | "after" | "text" = "start";
  let held = "";

  function asText(): AnswerPiece[] {
    phase = "text";
    const text = held;
    held = "";
    return text === "" ? [] : [{ type: "text", text }];
  }

  function think(isEnd: boolean): AnswerPiece[] {
    const closing = held.indexOf(CLOSING);
    const length = closing === -1 ? held.length - (isEnd ? 0 : unfinishedTagLength(held)) : closing;
    const text = held.slice(0, length);
    held = held.slice(closing === -1 ? length : length + CLOSING.length);
    if (closing !== -1) phase = "after";
    return text === "" ? [] : [{ type: "reasoning", text }];
  }

  function advance(isEnd: boolean): readonly AnswerPiece[] {
    if (phase === "start") {
      const begun = held.trimStart();
      if (!begun.startsWith(OPENING)) return OPENING.startsWith(begun) && !isEnd ? [] : asText();
      phase = "thinking";
      held = begun.slice(OPENING.length);
    }
    const thought = phase === "thinking" ? think(isEnd) : [];
    // The call above may have found the closing tag.
    if ((phase as string) === "after") held = held.trimStart();
    return phase === "thinking" || held === "" ? thought : [...thought, ...asText()];
  }

  return {
    push(text) {
      held += text;
      return advance(false);
    },
    end: () => advance(true),
  };
}

/** How much of the end of `text` may be the beginning of the closing tag. */
function unfinishedTagLength(text: string): number {
  for (let length = Math.min(CLOSING.length - 1, text.length); length > 0; length -= 1) {
    if (CLOSING.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
