import { ZephError } from "../../errors/zeph-error.ts";
import type { Answer } from "../answer.ts";
import { refuseTokenInput } from "../dialects/completions.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import { meantModel } from "../prepare-chat.ts";
import { readJsonBody } from "../read-json-body.ts";
import { upstreamAnswer } from "./upstream-answer.ts";

/** POST /v1/embeddings, as it came, for models that the upstream lists as made for it. */
export async function embeddingsRoute(context: RouteContext): Promise<Answer> {
  const { state, exchange, request } = context;
  const { text, value } = await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve });
  refuseTokenInput(value);
  const { aliases, defaultEmbeddingModel } = state.options;
  const { model } = { ...value, model: value.model ?? defaultEmbeddingModel };
  if (typeof model !== "string") throw new ZephError("model_missing", { detail: "the request names none" });
  const meant = meantModel(model, aliases);
  exchange.setModel(meant);
  await state.checkEmbeddings(meant, request.signal);
  const body = meant === value.model ? text : JSON.stringify({ ...value, model: meant });
  return upstreamAnswer(context, await forwardText(context, "/embeddings", body));
}
