import { describe, expect, it } from "vitest";
import { ZephError } from "../../errors/zeph-error.ts";
import { renderError } from "./error.ts";
import { renderJson } from "./json.ts";
import { style } from "./style.ts";
import { toTerminalPage, toTerminalText } from "./terminal-text.ts";

/** Renames the window, clears the screen, fills the clipboard, hides, colours, moves; in C0 and in C1 form. */
const HOSTILE =
  "\u001b]0;owned\u0007 \u001b[2J \u001b]52;c;eA==\u0007 \u001b[8m \u009b31m \u001b[1;31m \r\u202e\u{e0041}";

describe("words from outside", () => {
  it("control no terminal", () => {
    expect(toTerminalText(HOSTILE)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(toTerminalText("a\tb\nc")).toBe("a\tb\nc");
  });

  it("control no terminal inside a page of ours, whose own styles stay", () => {
    const { bold, dim, red } = style(true);
    const page = `${bold("name")} ${dim(HOSTILE)} ${red("!")}\n`;
    const shown = toTerminalPage(page);
    expect(shown.startsWith("\u001b[1mname\u001b[22m \u001b[2m")).toBe(true);
    expect(shown.endsWith("\u001b[22m \u001b[31m!\u001b[39m\n")).toBe(true);
    expect(shown.replace(/\u001b\[(?:1|2|22|31|39)m/g, "").replace("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it("control no terminal inside an error card", () => {
    const card = renderError(new ZephError("bad_response", { detail: HOSTILE, hint: HOSTILE, requestId: HOSTILE }), {
      color: false,
    });
    expect(card.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it("control no terminal inside JSON, and stay the same words", () => {
    const json = renderJson({ data: HOSTILE });
    expect(json.replaceAll("\n", "").replaceAll("\u{e0041}", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(JSON.parse(json)).toEqual({ ok: true, data: HOSTILE });
  });
});
