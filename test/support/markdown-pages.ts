import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { marked, type Token } from "marked";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface MarkdownPage {
  /** From the root of the project, with slashes. */
  readonly path: string;
  readonly text: string;
  /** What stands between backticks. */
  readonly codeSpans: readonly string[];
  readonly codeBlocks: readonly { readonly language: string; readonly text: string; readonly line: number }[];
  readonly links: readonly string[];
  /** What a link can point at with `#`, as GitHub names headings. */
  readonly anchors: ReadonlySet<string>;
}

/** Every page a reader may open, but not the decisions' and fixtures' own notes. */
export function markdownPages(): readonly MarkdownPage[] {
  const inDocs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .map((name) => `docs/${name.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".md") && !path.startsWith("docs/site/"));
  const others = readdirSync(ROOT).filter((name) => name.endsWith(".md"));
  return [...others, ...inDocs, "examples/README.md"].sort().map(readPage);
}

export function readPage(path: string): MarkdownPage {
  const text = readFileSync(join(ROOT, path), "utf8");
  const codeSpans: string[] = [];
  const codeBlocks: { language: string; text: string; line: number }[] = [];
  const links: string[] = [];
  const anchors = new Set<string>();
  const note = (token: Token): void => {
    if (token.type === "codespan") codeSpans.push(token.text);
    if (token.type === "link") links.push(token.href);
    if (token.type === "heading") anchors.add(slug(token.text));
    if (token.type === "code") {
      const line = text.slice(0, text.indexOf(token.raw)).split("\n").length;
      codeBlocks.push({ language: token.lang ?? "", text: token.text, line });
    }
  };
  // Gives promises for callbacks that return them; this one returns none.
  void marked.walkTokens(marked.lexer(text), note);
  return { path, text, codeSpans, codeBlocks, links, anchors };
}

/** GitHub's name for a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[`*]/g, "")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}
