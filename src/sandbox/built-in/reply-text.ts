import { type ChatMessage, messageText } from "../engine.ts";
import { lastQuestion, userWords } from "./user-words.ts";

type Rule = readonly [pattern: RegExp, reply: (match: RegExpMatchArray, messages: readonly ChatMessage[]) => string];

const MAX_COUNT = 1000;
const MAX_WORDS = 20_000;

/** What the built-in engine answers to a conversation in plain words. The same conversation always gets the same answer. */
export function replyText(messages: readonly ChatMessage[]): string {
  const parts = userWords(lastQuestion(messages));
  const question = parts.join("\n");
  // Agents put what the user wrote behind what they have to say themselves.
  for (const text of [parts.at(-1) ?? "", question]) {
    for (const [pattern, reply] of RULES) {
      const match = text.match(pattern);
      if (match !== null) return reply(match, messages);
    }
  }
  return question === ""
    ? "Hello from the zeph sandbox. I got a message without text."
    : `Hello from the zeph sandbox. You wrote: "${gist(question)}". No real model is behind this answer, but the way ` +
        "it took is the real one: key check, network rules, and a streamed reply with token counts and cost.";
}

/** The beginning of a text, on one line. */
export function gist(text: string, maxChars = 120): string {
  const line = Array.from(text.replace(/\s+/g, " ").trim());
  return line.length > maxChars ? `${line.slice(0, maxChars - 1).join("")}…` : line.join("");
}

const RULES: readonly Rule[] = [
  [/\bcount\s+(?:from\s+(\d+)\s+)?(?:up\s+)?to\s+(\d+)/i, (match) => count(Number(match[1] ?? 1), Number(match[2]))],
  [/\bwrite\s+(?:about\s+)?(\d+)\s+words?\b/i, (match) => words(Math.min(Number(match[1]), MAX_WORDS))],
  [
    /^(?:please\s+)?(?:say|repeat|echo|(?:reply|answer|respond)(?:\s+(?:only|exactly|just))*\s+with)(?:\s+(?:only|exactly|just))*\s*:?\s+(.+)$/is,
    (match) => unquote(match[1] ?? ""),
  ],
  [/\bmarkdown\b/i, () => MARKDOWN_SAMPLE],
  [/\bwhat did i (?:just )?(?:say|ask|write|tell)\b|\bmy (?:first|last|previous) message\b/i, (_, all) => recall(all)],
  [/(-?\d+(?:\.\d+)?)\s*([+*/x×-])\s*(-?\d+(?:\.\d+)?)\s*\??/i, (match) => calculate(match)],
  [
    /\b(?:who|what) are you\b|\bwhat model\b/i,
    () => "I am the built-in engine of the zeph sandbox: a small program with fixed answers, not a language model.",
  ],
  [
    /^(?:hi|hello|hey|good (?:morning|day|evening))\b[\s\p{L}]{0,20}[!.,]*$/iu,
    () => "Hello! This is the zeph sandbox. Ask me to count to 5, to say something, or to show some Markdown.",
  ],
];

function count(from: number, to: number): string {
  const last = Math.min(to, from + MAX_COUNT - 1);
  return Array.from({ length: Math.max(0, last - from + 1) }, (_, index) => from + index).join(", ");
}

const VOCABULARY = "the small network answers every question with care and sends one word after another".split(" ");

function words(howMany: number): string {
  return Array.from({ length: howMany }, (_, index) => VOCABULARY[index % VOCABULARY.length]).join(" ");
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^(["'`]).*\1[.!]?$/s.test(trimmed) ? trimmed.replace(/^.(.*?)["'`][.!]?$/s, "$1") : trimmed;
}

function recall(messages: readonly ChatMessage[]): string {
  const earlier = messages.filter((message) => message.role === "user" && userWords(message).length > 0).slice(0, -1);
  const previous = earlier.at(-1);
  return previous === undefined
    ? "This is your first message."
    : `Before this, you wrote: "${gist(messageText(previous))}".`;
}

function calculate(match: RegExpMatchArray): string {
  const [, left = "", operator = "", right = ""] = match;
  const [a, b] = [Number(left), Number(right)];
  const result = { "+": a + b, "-": a - b, "*": a * b, x: a * b, X: a * b, "×": a * b, "/": a / b }[operator];
  return `${left} ${operator} ${right} = ${result}`;
}

const MARKDOWN_SAMPLE = `# A sample of Markdown

Some **bold**, some *italic*, some \`code\`, and a [link](https://example.com).

- first
- second
  1. nested

| model | tokens |
|---|---:|
| sandbox/echo-1 | 42 |

\`\`\`ts
const answer = 6 * 7;
\`\`\`

> That is all.
`;
