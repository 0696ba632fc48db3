import { extractCostUsd } from "../brokers/cost.ts";
import { plausibleTokens } from "../internal/plausible.ts";
import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../internal/scan-json.ts";
import type { Usage } from "./exchange.ts";
import { asObject } from "./read-json-body.ts";

/** What an answer (or the last chunk of a stream) says about tokens and money; `undefined` when it says nothing. */
export function readUsage(body: unknown, headers?: Headers): Usage | undefined {
  const usage = asObject(asObject(body)?.usage);
  if (usage === undefined) return undefined;
  const costUsd = extractCostUsd(body, headers);
  return {
    ...count("promptTokens", usage.prompt_tokens),
    ...count("completionTokens", usage.completion_tokens),
    ...(costUsd === undefined ? {} : { costUsd }),
  };
}

function count(name: "promptTokens" | "completionTokens", value: unknown): Usage {
  const tokens = plausibleTokens(value);
  return tokens === undefined ? {} : { [name]: tokens };
}

const USAGE = Buffer.from('"usage":');
const SPACE = 0x20;
const BRACE = 0x7b;

/** The usage among lines of an event stream. Of the thousands of lines only those that hold one are parsed. */
export function usageInLines(lines: Buffer): Usage | undefined {
  let at = lines.lastIndexOf(USAGE);
  if (at === -1) return undefined;
  at += USAGE.length;
  while (lines[at] === SPACE) at += 1;
  // Many servers write `"usage":null` into every chunk.
  if (lines[at] !== BRACE) return undefined;
  const start = lines.lastIndexOf("data:", at);
  const end = lines.indexOf("\n", at);
  try {
    return readUsage(parseForeignJson(lines.toString("utf8", start + "data:".length, end), SMALL_ANSWER_LIMITS));
  } catch {
    // An event over several lines: its usage goes uncounted, its bytes go on all the same.
    return undefined;
  }
}
