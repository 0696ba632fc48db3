// An answer's Markdown as elements. What a model writes is never read as HTML: marked only cuts it into tokens, and each
// token becomes an element with text in it. HTML in an answer is shown as the text that it is.
import { tokenizer } from "highlight";
import { marked } from "marked";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { CopyButton } from "./parts.js";

/** Deeper than this, quotes in quotes and lists in lists are shown as they were written. */
const MAX_DEPTH = 16;
/** Longer answers are shown as plain text, longer code without colours. */
const MAX_CHARACTERS = 400_000;
const MAX_HIGHLIGHTED = 12_000;
/** The highlighter's time grows with the square of such a run, which no program has and a hostile answer may. */
const LONG_RUN = /[\w$-]{300}|\s{300}/;
/** Longer code gets its colours when it stands still for a moment, not with every word that comes. */
const COLOURED_AT_ONCE = 2_000;
const STILL_MS = 150;

/** Draws Markdown, also while it grows: blocks that are complete are cut and drawn once. */
export function Markdown({ text }) {
  const kept = useRef({ length: 0, source: "", blocks: [] });
  const clean = harmless(text);
  if (clean.length > MAX_CHARACTERS) return html`<div class="markdown"><p class="as-written">${clean}</p></div>`;
  let { length, source, blocks } = kept.current;
  if (!clean.startsWith(source)) ({ length, source, blocks } = { length: 0, source: "", blocks: [] });
  const tail = cut(clean.slice(length));
  // The last two blocks may still change their kind: a line of dashes makes a heading of the paragraph before it.
  const done = tail.slice(0, Math.max(0, tail.length - 2));
  const drawn = done.map((token) => block(token, 0));
  length += done.reduce((sum, { raw }) => sum + raw.length, 0);
  const stable = [...blocks, ...drawn];
  kept.current = { length, source: clean.slice(0, length), blocks: stable };
  return html`<div class="markdown" dir="auto">${stable}${tail.slice(done.length).map((token) => block(token, 0))}</div>`;
}

/** Without what a terminal would obey and without what turns the direction of reading round. */
export const harmless = (text) => text.replace(TERMINAL_SEQUENCE, "").replace(CONTROL, "");
const TERMINAL_SEQUENCE = /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

function cut(text) {
  try {
    return marked.lexer(text);
  } catch {
    // Nested deeper than the stack. Only the paragraph that is shows as it was written.
    const parts = text.split(/(?<=\n)(?=\n)/);
    return parts.length > 1 ? parts.flatMap(cut) : [{ type: "text", raw: text, text }];
  }
}

function block(token, depth) {
  if (depth > MAX_DEPTH) return html`<p class="as-written">${token.raw}</p>`;
  const children = (tokens) => tokens.map((each) => block(each, depth + 1));
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      // The page has its own first and second level.
      return html`<${`h${Math.min(6, token.depth + 2)}`}>${inline(token.tokens, depth)}<//>`;
    case "paragraph":
      return html`<p>${inline(token.tokens, depth)}</p>`;
    case "text":
      return token.tokens ? html`<span>${inline(token.tokens, depth)}</span>` : plain(token.raw);
    case "code":
      return html`<${CodeBlock} code=${token.text} language=${(token.lang ?? "").split(/[\s{,]/)[0].toLowerCase()} />`;
    case "blockquote":
      return html`<blockquote>${children(token.tokens)}</blockquote>`;
    case "hr":
      return html`<hr />`;
    case "list":
      return html`<${token.ordered ? "ol" : "ul"} start=${token.ordered && token.start !== 1 ? token.start : undefined}>
        ${token.items.map(
          (item) => html`<li class=${item.task ? "task" : ""}>
            ${item.task && html`<input type="checkbox" disabled checked=${item.checked} aria-label=${item.checked ? "done" : "to do"} />`}
            ${item.tokens.filter(({ type }) => type !== "checkbox").map((each) => block(each, depth + 1))}
          </li>`,
        )}
      <//>`;
    case "table":
      return html`<div class="table-frame" role="region" aria-label="Table in the answer" tabindex="0">
        <table>
          <thead><tr>${token.header.map((cell) => html`<th scope="col" class=${cell.align ?? ""}>${inline(cell.tokens, depth)}</th>`)}</tr></thead>
          <tbody>${token.rows.map((row) => html`<tr>${row.map((cell) => html`<td class=${cell.align ?? ""}>${inline(cell.tokens, depth)}</td>`)}</tr>`)}</tbody>
        </table>
      </div>`;
    default:
      return html`<p class="as-written">${token.raw}</p>`;
  }
}

