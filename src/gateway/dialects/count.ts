import { asList, asObject, asText, type JsonObject } from "./dialect.ts";

/** Header of an answer whose number of tokens is {@link estimateTokens}. */
export const ESTIMATE_HEADERS = { "x-zeph-token-count": "estimate" } as const;

/** What wraps one message in most chat templates. */
const TOKENS_PER_MESSAGE = 4;
/** A picture of ordinary size; models differ widely. */
const TOKENS_PER_MEDIA = 1000;

/**
 * About how many tokens a chat request is. An estimate, made without the model's tokenizer: within a quarter or so for
 * prose and code in any script.
 */
export function estimateTokens({ messages, tools, response_format: format }: JsonObject): number {
  let tokens = 3;
  for (const each of asList(messages)) {
    const message = asObject(each) ?? {};
    tokens += TOKENS_PER_MESSAGE + contentTokens(message.content) + contentTokens(message.reasoning_content);
    if (message.tool_calls !== undefined) tokens += textTokens(JSON.stringify(message.tool_calls));
  }
  if (tools !== undefined) tokens += textTokens(JSON.stringify(tools));
  if (format !== undefined) tokens += textTokens(JSON.stringify(format));
  return tokens;
}

function contentTokens(content: unknown): number {
  if (typeof content === "string") return textTokens(content);
  let tokens = 0;
  for (const part of asList(content)) {
    const text = asText(asObject(part)?.text);
    tokens += text === undefined ? TOKENS_PER_MEDIA : textTokens(text);
  }
  return tokens;
}

/** Words of Latin letters are a token for up to six letters, numbers one for three digits, other signs and scripts denser. */
export function textTokens(text: string): number {
  let tokens = 0;
  for (const [run] of text.matchAll(/[A-Za-z]+|[0-9]+|\s+|[\u0080-\u2fff]+|[\u3000-\u{10ffff}]|[!-/:-@[-\x60{-~]+/gu)) {
    const first = run.charCodeAt(0);
    if ((first >= 65 && first <= 90) || (first >= 97 && first <= 122)) tokens += Math.ceil(run.length / 6);
    else if (first >= 48 && first <= 57) tokens += Math.ceil(run.length / 3);
    else if (/\s/.test(run)) tokens += run.length === 1 ? 0 : 1;
    else if (first >= 0x80 && first < 0x3000) tokens += Math.ceil(run.length / 3);
    else tokens += first < 0x80 ? 0.35 + 0.3 * run.length : 1;
  }
  return Math.ceil(tokens);
}
