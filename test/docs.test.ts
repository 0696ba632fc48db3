import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import manifest from "../package.json" with { type: "json" };
import type { World } from "../src/base/world.ts";
import { BROKERS } from "../src/brokers/registry.ts";
import { buildProgram } from "../src/cli/program.ts";
import { CATALOGUE } from "../src/errors.ts";
import { parseAddress } from "../src/wire/endpoint.ts";
import { type MarkdownPage, markdownPages, readPage } from "./support/markdown-pages.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const pages = markdownPages();
/** Pages that are written by hand for users: what they name must exist. */
const written = pages.filter(({ path }) => /^(?:README\.md|docs\/(?!cli|errors|decisions))/.test(path));

/** All text of files below a folder, to look words up in. */
function textOf(folder: string, ending: RegExp): string {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => ending.test(name))
    .map((name) => readFileSync(join(ROOT, folder, name), "utf8"))
    .join("\n");
}

const sources = textOf("src", /(?<!\.test|\.test-d)\.ts$/);
const wordsOf = (text: string): ReadonlySet<string> => new Set(text.match(/[A-Za-z_$][\w$]*/g));

/** One faulty statement per line, with the page it is on. */
function faults(
  check: (page: MarkdownPage) => readonly string[],
  among: readonly MarkdownPage[] = written,
): readonly string[] {
  return among.flatMap((page) => check(page).map((fault) => `${page.path}: ${fault}`));
}

it("reads the pages there are", () => {
  expect(written.length).toBeGreaterThan(6);
  expect(written.flatMap(({ codeBlocks }) => codeBlocks).length).toBeGreaterThan(25);
});

