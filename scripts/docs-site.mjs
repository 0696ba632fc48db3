// Builds docs/site: one HTML page per document, the examples, and the API reference. Plain files with relative links: they
// can be opened from the folder, or be put on any web server.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { Marked } from "marked";
import { buildApi } from "./docs-api.mjs";
import { escapeHtml, highlight } from "./docs-highlight.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const site = join(root, "docs", "site");

/** Sources in the order of the menu. Guides and decisions that are not named here follow by themselves. */
const SECTIONS = [
  { title: "Start", sources: ["README.md"] },
  {
    title: "Guides",
    sources: [
      "gateway",
      "native",
      "devshard",
      "ai-sdk",
      "openai-sdk",
      "serve",
      "page",
      "operate",
      "testing",
      "troubleshooting",
    ].map((name) => `docs/guides/${name}.md`),
    folder: "docs/guides",
  },
  { title: "Examples", sources: ["examples/README.md"], folder: "examples" },
  { title: "Reference", sources: ["docs/cli.md", "docs/errors.md", "docs/config-template.toml", "docs/protocol.md"] },
  {
    title: "Background",
    sources: [
      "ARCHITECTURE.md",
      "docs/threat-model.md",
      "docs/live-checks.md",
      "SECURITY.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
    ],
  },
  { title: "Decisions", sources: [], folder: "docs/decisions" },
];

/** Builds everything anew. Resolves with the number of pages, and of typedoc's complaints. */
export async function buildSite() {
  rmSync(site, { recursive: true, force: true });
  mkdirSync(site, { recursive: true });
  const sections = SECTIONS.map((section) => ({ title: section.title, pages: sourcesOf(section).map(toPage) }));
  const pages = sections.flatMap((section) => section.pages);
  const api = await buildApi(root, join(site, "api"));
  for (const page of pages) {
    const target = join(site, page.href);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, wholePage(page, sections, renderBody(page, pages)));
  }
  for (const name of ["docs-style.css", "docs-search.js"]) {
    copyFileSync(join(root, "scripts", name), join(site, name.replace("docs-", "")));
  }
  const entries = [...pages.flatMap(searchEntries), ...api.entries];
  // A script and not JSON, because pages opened from a folder may not fetch.
  writeFileSync(join(site, "search-index.js"), `globalThis.searchIndex = ${JSON.stringify(entries)};\n`);
  const dead = pages.flatMap(deadLinks);
  for (const link of dead) console.error(`dead link: ${link}`);
  return { pages: pages.length, warnings: api.warnings + dead.length };
}

/** Links of a finished page that lead to no file. */
function deadLinks({ href }) {
  const html = readFileSync(join(site, href), "utf8");
  return [...html.matchAll(/ (?:href|src)="(?![a-z]+:|#)([^"#]+)/g)]
    .filter(([, target]) => !existsSync(join(site, dirname(href), target)))
    .map(([, target]) => `${href} → ${target}`);
}

function sourcesOf({ sources, folder }) {
  const inFolder =
    folder === undefined
      ? []
      : readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
          .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
          .filter((path) => /\.(?:md|ts|py|sh)$/.test(path))
          .sort();
  return [...new Set([...sources, ...inFolder])].filter((path) => existsSync(join(root, path)));
}

function toPage(source) {
  const text = readFileSync(join(root, source), "utf8");
  const isMarkdown = source.endsWith(".md");
  const heading = /^# (.+)$/m.exec(text)?.[1]?.replaceAll("`", "");
  const title = isMarkdown
    ? (heading ?? basename(source))
    : source === "docs/config-template.toml"
      ? "Config file"
      : source.replace("examples/", "");
  return {
    source,
    text,
    isMarkdown,
    title,
    menuTitle: MENU_TITLES[source] ?? title,
    href: hrefOf(source),
    headings: [],
  };
}

const MENU_TITLES = { "README.md": "zeph", "examples/README.md": "All examples", "docs/cli.md": "Commands" };

/** Where the page of a source is, from the site's root. */
function hrefOf(source) {
  if (source === "README.md") return "index.html";
  const place = source.replace(/^docs\//, "").toLowerCase();
  return source.endsWith(".md") ? place.replace(/readme\.md$/, "index.md").replace(/\.md$/, ".html") : `${place}.html`;
}

function renderBody(page, pages) {
  if (!page.isMarkdown) {
    const language = extname(page.source).slice(1);
    return `<h1>${escapeHtml(page.title)}</h1>\n<pre><code>${highlight(page.text, language)}</code></pre>`;
  }
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const id = slug(text);
        page.headings.push({ id, depth, text: text.replaceAll("`", "") });
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}<a class="here" href="#${id}" aria-label="link to this section">#</a></h${depth}>\n`;
      },
      code: ({ text, lang }) => `<pre><code>${highlight(text, lang)}</code></pre>\n`,
      link({ href, tokens }) {
        return `<a href="${escapeHtml(rewriteLink(href, page, pages))}">${this.parser.parseInline(tokens)}</a>`;
      },
      table({ header, rows }) {
        const row = (cells, tag) =>
          `<tr>${cells.map(({ tokens }) => `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`).join("")}</tr>`;
        return `<div class="table"><table><thead>${row(header, "th")}</thead><tbody>${rows.map((cells) => row(cells, "td")).join("")}</tbody></table></div>\n`;
      },
    },
  });
  return marked.parse(page.text);
}

