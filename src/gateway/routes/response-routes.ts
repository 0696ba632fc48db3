import { ZephError } from "../../errors/zeph-error.ts";
import { type Answer, jsonAnswer } from "../answer.ts";
import { ESTIMATE_HEADERS } from "../dialects/count.ts";
import { messageTokens } from "../dialects/messages.ts";
import { responseInputTokens } from "../dialects/responses.ts";
import type { RouteContext } from "../gateway-state.ts";
import { readJsonBody } from "../read-json-body.ts";

/** GET and DELETE /v1/responses/{id}, from the memory that `previous_response_id` is answered from. */
export function responseRoute({ state, request }: RouteContext, id: string): Answer {
  const { memory } = state.dialects;
  const found = memory.find(id);
  if (found === undefined) throw new ZephError("response_not_found");
  if (request.method !== "DELETE") return jsonAnswer(found.document);
  memory.forget(id);
  return jsonAnswer({ id, object: "response", deleted: true });
}

/** POST /v1/messages/count_tokens and /v1/responses/input_tokens: an estimate, free, and said to be one. */
export async function countRoute(
  { state, exchange, request }: RouteContext,
  of: "messages" | "responses",
): Promise<Answer> {
  const { value } = await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve });
  const counted = of === "messages" ? messageTokens(value) : responseInputTokens(value, state.dialects);
  return jsonAnswer(counted, 200, ESTIMATE_HEADERS);
}
