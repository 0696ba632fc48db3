import type { Answer } from "../answer.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import { readJsonBody } from "../read-json-body.ts";
import { upstreamAnswer } from "./upstream-answer.ts";

/** POST /v1/embeddings, as it came. An upstream without embeddings refuses it as `unsupported_capability`. */
export async function embeddingsRoute(context: RouteContext): Promise<Answer> {
  const { state, exchange, request } = context;
  const { aliases = {} } = state.options;
  const { text, value } = await readJsonBody(request, state.maxBodyBytes);
  const { model } = value;
  if (typeof model !== "string") return upstreamAnswer(context, await forwardText(context, "/embeddings", text));
  const meant = Object.hasOwn(aliases, model) ? (aliases[model] ?? model) : model;
  exchange.setModel(meant);
  const body = meant === model ? text : JSON.stringify({ ...value, model: meant });
  return upstreamAnswer(context, await forwardText(context, "/embeddings", body));
}