/** A link to a document becomes one to its page; a link to another file, one into the checkout. */
function rewriteLink(link, page, pages) {
  if (/^[a-z]+:|^#/.test(link)) return link;
  const [file, anchor] = link.split("#", 2);
  const source = posix.normalize(posix.join(posix.dirname(page.source), file));
  const known = pages.find((each) => each.source === source);
  const target = known === undefined ? posix.join("../..", source) : known.href;
  return `${relativeTo(page, target)}${anchor === undefined ? "" : `#${anchor}`}`;
}

function relativeTo(page, href) {
  return posix.relative(posix.dirname(page.href), href) || posix.basename(href);
}

/** As GitHub names headings, so that links between documents work in both places. */
function slug(heading) {
  return heading
    .toLowerCase()
    .replace(/[`*]/g, "")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

function wholePage(page, sections, body) {
  const at = (href) => escapeHtml(relativeTo(page, href));
  const item = (each) =>
    each === page
      ? `<li><a href="${at(each.href)}" aria-current="page">${escapeHtml(each.menuTitle)}</a>${contents(page)}</li>`
      : `<li><a href="${at(each.href)}">${escapeHtml(each.menuTitle)}</a></li>`;
  const api = `<li><a href="${at("api/index.html")}">API</a></li>`;
  const menu = sections
    .map(({ title, pages }) => {
      const items = pages.map(item).join("\n") + (title === "Reference" ? api : "");
      // Long lists stay closed until one of their pages is open.
      const isOpen = pages.length < 9 || pages.includes(page);
      return `<details${isOpen ? " open" : ""}><summary>${title}</summary><ul>${items}</ul></details>`;
    })
    .join("\n");
  const title =
    page.href === "index.html" ? "zeph: the Gonka network from TypeScript and the terminal" : `${page.title} · zeph`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${at("style.css")}">
</head>
<body data-root="${escapeHtml(posix.relative(posix.dirname(page.href), "") || ".")}">
<a class="skip" href="#content">Skip to the text</a>
<nav>
<a class="name" href="${at("index.html")}">zeph</a>
<input type="search" placeholder="Search" aria-label="Search the documents">
<ol id="found" hidden></ol>
<div class="menu">
${menu}
</div>
</nav>
<main id="content">
${body}
</main>
<script src="${at("search-index.js")}" defer></script>
<script src="${at("search.js")}" defer></script>
</body>
</html>
`;
}

/** The sections of the open page, below its name in the menu. */
function contents({ headings }) {
  const second = headings.filter(({ depth }) => depth === 2);
  if (second.length < 2) return "";
  const items = second.map(({ id, text }) => `<li><a href="#${id}">${escapeHtml(text)}</a></li>`).join("");
  return `<ul class="contents">${items}</ul>`;
}

/** One entry per section of a page. */
function searchEntries(page) {
  if (!page.isMarkdown) return [{ title: page.title, href: page.href, text: page.text.slice(0, 2000) }];
  return page.text.split(/^(?=#{1,3} )/m).flatMap((section) => {
    const heading = /^#{1,3} (.+)$/m.exec(section)?.[1];
    if (heading === undefined) return [];
    const title = heading.replaceAll("`", "");
    const text = section
      .slice(section.indexOf("\n") + 1)
      .replace(/\]\([^)]*\)|[`*|#[\]]+|-{3,}/g, " ")
      .replace(/\s+/g, " ");
    return [
      {
        title: title === page.title ? title : `${page.title}: ${title}`,
        href: `${page.href}#${slug(heading)}`,
        text: text.slice(0, 2000),
      },
    ];
  });
}
