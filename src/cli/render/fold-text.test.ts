import { describe, expect, it } from "vitest";
import { foldText } from "./fold-text.ts";
import { style, withoutStyles } from "./style.ts";

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
