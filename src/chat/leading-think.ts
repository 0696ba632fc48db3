/** A piece of streamed content, told apart. */
export interface AnswerPiece {
  readonly type: "reasoning" | "text";
  readonly text: string;
}

export interface ThinkSplitter {
  push(text: string): readonly AnswerPiece[];
  /** Gives back what was held for the case that it became a tag. */
  end(): readonly AnswerPiece[];
}

const OPENING = "<think>";
const CLOSING = "</think>";

/**
 * Tells `<think>…</think>` at the start of an answer from the answer. Only at the start: models that think in the
 * content do it first, and a tag later on is part of the answer (a text about the tag would lose its end otherwise,
 * which is why `ai`'s `extractReasoningMiddleware` is not used). White space before the answer is dropped.
 */
export function splitLeadingThink(): ThinkSplitter {
  let phase: "start" | "thinking" | "before-text" | "text" = "start";
  let held = "";

  function advance(atEnd: boolean): AnswerPiece[] {
    const pieces: AnswerPiece[] = [];
    if (phase === "start") {
      const begun = held.trimStart();
      if (begun.startsWith(OPENING)) {
        phase = "thinking";
        held = begun.slice(OPENING.length);
      } else if (!OPENING.startsWith(begun) || atEnd) phase = "before-text";
    }
    if (phase === "thinking") {
      const closing = held.indexOf(CLOSING);
      const length = closing === -1 ? held.length - (atEnd ? 0 : possibleTagLength(held)) : closing;
      if (length > 0) pieces.push({ type: "reasoning", text: held.slice(0, length) });
      held = held.slice(closing === -1 ? length : length + CLOSING.length);
      if (closing !== -1) phase = "before-text";
    }
    if (phase === "before-text") {
      held = held.trimStart();
      if (held !== "") phase = "text";
    }
    if (phase === "text" && held !== "") {
      pieces.push({ type: "text", text: held });
      held = "";
    }
    return pieces;
  }

  return {
    push(text) {
      held += text;
      return advance(false);
    },
    end: () => advance(true),
  };
}

/** Length of the end of `text` that could be the beginning of the closing tag. */
function possibleTagLength(text: string): number {
  for (let length = Math.min(CLOSING.length - 1, text.length); length > 0; length--) {
    if (CLOSING.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
