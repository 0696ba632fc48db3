import { type Answer, jsonAnswer } from "../answer.ts";
import { assembleCompletion } from "../assemble/assemble-completion.ts";
import { wantedFields } from "../assemble/unwanted-fields.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import type { JsonObject } from "../read-json-body.ts";
import { readUsage } from "../usage.ts";
import { isEventStream, noteUpstream, upstreamAnswer } from "./upstream-answer.ts";

/**
 * A whole answer from an upstream that is asked to stream it. Nothing reaches the caller before the end, so a stream that
 * breaks off is an error with a status; callers need a timeout of their own that allows for a whole answer.
 */
export async function assembledAnswer(context: RouteContext, request: JsonObject): Promise<Answer> {
  const asked = { ...request, stream: true, stream_options: { include_usage: true } };
  const response = await forwardText(context, "/chat/completions", JSON.stringify(asked));
  if (!response.ok || response.body === null || !isEventStream(response)) return upstreamAnswer(context, response);
  const headers = noteUpstream(context, response.headers);
  const completion = await assembleCompletion(response.body, wantedFields(request));
  context.exchange.record.usage = readUsage(completion, response.headers);
  return jsonAnswer(completion, 200, { ...headers, "content-type": "application/json" });
}