it("tells nobody to fetch a package of this name, which anybody could register while zeph is not on npm", () => {
  const FETCHED =
    /\b(?:npx|bunx|dlx|npm exec|npm create|(?:npm|pnpm|yarn|bun) (?:i|install|add))\b(?: -\S+)* zeph(?![\w./-]*\.tgz)\b/;
  const guilty = (text: string) => text.split("\n").filter((line) => FETCHED.test(line));
  expect(guilty("npx zeph init\nnpm i -g zeph\nnpm install path/to/zeph-0.1.0.tgz ai")).toHaveLength(2);
  expect(pages.flatMap(({ path }) => guilty(readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
  for (const folder of ["src", "scripts", "examples"])
    expect(guilty(textOf(folder, /\.(?:ts|mjs|md|json)$/))).toEqual([]);
});

describe("commands and flags in the documents", () => {
  const { program } = buildProgram({
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
  } as unknown as World);
  const named = (command: Command, name: string) =>
    command.commands.find((each) => each.name() === name || each.aliases().includes(name));
  const flagsOf = (command: Command): readonly string[] => [
    "--help",
    "-h",
    ...command.options
      .flatMap(({ long, short }) => [long, short])
      .filter((flag) => flag !== undefined && flag !== null),
    ...(command.parent === null ? [] : flagsOf(command.parent)),
  ];
  const everyFlag = (command: Command): readonly string[] => [
    ...flagsOf(command),
    ...command.commands.flatMap((each) => everyFlag(each)),
  ];

  /** What is wrong with the words after `zeph`; undefined when the program would understand them. */
  function faultOf(words: readonly string[]): string | undefined {
    let command = program;
    let isNaming = true;
    for (const [index, word] of words.entries()) {
      // What stands behind it is for another program.
      if (word === "--") break;
      const flag = word.split("=")[0] ?? word;
      if (word.startsWith("-") && word !== "-") {
        if (!flagsOf(command).includes(flag)) return `no flag ${flag} in: zeph ${words.join(" ")}`;
        const value = words[index + 1] ?? "";
        if (flag === "--broker" && !BROKERS.some(({ id }) => id === value)) return `no broker ${value}`;
        continue;
      }
      const previous = words[index - 1] ?? "";
      // The value of a flag is not a command; nor is anything after a command that takes words.
      if (previous.startsWith("-") || !isNaming) continue;
      if (command === program && /^["'].*\s/.test(word)) {
        isNaming = false;
        continue;
      }
      const next = named(command, word);
      if (next !== undefined) command = next;
      else if (command === program || command.commands.length > 0) return `no command: zeph ${words.join(" ")}`;
      else isNaming = false;
    }
    return undefined;
  }

  /** The words after each `zeph` that is a command of a line of shell: at its start, or after a pipe or a semicolon. */
  function callsIn(line: string): readonly (readonly string[])[] {
    return line
      .replace(/(?:^|\s)#.*$/, "")
      .split(/[|;&]+/)
      .flatMap((command) => {
        const [, rest] = /^\s*(?:npx )?(?:zeph|node dist\/cli\/main\.js)(\s[^<>]*)?(?:[<>]|$)/.exec(command) ?? [];
        return /^\s*(?:npx )?(?:zeph|node dist)/.test(command) ? [rest?.match(/"[^"]*"|'[^']*'|\S+/g) ?? []] : [];
      });
  }

  it("exist, and are spelt right", () => {
    const check = ({ codeSpans, codeBlocks }: MarkdownPage) => {
      const shell = codeBlocks.filter(({ language }) => language === "sh" || language === "");
      const lines = [
        ...shell.flatMap(({ text }) => text.split("\n")),
        ...codeSpans.filter((span) => /^(?:npx )?zeph\b(?!\/)/.test(span)),
      ];
      return lines.flatMap(callsIn).flatMap((words) => faultOf(words) ?? []);
    };
    expect(faults(check)).toEqual([]);
    const calls = written.flatMap(({ codeSpans }) => codeSpans.flatMap(callsIn));
    expect(calls.length).toBeGreaterThan(20);
    expect(faultOf(["init", "--no-such-flag"])).toContain("--no-such-flag");
    expect(faultOf(["no-such-command"])).toContain("no-such-command");
  });

  it("exist where a flag stands alone", () => {
    // `--api-key` is no flag; it is known in order to be refused, and the threat model says so.
    const known = [...everyFlag(program), "--api-key"];
    const check = ({ codeSpans }: MarkdownPage) =>
      codeSpans.filter((span) => /^--[a-z]/.test(span)).filter((span) => !known.includes(span.split(/[ =]/)[0] ?? ""));
    expect(faults(check)).toEqual([]);
  });

  it("are scripts of package.json where npm runs them", () => {
    const check = ({ text }: MarkdownPage) =>
      [...text.matchAll(/npm run ([\w:-]+)/g)]
        .map(([, name = ""]) => name)
        .filter((name) => !(name in manifest.scripts));
    expect(
      faults(
        check,
        pages.filter(({ path }) => !path.startsWith("docs/decisions/")),
      ),
    ).toEqual([]);
  });
});

describe("names in the documents", () => {
  it("of environment variables are read by the program", () => {
    const known = wordsOf(
      `${sources} ${textOf("examples", /\.(?:ts|py|sh)$/)} ${textOf("scripts", /live\.mjs$/)} ${FOREIGN_VARIABLES}`,
    );
    const check = ({ codeSpans, codeBlocks }: MarkdownPage) => {
      const code = [...codeSpans, ...codeBlocks.map((block) => block.text)].join("\n");
      return [...new Set(code.match(/\b(?:[A-Z][A-Z0-9]*_)+[A-Z0-9]+\b(?![<…])/g))]
        .filter((name) => !known.has(name))
        .filter((name) => !/^ZEPH_COMPATIBLE_[A-Z0-9_]+_API_KEY$/.test(name));
    };
    expect(faults(check)).toEqual([]);
  });

  it("of config fields are in the schema", () => {
    const schema = wordsOf(
      ["src/config/schema.ts", "src/config/providers.ts"]
        .map((path) => readFileSync(join(ROOT, path), "utf8"))
        .join("\n"),
    );
    const check = ({ codeBlocks }: MarkdownPage) =>
      codeBlocks
        .filter(({ language }) => language === "toml")
        .flatMap(({ text }) => [...text.matchAll(/^#?\s*(?:\[+([\w.]+)\]+|([\w]+)\s*=)/gm)])
        .flatMap(([, table = "", key = ""]) => [...table.split("."), key])
        .filter((name) => name !== "" && !schema.has(name));
    expect(faults(check)).toEqual([]);
  });

  it("of errors are in the catalogue", () => {
    // A table whose column is called `code`, and links to the page of errors.
    const check = (page: MarkdownPage) => {
      const links = page.links.flatMap((link) => /errors\.md#(.+)$/.exec(link)?.[1] ?? []);
      return [...codeColumn(page.text), ...links].filter((code) => !(code in CATALOGUE));
    };
    expect(faults(check)).toEqual([]);
    expect(written.flatMap(({ text }) => codeColumn(text)).length).toBeGreaterThan(20);
  });

  it("of anything else that looks like a name are somewhere in the program or in the SDKs", () => {
    const sdk = ["ai/dist/index.d.ts", "@ai-sdk/provider/dist/index.d.ts", "openai/client.d.ts", "openai/error.d.ts"]
      .map((path) => readFileSync(join(ROOT, "node_modules", path), "utf8"))
      .join("\n");
    const known = wordsOf(`${sources} ${sdk} ${textOf("examples", /\.ts$/)} ${FOREIGN}`);
    const check = ({ codeSpans }: MarkdownPage) =>
      codeSpans
        .filter((span) => /^(?:[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|[a-z]+(?:_[a-z0-9]+)+)(?:\(\))?$/.test(span))
        .map((span) => span.replace("()", ""))
        .filter((name) => !known.has(name));
    expect(faults(check)).toEqual([]);
  });

  it("of messages are the program's own words", () => {
    const summaries = Object.values(CATALOGUE).map(({ summary }) => summary);
    const rows = [...readPage("docs/guides/troubleshooting.md").text.matchAll(/^\| `([^`]+)` \|/gm)].map(
      ([, seen]) => seen,
    );
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.filter((seen = "") => !summaries.some((summary) => summary.startsWith(seen)))).toEqual([]);
  });
});

/** Variables of other programs that the documents say how to set; GonkaGate's own is read by its broker's record. */
const FOREIGN_VARIABLES = "GONKAGATE_API_KEY OPENAI_API_BASE OPENAI_API_BASE_URL GONKA_VERIFY_PROOF";

/** Names of the Gonka network's and of gonka-openai's own, which the documents explain. */
const FOREIGN =
  "app_hash gonkaPrivateKey transferAddress selectedEndpoint resolveEndpoints endpointSelectionStrategy GonkaOpenAI";

/** The codes in columns of that name. */
function codeColumn(text: string): readonly string[] {
  return text.split(/\n{2,}/).flatMap((block) => {
    const lines = block.split("\n").filter((line) => line.startsWith("|"));
    const column = (lines[0] ?? "").split("|").findIndex((cell) => cell.trim() === "code");
    if (column < 0) return [];
    return lines
      .slice(2)
      .flatMap((line) =>
        [...(line.split(/(?<!\\)\|/)[column] ?? "").matchAll(/`(\w+)`/g)].map(([, code = ""]) => code),
      );
  });
}

describe("what other programs are given", () => {
  it("from curl and Python is what examples/local-endpoint has recorded, line for line", () => {
    const recorded = new Set(textOf("examples/local-endpoint", /\.(?:py|sh)$/).split("\n"));
    const blocks = written.flatMap(({ codeBlocks, path }) => codeBlocks.map((block) => ({ ...block, path })));
    const lines = blocks.flatMap(({ language, text, path }) => {
      const all = text.split("\n").filter((line) => line !== "");
      if (language === "python") return all.map((line) => ({ path, line }));
      if (language !== "sh") return [];
      const first = all.findIndex((line) => line.startsWith("curl "));
      return first === -1 ? [] : all.slice(first).map((line) => ({ path, line }));
    });
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.filter(({ line }) => !recorded.has(line))).toEqual([]);
  });

  it("as JSON is JSON", () => {
    const blocks = written.flatMap(({ codeBlocks }) => codeBlocks.filter(({ language }) => language === "json"));
    expect(blocks.length).toBeGreaterThan(0);
    for (const { text } of blocks) expect(() => JSON.parse(text), text).not.toThrow();
  });
});

describe("links between pages", () => {
  it("lead to files and headings that exist", () => {
    const check = ({ path, links }: MarkdownPage) =>
      links
        .filter((link) => !/^(?:https?|mailto):/.test(link))
        .filter((link) => {
          const [file = "", anchor] = link.split("#", 2);
          const target = file === "" ? path : normalize(join(dirname(path), file)).replaceAll("\\", "/");
          if (!existsSync(join(ROOT, target))) return true;
          return anchor !== undefined && target.endsWith(".md") && !readPage(target).anchors.has(anchor);
        });
    expect(faults(check, pages)).toEqual([]);
    expect(pages.flatMap(({ links }) => links).length).toBeGreaterThan(30);
  });

  it("that name a file of the tests name one that exists", () => {
    const named = pages.flatMap(({ codeSpans }) => codeSpans.filter((span) => /^test\/[\w/.-]+\.ts$/.test(span)));
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it("reach every guide from the README", () => {
    const { links } = readPage("README.md");
    const guides = pages.map(({ path }) => path).filter((path) => path.startsWith("docs/guides/"));
    expect(guides.filter((path) => !links.includes(path))).toEqual([]);
  });
});

describe("addresses in the documents", () => {
  const ADDRESS = /\b(gonka|cosmos|gonkavaloper)1[a-z0-9]{20,}\b/g;
  const texts = [
    ...pages.map(({ path, text }) => ({ path, text })),
    ...["docs/config-template.toml", "CHANGELOG.md"].map((path) => ({
      path,
      text: readFileSync(join(ROOT, path), "utf8"),
    })),
    { path: "examples", text: textOf("examples", /\.(?:ts|md|py|sh|json)$/) },
  ];

  it("have the checksum they claim (B5)", () => {
    const found = texts.flatMap(({ path, text }) =>
      [...text.matchAll(ADDRESS)].map(([address, prefix = ""]) => ({ path, address, prefix })),
    );
    expect(found.length).toBeGreaterThan(2);
    const invalid = found.filter(({ address, prefix }) => {
      try {
        parseAddress(address, { prefix });
        return false;
      } catch {
        return true;
      }
    });
    expect(invalid).toEqual([]);
  });
});
