import type { Hono } from "hono";
import { countTokens } from "../built-in/tokens.ts";
import { authorize } from "./authorize.ts";
import { refusalResponse } from "./broker-refusal.ts";
import type { BrokerEnv, BrokerState } from "./broker-state.ts";
import { modelNotFound } from "./model-routes.ts";
import { readJsonBody } from "./read-json-body.ts";
import { recordBody } from "./request-log.ts";

const MAX_INPUTS = 2048;

/** POST /v1/embeddings, where the engine has an embedding model; GonkaGate has none and answers 404. */
export function addEmbeddingsRoute(app: Hono<BrokerEnv>, state: BrokerState): void {
  app.post("/v1/embeddings", authorize(state, "billed"), async (context) => {
    const { engine } = state;
    const embeddingModels = (await engine.models()).filter((model) => model.kind === "embedding");
    if (engine.embed === undefined || embeddingModels.length === 0) {
      return refusalResponse({ status: 404, code: "not_found", message: "/v1/embeddings is not supported." });
    }
    const read = await readJsonBody(context.req.raw);
    if (read.kind === "refused") return refusalResponse(read.refusal);
    recordBody(context.get("record"), read.value, state.options.recordBodies === true ? "keep-body" : "names-only");
    const { model, input, encoding_format: encoding } = Object(read.value) as Record<string, unknown>;
    if (!embeddingModels.some((known) => known.id === model)) return modelNotFound(String(model));
    const texts = typeof input === "string" ? [input] : input;
    if (!isTextList(texts)) {
      const message = `input must be a text or an array of 1 to ${MAX_INPUTS} texts, none of them empty.`;
      return refusalResponse({ status: 400, code: "invalid_request", param: "input", message });
    }
    const vectors = await engine.embed(texts, String(model));
    const tokens = texts.reduce((sum, text) => sum + countTokens(text), 0);
    return Response.json({
      object: "list",
      model,
      data: vectors.map((vector, index) => ({
        object: "embedding",
        index,
        embedding: encoding === "base64" ? toBase64(vector) : vector,
      })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  });
}

function isTextList(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_INPUTS) return false;
  return value.every((text) => typeof text === "string" && text !== "");
}

/** Little-endian 32-bit floats, the form OpenAI clients ask for by default. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString("base64");
}
