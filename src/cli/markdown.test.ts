import { describe, expect, it } from "vitest";
import { type MarkdownOptions, renderMarkdown } from "./markdown.ts";

const ESC = "\u001b";

function render(text: string, options: Partial<MarkdownOptions> = {}): string {
  const renderer = renderMarkdown({ columns: () => 81, ...options });
  return renderer.push(text) + renderer.end();
}

/** Without styles: what stands on the screen. */
function plain(text: string, options: Partial<MarkdownOptions> = {}): string {
  return render(text, options).replaceAll(/\u001b\[[\d;]*m/g, "");
}

describe("inline", () => {
  it.each([
    ["**bold** text", `${ESC}[1mbold${ESC}[0m text\n`],
    ["**two words**", `${ESC}[1mtwo words${ESC}[0m\n`],
    ["*it* and _it_", `${ESC}[3mit${ESC}[0m and ${ESC}[3mit${ESC}[0m\n`],
    ["***both***", `${ESC}[3;1mboth${ESC}[0m\n`],
    ["a `b*c*` d", `a ${ESC}[36mb*c*${ESC}[0m d\n`],
    ["~~gone~~", `${ESC}[9mgone${ESC}[0m\n`],
    ["[t](https://x.org)", `${ESC}[4mt${ESC}[0m ${ESC}[2m(https://x.org)${ESC}[0m\n`],
    ["see https://x.org.", `see ${ESC}[4mhttps://x.org${ESC}[0m.\n`],
  ])("styles %j", (text, expected) => expect(render(text)).toBe(expected));

  it.each(["2 * 3 * 4 = 24", "snake_case_name and *.ts", "an **unclosed mark", "a [bracket", "x < y & z", "~5 km"])(
    "leaves %j as it is",
    (text) => expect(render(text)).toBe(`${text}\n`),
  );

  it("reads entities", () => expect(render("a &lt;b&gt; &amp; c")).toBe("a <b> & c\n"));
});

describe("blocks", () => {
  it("shows headings, bold", () => {
    expect(render("# One\n## Two\n### Three")).toBe(
      `${ESC}[1;4;35mOne${ESC}[0m\n${ESC}[1;35mTwo${ESC}[0m\n${ESC}[1mThree${ESC}[0m\n`,
    );
    expect(plain("#hashtag\n#")).toBe("#hashtag\n#\n");
  });

  it("shows lists with hanging lines", () => {
    expect(plain("- one two three four five\n  - [ ] open\n  - [x] done\n12. twelve", { columns: () => 21 })).toBe(
      "• one two three four\n  five\n  ◦ ☐ open\n  ◦ ☑ done\n12. twelve\n",
    );
  });

  it("shows quotes, nested and with lists", () => {
    expect(plain("> a\n>> b\n>\n> - c")).toBe("│ a\n│ │ b\n│ \n│ • c\n");
  });

  it("shows code as it is, between rules, without wrapping", () => {
    const line = `\tif (a < b) return "**x**"; // ${"long ".repeat(30)}`;
    expect(plain(`\`\`\`ts\n${line}\n\n# no heading\n\`\`\``)).toBe(
      `── ts ${"─".repeat(54)}\n${line}\n\n# no heading\n${"─".repeat(60)}\n`,
    );
  });

  it("takes the indent of a fence in a list off its code", () => {
    expect(plain("- x\n  ```\n  a\n    b\n  ```")).toBe(`• x\n${"─".repeat(60)}\na\n  b\n${"─".repeat(60)}\n`);
  });

  it("ends a code block that was cut", () => {
    expect(plain("~~~\nhalf")).toBe(`${"─".repeat(60)}\nhalf\n${"─".repeat(60)}\n`);
  });

  it("does not end a block at a shorter or another fence", () => {
    expect(plain("````\n```\n~~~~\n````\nafter")).toBe(`${"─".repeat(60)}\n\`\`\`\n~~~~\n${"─".repeat(60)}\nafter\n`);
  });

  it("keeps one blank line between blocks, none around the answer", () => {
    expect(plain("\n\na\n\n\n\nb\n\n")).toBe("a\n\nb\n");
  });

  it("shows rules", () => expect(plain("a\n\n---\n* * *\nb")).toBe(`a\n\n${"─".repeat(60)}\n${"─".repeat(60)}\nb\n`));

  it("says nothing about nothing", () => expect(render("")).toBe(""));
});

describe("tables", () => {
  const table = "| a | b |\n|---|--:|\n| one | 1 |\n| `two` | 22 |\n";

  it("get columns, alignment and styles", () => {
    expect(plain(table)).toBe("a   │  b\n────┼───\none │  1\ntwo │ 22\n");
    expect(render(table)).toContain(`${ESC}[36mtwo${ESC}[0m`);
  });

  it("wrap in their cells where the terminal is narrow", () => {
    const wide = "| key | value |\n|---|---|\n| k | a long value that wraps |\n";
    expect(plain(wide, { columns: () => 24 })).toBe(
      `key │ value\n────┼${"─".repeat(18)}\nk   │ a long value that\n    │ wraps\n`,
    );
  });

  it("become records where there is no room for the columns", () => {
    const many = "| aaaaaaaa | bbbbbbbb | cccccccc |\n|---|---|---|\n| 11111111 | 22222222 | 33333333 |\n";
    expect(plain(many, { columns: () => 21 })).toBe("aaaaaaaa: 11111111\nbbbbbbbb: 22222222\ncccccccc: 33333333\n\n");
  });

  it("are shown row by row once they are long", () => {
    const renderer = renderMarkdown({ columns: () => 81 });
    const start = renderer.push(`| n |\n|---|\n${"| 1 |\n".repeat(12)}`);
    expect(start.split("\n")).toHaveLength(15);
    expect(renderer.push("| 2 |\n")).toBe("2\n");
    expect(renderer.end()).toBe("");
  });

  it("that are none stay text", () => expect(plain("| a | b\nnext")).toBe("| a | b\nnext\n"));
});

describe("wrapping", () => {
  it("breaks between words and keeps long ones whole, so that addresses can be copied", () => {
    const address = `https://example.org/${"x".repeat(40)}`;
    expect(plain(`see ${address} there`, { columns: () => 31 })).toBe(`see\n${address}\nthere\n`);
  });

  it("breaks Chinese anywhere and counts its signs as two columns", () => {
    expect(plain("中文段落没有空格所以需要", { columns: () => 21 })).toBe("中文段落没有空格所以\n需要\n");
  });

  it("follows a window that changes its size", () => {
    let columns = 81;
    const renderer = renderMarkdown({ columns: () => columns });
    const words = `${"word ".repeat(8)}\n`;
    expect(renderer.push(words).trim().split("\n")).toHaveLength(1);
    columns = 21;
    expect(renderer.push(words).trim().split("\n")).toHaveLength(2);
  });

  it("puts the margin before every line", () => {
    const text = "one two three four five\n\n```\ncode\n```\n| a |\n|---|\n| b |";
    for (const line of plain(text, { columns: () => 21, margin: "┊ " })
      .trimEnd()
      .split("\n")) {
      expect(line).toMatch(/^┊/);
    }
  });
});

describe("streaming", () => {
  it("shows each word as soon as it is complete", () => {
    const renderer = renderMarkdown({ columns: () => 81 });
    expect(["He", "llo wor", "ld, **bo", "ld** e", "nd"].map((piece) => renderer.push(piece))).toEqual([
      "",
      "Hello",
      " world,",
      ` ${ESC}[1mbold${ESC}[0m`,
      "",
    ]);
    expect(renderer.end()).toBe(" end\n");
  });

  it("never waits for long", () => {
    const renderer = renderMarkdown({ columns: () => 81 });
    expect(renderer.push(`**never closed ${"word ".repeat(100)}`)).toContain("**never closed");
    expect(renderer.push("x".repeat(9_000)).length).toBeGreaterThan(8_000);
  });

  it("puts the halves of a surrogate pair together", () => {
    const [high, low] = ["🍞".slice(0, 1), "🍞".slice(1)];
    const renderer = renderMarkdown({ columns: () => 81 });
    expect(renderer.push(`a ${high ?? ""}`) + renderer.push(`${low ?? ""}\n`)).toBe("a 🍞\n");
  });
});

describe("control signs", () => {
  it("are shown, not obeyed", () => {
    expect(render(`a${ESC}[31mb${ESC}]0;title\u0007 c\u009bd\u202ee\r\nf`)).toBe("a␛[31mb␛]0;title␇ c\ufffdde\nf\n");
  });
});