function inline(tokens = [], depth = 0) {
  if (depth > MAX_DEPTH) return tokens.map(({ raw }) => raw).join("");
  return tokens.map((token) => {
    const inner = () => inline(token.tokens, depth + 1);
    switch (token.type) {
      case "strong":
        return html`<strong>${inner()}</strong>`;
      case "em":
        return html`<em>${inner()}</em>`;
      case "del":
        return html`<del>${inner()}</del>`;
      case "codespan":
        return html`<code>${token.text}</code>`;
      case "br":
        return html`<br />`;
      case "link":
        return html`<${Link} href=${token.href}>${inner()}<//>`;
      case "image":
        // Nothing is fetched from elsewhere because an answer says so: the image stays a link.
        return html`<${Link} href=${token.href}>Image: ${plain(token.text || token.href)}<//>`;
      case "html":
        return /^<br\s*\/?>$/i.test(token.raw.trim()) ? html`<br />` : token.raw;
      case "escape":
        return token.text;
      case "text":
        return token.tokens ? inner() : plain(token.text);
      default:
        return token.raw;
    }
  });
}

/** Only addresses that a browser opens as pages or mail; anything else stays text. */
function Link({ href, children }) {
  let url;
  try {
    url = new URL(href);
  } catch {
    return children;
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return children;
  return html`<a href=${url.href} title=${url.href} target="_blank" rel="noopener noreferrer nofollow">${children}</a>`;
}

function CodeBlock({ code, language }) {
  const [pieces, setPieces] = useState(undefined);
  useEffect(() => {
    let isCurrent = true;
    const colour = () => void highlight(code, language).then((found) => isCurrent && setPieces(found));
    const timer = setTimeout(colour, code.length < COLOURED_AT_ONCE ? 0 : STILL_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [code, language]);
  // What has come since the colours stands plain behind them, so that nothing flickers.
  const isPrefix = pieces !== undefined && code.startsWith(pieces.code);
  return html`<div class="code">
    <div class="code-head"><span>${language || "text"}</span><${CopyButton} text=${code} label="Copy this code" /></div>
    <pre tabindex="0" role="region" aria-label=${`Code, ${language || "text"}`}><code>${
      isPrefix
        ? pieces.tokens.map(([text, type]) => (type ? html`<span class=${`t-${type}`}>${text}</span>` : text))
        : null
    }${isPrefix ? code.slice(pieces.code.length) : code}</code></pre>
  </div>`;
}

/** Names that models use, as the highlighter calls them. */
const LANGUAGES = Object.fromEntries(
  Object.entries({
    bash: "bash sh shell zsh console shellscript",
    c: "c cpp c++ h hpp cc objective-c csharp cs",
    css: "css scss less",
    csv: "csv",
    diff: "diff patch",
    docker: "docker dockerfile",
    go: "go golang",
    html: "html vue svelte",
    http: "http",
    ini: "ini conf properties env",
    java: "java kotlin kt scala swift dart",
    js: "js javascript jsx mjs cjs node",
    json: "json json5 jsonc jsonl",
    lua: "lua",
    make: "make makefile",
    md: "md markdown",
    pl: "pl perl",
    py: "py python python3 ruby rb",
    rs: "rs rust",
    sql: "sql postgres postgresql mysql sqlite",
    toml: "toml",
    ts: "ts typescript tsx mts",
    xml: "xml svg xhtml",
    yaml: "yaml yml",
  }).flatMap(([name, aliases]) => aliases.split(" ").map((alias) => [alias, name])),
);
const loaded = new Map();

/** The code in pieces with their kinds. The highlighter asks for the languages that it meets; each is loaded once. */
async function highlight(code, language) {
  const name = Object.hasOwn(LANGUAGES, language) ? LANGUAGES[language] : undefined;
  if (name === undefined || code.length > MAX_HIGHLIGHTED || LONG_RUN.test(code)) return undefined;
  const tokens = [];
  const work = tokenizer(code, name, (text, type) => text !== "" && tokens.push([text, type]));
  let asked = work.next();
  while (!asked.done) asked = work.next(await grammar(asked.value));
  return { code, tokens };
}

async function grammar(name) {
  if (!/^[a-z]+$/.test(name)) return [];
  if (!loaded.has(name)) {
    loaded.set(
      name,
      import(`/page/lib/languages/${name}.js`).then(
        (module) => module.default,
        () => [],
      ),
    );
  }
  return loaded.get(name);
}

/** marked writes some characters as entities, as it would in HTML; here they are text. */
function plain(text) {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (whole, name) => ENTITIES[name] ?? whole);
}
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };
