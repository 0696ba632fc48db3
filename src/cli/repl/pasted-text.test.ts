import { describe, expect, it } from "vitest";
import { keepPastedText } from "./pasted-text.ts";

describe("keepPastedText", () => {
  it("shows a short paste in the line and sends it with its line breaks", () => {
    const pasted = keepPastedText();
    expect(pasted.insert("a\nb\n")).toBe("a⏎b");
    expect(pasted.expand("look: a⏎b")).toBe("look: a\nb");
  });

  it("shows a sign for a long one and sends all of it", () => {
    const pasted = keepPastedText();
    const code = Array.from({ length: 20 }, (_, index) => `\tline ${index} $& $1`).join("\n");
    const sign = pasted.insert(code);
    expect(sign).toBe("[paste 1: 20 lines]");
    expect(pasted.insert("x".repeat(500))).toBe("[paste 2: 500 characters]");
    expect(pasted.expand(`Explain ${sign}!`)).toBe(`Explain ${code}!`);
  });

  it("makes escape sequences harmless in the line", () => {
    expect(keepPastedText().insert("a\u001b[2Jb")).toBe("a␛[2Jb");
  });
});
