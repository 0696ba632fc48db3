import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import {
  cutToWidth,
  displayWidth,
  foldText,
  renderError,
  renderJson,
  renderTable,
  style,
  toTerminalPage,
  toTerminalText,
  withoutStyles,
} from "./terminal.ts";

const render = (error: ZephError) => renderError(error, { color: false });

describe("the width of a text", () => {
  it.each([
    ["hello", 5],
    ["日本語", 6],
    ["한국어", 6],
    ["e\u0301", 1],
    ["नमस्ते", 4],
    ["👨‍👩‍👧👋🏽🇩🇪1️⃣❤️", 10],
    ["ＡＢ ｱｲ", 7],
    ["─│●✓✗→⠋", 7],
    ["\u{20000}\u{20001}", 4],
  ])("is what a terminal takes for it: %s", (text, columns) => {
    expect(displayWidth(text)).toBe(columns);
    expect(cutToWidth(`${text}x`, columns)).toBe(text);
    expect(displayWidth(cutToWidth(text, columns - 1))).toBeLessThan(columns);
    expect(cutToWidth(text, columns - 1)).not.toMatch(/[\ud800-\udbff]$/);
  });

  it("lays out tables with colours and wide signs", () => {
    const { cyan } = style(true);
    const table = toTerminalPage(
      renderTable([
        [cyan("日本"), "a"],
        ["é", cyan("b")],
        ["👋🏽 x", "c"],
      ]),
    );
    expect(stripVTControlCharacters(table)).toBe("日本  a\né     b\n👋🏽 x  c\n");
  });
});

describe("renderError", () => {
  it.each([
    [7_000, "It asks to wait 7 s."],
    [3_600_000, "It asks to wait 60 min."],
    [36_000_000, "It asks to wait 10 h."],
  ])("tells how long a server asks to wait: %i ms", (retryAfterMs, words) => {
    expect(render(new ZephError("rate_limited", { retryAfterMs }))).toContain(words);
  });

  it("speaks of no wait and of no request id where there is none", () => {
    const card = render(new ZephError("upstream_error"));
    expect(card).not.toContain("asks to wait");
    expect(card).not.toContain("request id");
    expect(render(new ZephError("bad_response"))).not.toContain("request id");
  });

  it("gives the request id where there is one", () => {
    expect(render(new ZephError("upstream_error", { requestId: "req-1" }))).toContain("request id req-1");
  });
});

describe("long lines", () => {
  it("break between words, and short ones stay as they are", () => {
    expect(foldText("one two three\n  indented text\n", 11)).toBe("one two\nthree\n  indented\n  text\n");
    expect(foldText("a  b\n\nc", 80)).toBe("a  b\n\nc");
  });

  it("go on below the last column of a table, while there is room", () => {
    expect(foldText("/save [FILE]  write it to a file", 30)).toBe("/save [FILE]  write it to a\n              file");
    expect(foldText("a very long name indeed  some text here", 30)).toBe("a very long name indeed  some\ntext here");
  });

  it("go on behind the mark that begins them", () => {
    expect(foldText("  → look here now", 12)).toBe("  → look\n    here now");
  });

  it("are measured as they look: without styles, wide signs double", () => {
    expect(foldText("\u001b[2mone two\u001b[22m", 7)).toBe("\u001b[2mone two\u001b[22m");
    const { cyan } = style(true);
    expect(foldText(`${cyan("one")}  ${cyan("two")}`, 8)).toBe(`${cyan("one")}  ${cyan("two")}`);
    expect(withoutStyles(foldText(`${cyan("/save")}  write it to a file`, 18))).toBe(
      "/save  write it to\n       a file",
    );
    expect(foldText("日本語 text", 9)).toBe("日本語\ntext");
  });

  it("never break a command that is to be copied", () => {
    expect(foldText("Store it with `zeph vault set NAME`, or not.", 30)).toBe(
      "Store it with\n`zeph vault set NAME`, or not.",
    );
  });

  it("keep a word that fits nowhere whole", () => {
    expect(foldText("see https://example.com/a/long/address now", 12)).toBe(
      "see\nhttps://example.com/a/long/address\nnow",
    );
  });
});

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
