import { Lexer, type Token } from "marked";
import type { Run } from "./runs.ts";

const ENTITIES: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#39;": "'",
  "&apos;": "'",
  "&nbsp;": " ",
};

/** Emphasis, code spans and links of one line, as styled runs. `base` holds for all of it. */
export function inlineRuns(text: string, base: readonly number[]): Run[] {
  return toRuns(Lexer.lexInline(text), base);
}

export function toRuns(tokens: readonly Token[], codes: readonly number[]): Run[] {
  return tokens.flatMap((token) => tokenRuns(token, codes));
}

function tokenRuns(token: Token, codes: readonly number[]): Run[] {
  const inner = "tokens" in token && token.tokens !== undefined ? token.tokens : [];
  switch (token.type) {
    case "strong":
      return toRuns(inner, [...codes, 1]);
    case "em":
      return toRuns(inner, [...codes, 3]);
    case "del":
      return toRuns(inner, [...codes, 9]);
    case "codespan":
      return [{ text: token.text, codes: [...codes, 36] }];
    case "link":
      return linkRuns(toRuns(inner, [...codes, 4]), token.href, codes);
    case "image":
      return linkRuns([{ text: token.text, codes: [...codes, 4] }], token.href, codes);
    case "br":
      return [{ text: " ", codes }];
    case "html":
      return [{ text: /^<br\s*\/?>$/i.test(token.raw) ? " " : token.raw, codes }];
    case "escape":
      return [{ text: token.text, codes }];
    case "text":
      return inner.length > 0 ? toRuns(inner, codes) : [{ text: decodeEntities(token.text), codes }];
    default:
      return [{ text: token.raw, codes }];
  }
}

/** The address is always shown: a label could pretend to lead elsewhere. */
function linkRuns(label: readonly Run[], href: string, codes: readonly number[]): Run[] {
  const text = label.map((run) => run.text).join("");
  const isAddress = text === href || href === `mailto:${text}` || href === `http://${text}`;
  return isAddress || href === "" ? [...label] : [...label, { text: ` (${href})`, codes: [...codes, 2] }];
}

function decodeEntities(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39|apos|nbsp);/g, (entity) => ENTITIES[entity] ?? entity);
}

/** Longest text that waits for the end of an emphasis; beyond that the sign was probably meant as it stands. */
const MAX_HELD_CHARS = 400;

/** May `text` be shown now, or could what follows still change its style (an open `**`, a code span, a link)? */
export function isSettled(text: string): boolean {
  if (!/[*_`~[]/.test(text) || text.length >= MAX_HELD_CHARS) return true;
  return !Lexer.lexInline(text).some((token) => token.type === "text" && mayOpen(token.raw));
}

const OPENERS = [
  /`/,
  // A run of signs with white space or the beginning before it and something to stress behind it.
  /(?:^|[^*])\*+[^*\s]/,
  /(?:^|[^\w~])[_~]+[^_~\s]/,
  // An unclosed bracket, or a link whose address is not complete.
  /\[[^\]]*$/,
  /\]\([^)]*$/,
];

function mayOpen(text: string): boolean {
  return OPENERS.some((opener) => opener.test(text));
}
