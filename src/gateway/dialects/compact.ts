import { estimateTokens } from "./count.ts";
import {
  asChunk,
  asText,
  type ChatCompletion,
  given,
  type JsonObject,
  refused,
  type Stamps,
  seal,
  type Translation,
} from "./dialect.ts";
import { orderedParts } from "./parts.ts";
import { type ResponsesOptions, responsesToChat, SUMMARY_REQUEST } from "./responses.ts";
import { usageOf } from "./responses-events.ts";

/*
 * POST /v1/responses/compact (Open Responses 2026-04-24): a long conversation as a short one that can be sent in its
 * place. The model writes a summary; the answer holds the user's latest own words and the summary as a `compaction` item,
 * which the next request hands back.
 */

export interface CompactContext {
  /** Messages of the user that are kept as they are. */
  readonly kept: readonly JsonObject[];
}

/** The user's own words are kept up to this many tokens, the latest first. */
const MAX_KEPT_TOKENS = 8000;

/** A conversation as the request for its summary. Throws what {@link responsesToChat} throws. */
export function compactToChat(body: JsonObject, options: ResponsesOptions): Translation<CompactContext> {
  const { model, input, previous_response_id: previousId, instructions } = body;
  const { chat, dropped, context } = responsesToChat(
    given({ model, input, previous_response_id: previousId, instructions }),
    options,
  );
  const messages = [...(chat.messages as readonly JsonObject[]), { role: "user", content: SUMMARY_REQUEST }];
  return { chat: { ...chat, messages }, dropped, context: { kept: latestUserMessages(context.input, options.stamps) } };
}

/** The summary as a compacted conversation. Throws `invalid_request` when the model wrote none. */
export function compactFromWhole(completion: ChatCompletion, { kept }: CompactContext, stamps: Stamps): JsonObject {
  let summary = "";
  const parts = orderedParts({
    open: () => "",
    grow: () => "",
    close({ kind, text }) {
      if (kind === "text") summary += text;
      return "";
    },
  });
  parts.add(asChunk(completion));
  parts.end();
  if (summary.trim() === "") throw refused("input", "the model wrote no summary; try again, or with another model");
  const item = { id: `cmp_${stamps.newId()}`, type: "compaction", encrypted_content: seal(summary.trim()) };
  return {
    id: `resp_${stamps.newId()}`,
    object: "response.compaction",
    created_at: Math.floor(stamps.nowMs() / 1000),
    output: [...kept, item],
    usage: usageOf(completion.usage ?? {}),
  };
}

function latestUserMessages(items: readonly JsonObject[], stamps: Stamps): readonly JsonObject[] {
  const kept: JsonObject[] = [];
  let tokens = 0;
  for (const item of items.toReversed()) {
    if ((item.type ?? "message") !== "message" || item.role !== "user") continue;
    tokens += estimateTokens({ messages: [item] });
    if (tokens > MAX_KEPT_TOKENS) break;
    const { content } = item;
    const parts = typeof content === "string" ? [{ type: "input_text", text: content }] : content;
    kept.unshift({
      id: asText(item.id) ?? `msg_${stamps.newId()}`,
      type: "message",
      status: "completed",
      role: "user",
      content: parts,
    });
  }
  return kept;
}
