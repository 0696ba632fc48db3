import type { Hono } from "hono";
import { PLATFORM_FEE_RATE } from "../answer/price.ts";
import type { SandboxModel } from "../engine.ts";
import { authorize } from "./authorize.ts";
import { refusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";

/** GET /v1/models, and GET /v1/models/{id} with an id that may hold slashes. */
export function addModelRoutes(app: Hono<BrokerEnv>, state: BrokerState): void {
  app.use("/v1/models", authorize(state, "free"));
  app.use("/v1/models/*", authorize(state, "free"));
  app.get("/v1/models", async () => {
    const form = state.options.modelList ?? "full";
    if (form === "unavailable") {
      return refusalResponse({ status: 503, code: "service_unavailable", message: "No models are available now." });
    }
    const models = form === "empty" ? [] : await state.engine.models();
    return Response.json({ object: "list", data: models.map((model) => modelEntry(model, form === "bare")) });
  });
  app.get("/v1/models/:id{.+}", async (context) => {
    const id = context.req.param("id");
    const model = (await state.engine.models()).find((known) => known.id === id);
    return model === undefined ? modelNotFound(id) : Response.json(modelEntry(model, false));
  });
}

/** Ids are compared exactly: letter case counts, as on every real broker. */
export function modelNotFound(id: string): Response {
  return refusalResponse({
    status: 404,
    code: "model_not_found",
    param: "model",
    message: `The model \`${id}\` does not exist or you do not have access to it.`,
  });
}

const CREATED_SECONDS = 1_767_225_600;

function modelEntry(model: SandboxModel, isBare: boolean): object {
  return {
    id: model.id,
    object: "model",
    created: CREATED_SECONDS,
    owned_by: "gonka",
    ...(isBare
      ? {}
      : {
          ...(model.kind === "embedding" ? { type: "embedding" } : {}),
          name: model.id.split("/").at(-1),
          description: `A made-up ${model.kind} model of the zeph sandbox.`,
          context_length: model.contextLengthTokens,
          pricing: { prompt: perToken(model.promptUsdPer1M), completion: perToken(model.completionUsdPer1M) },
        }),
  };
}

/** USD per token as a decimal string, the fee included: the form OpenRouter began and GonkaGate follows. */
function perToken(usdPer1M: number): string {
  return ((usdPer1M * (1 + PLATFORM_FEE_RATE)) / 1e6).toFixed(12).replace(/0+$/, "").replace(/\.$/, "");
}
