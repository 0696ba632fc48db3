import type { Hono } from "hono";
import { answerChat } from "../answer/answer-chat.ts";
import { countPromptTokens } from "../built-in/tokens.ts";
import type { ChatRequest, SandboxModel } from "../engine.ts";
import { applyNetworkRules } from "../network-rules/apply-network-rules.ts";
import { randomText } from "../random-text.ts";
import { authorize } from "./authorize.ts";
import { type BrokerRefusal, refusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import { modelNotFound } from "./model-routes.ts";
import { readJsonBody } from "./read-json-body.ts";
import { recordBody } from "./request-log.ts";

const DEFAULT_KEEP_ALIVE_MS = 15_000;

/** POST /v1/chat/completions: key, body, the network's rules, model, context length, answer; in this order. */
export function addChatRoute(app: Hono<BrokerEnv>, state: BrokerState): void {
  app.post("/v1/chat/completions", authorize(state, "billed"), async (context) => {
    const read = await readJsonBody(context.req.raw);
    if (read.kind === "refused") return refusalResponse(read.refusal);
    recordBody(context.get("record"), read.value, state.options.recordBodies === true ? "keep-body" : "names-only");

    const models = await state.engine.models();
    const ruled = applyNetworkRules(read.value, state.options.rules ?? "network");
    if (ruled.kind === "refused") return refusalResponse(invalidRequest(ruled.message));
    const known = models.find((model) => model.id === ruled.request.model && model.kind === "chat");
    if (known === undefined) return modelNotFound(ruled.request.model);
    const model = withReasoningForm(known, state);
    const request = capOutput(ruled.request, model);
    const tooLong = refuseContextLength(request, model);
    if (tooLong !== undefined) return refusalResponse(tooLong);

    return answerChat(request, {
      engine: state.engine,
      model,
      id: `chatcmpl-${randomText(state.random, 24)}`,
      usage: state.options.usage ?? "last-chunk",
      costs: state.options.costs ?? "with-costs",
      clock: state.clock,
      keepAliveMs: state.options.keepAliveMs ?? DEFAULT_KEEP_ALIVE_MS,
      signal: context.req.raw.signal,
    });
  });
}

function withReasoningForm(model: SandboxModel, state: BrokerState): SandboxModel {
  const form = state.options.reasoning?.[model.id];
  return form === undefined ? model : { ...model, reasoning: form };
}

/** The operator's cap: the smaller of the caller's two limits and the model's own. */
function capOutput(request: ChatRequest, model: SandboxModel): ChatRequest {
  const { max_completion_tokens: _, ...rest } = request;
  const limits = [request.max_tokens, request.max_completion_tokens].filter((limit) => typeof limit === "number");
  return { ...rest, max_tokens: Math.min(...limits, model.maxOutputTokens) } as ChatRequest;
}

function refuseContextLength(request: ChatRequest, model: SandboxModel): BrokerRefusal | undefined {
  const promptTokens = countPromptTokens(request);
  if (promptTokens < model.contextLengthTokens) return undefined;
  return {
    status: 400,
    code: "context_length_exceeded",
    param: "messages",
    message: `This model's maximum context length is ${model.contextLengthTokens} tokens. However, your messages resulted in ${promptTokens} tokens. Please reduce the length of the messages.`,
  };
}

function invalidRequest(message: string): BrokerRefusal {
  return { status: 400, code: "invalid_request", message };
}
