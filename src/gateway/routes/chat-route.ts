import type { Answer } from "../answer.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import { type PreparedChat, prepareChat } from "../prepare-chat.ts";
import { readJsonBody } from "../read-json-body.ts";
import { shownNames } from "../shown-names.ts";
import { assembledAnswer } from "./assembled-answer.ts";
import { streamAnswer } from "./stream-answer.ts";
import { upstreamAnswer } from "./upstream-answer.ts";

/** POST /v1/chat/completions: body, model, the network's rules, upstream, answer; in this order. */
export async function chatRoute(context: RouteContext): Promise<Answer> {
  const { state, exchange, request } = context;
  const prepared = await prepareChat(
    await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve }),
    state.options,
    state.keepToolType,
  );
  record(context, prepared);
  if (prepared.stream) return streamAnswer(context, prepared.text);
  if (state.options.upstreamMode === "always-stream") return assembledAnswer(context, prepared.request);
  return upstreamAnswer(context, await forwardText(context, "/chat/completions", prepared.text));
}

function record({ exchange }: RouteContext, { model, stream, removed, changed }: PreparedChat): void {
  exchange.setModel(model);
  exchange.record.stream = stream;
  exchange.record.removed = shownNames(removed);
  exchange.record.changed = shownNames(changed);
}
