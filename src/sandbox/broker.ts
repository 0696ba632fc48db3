import { type Context, Hono, type MiddlewareHandler } from "hono";
import { scrub } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { NETWORK_LIMITS } from "../rules/parameters.ts";
import { accountRefusalResponse, answerChat, type BrokerRefusal, htmlPage, refusalResponse } from "./answers.ts";
import {
  type ChatRequest,
  countPromptTokens,
  countTokens,
  PLATFORM_FEE_RATE,
  randomText,
  type SandboxModel,
} from "./engine.ts";
import {
  type Fault,
  type FaultSurroundings,
  isUnanswered,
  rawConnection,
  replacement,
  spoilBody,
  unanswered,
} from "./faults.ts";
import { type BrokerEnv, type BrokerState, type OpenRecord, recordBody, refuseKey } from "./keys.ts";
import { applyNetworkRules } from "./rules.ts";
import { aborted } from "./server.ts";

/** Endpoints of the OpenAI API that this broker knows by name and does not offer (GonkaGate documentation, 2026). */
const UNSUPPORTED = ["/v1/responses", "/v1/completions", "/v1/images/*", "/v1/audio/*", "/v1/files", "/v1/batches"];

/** The fake broker as an app: `app.fetch` is a `(Request) => Promise<Response>`. */
export function brokerApp(state: BrokerState): Hono<BrokerEnv> {
  const app = new Hono<BrokerEnv>();
  app.use(recordRequests(state));
  app.use(playFaults(state));
  addModelRoutes(app, state);
  addChatRoute(app, state);
  addEmbeddingsRoute(app, state);
  addAccountRoutes(app, state);
  app.get("/health", () => Response.json({ status: "ok" }));
  app.on("POST", UNSUPPORTED, (context) =>
    refusalResponse({ status: 404, code: "not_found", message: `${context.req.path} is not supported.` }),
  );
  app.notFound(() => htmlPage(404, "Not Found"));
  app.onError((error, context) => {
    if (context.req.raw.signal.aborted) return unanswered();
    // The remote engine's failures arrive as our errors; anything else is a fault of the sandbox itself.
    const status = ZephError.is(error) ? error.httpStatus : 500;
    const message = ZephError.is(error) ? error.message : "The sandbox failed in a way it did not expect.";
    return refusalResponse({ status, message, code: ZephError.is(error) ? error.code : "internal_error" });
  });
  return app;
}

const DEFAULT_KEEP_ALIVE_MS = 15_000;

/** POST /v1/chat/completions: key, body, the network's rules, model, context length, answer; in this order. */
function addChatRoute(app: Hono<BrokerEnv>, state: BrokerState): void {
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

/** GET /v1/models, and GET /v1/models/{id} with an id that may hold slashes. */
function addModelRoutes(app: Hono<BrokerEnv>, state: BrokerState): void {
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
function modelNotFound(id: string): Response {
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

const MAX_INPUTS = 2048;

/** POST /v1/embeddings, where the engine has an embedding model; GonkaGate has none and answers 404. */
function addEmbeddingsRoute(app: Hono<BrokerEnv>, state: BrokerState): void {
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

/** GonkaGate's own API beside `/v1`: prices and the state of the account (its documentation, 2026). */
function addAccountRoutes(app: Hono<BrokerEnv>, state: BrokerState): void {
  const nowIso = () => new Date(state.clock.nowMs()).toISOString();
  const priceList = async () =>
    Response.json({
      success: true,
      data: { updatedAt: nowIso(), models: (await state.engine.models()).map(priceEntry) },
    });
  app.get("/api/v1/public/pricing", priceList);
  app.get("/api/v1/pricing", async (context) => refuseAccount(context, state) ?? (await priceList()));
  app.get("/api/v1/whoami", (context) => refuseAccount(context, state) ?? Response.json(whoami(context, state)));
}

function refuseAccount(context: Context<BrokerEnv>, state: BrokerState): Response | undefined {
  const { key, requestId } = context.get("record");
  // An unverified account may ask about itself: that is how it learns what is missing.
  if (key === "unverified") return undefined;
  const nowMs = state.clock.nowMs();
  const refusal = refuseKey(key, { billed: false, policy: state.options, nowMs });
  return refusal === undefined ? undefined : accountRefusalResponse(refusal, requestId, nowMs);
}

function priceEntry(model: SandboxModel): object {
  const network = model.promptUsdPer1M;
  const platformFee = round(network * PLATFORM_FEE_RATE);
  return { id: model.id, usdPer1MTokens: { network, platformFee, total: round(network + platformFee) } };
}

const round = (usd: number) => Math.round(usd * 1e6) / 1e6;

function whoami(context: Context<BrokerEnv>, state: BrokerState): object {
  const { key } = context.get("record");
  const hasMoney = key !== "outOfMoney";
  return {
    success: true,
    data: {
      user: { emailMasked: "s***@example.com", emailVerified: key !== "unverified" },
      apiKey: {
        name: "sandbox",
        maskedKey: "gp-****",
        status: "active",
        expiresAt: null,
        lastUsed: new Date(state.clock.nowMs()).toISOString(),
      },
      balance: hasMoney ? { usd: "10.00", status: "active" } : { usd: "0.00", status: "suspended" },
    },
  };
}

/** Lets a request of `/v1/*` pass only with a key that may make it. */
function authorize(state: BrokerState, price: "billed" | "free"): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const refusal = refuseKey(context.get("record").key, {
      billed: price === "billed",
      policy: state.options,
      nowMs: state.clock.nowMs(),
    });
    if (refusal !== undefined) return refusalResponse(refusal);
    await next();
    return undefined;
  };
}

type JsonBody =
  | { readonly kind: "body"; readonly value: unknown }
  | { readonly kind: "refused"; readonly refusal: BrokerRefusal };

/** Reads a JSON body of at most 10 MiB. A larger one is read to its end, so that the client hears why it was refused. */
async function readJsonBody(request: Request): Promise<JsonBody> {
  const bytes = await readUpTo(request.body, NETWORK_LIMITS.maxBodyBytes);
  if (bytes === undefined) return { kind: "refused", refusal: { status: 413, message: "request body too large" } };
  try {
    return { kind: "body", value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return { kind: "refused", refusal: { status: 400, code: "invalid_request", message: "Invalid JSON body." } };
  }
}

async function readUpTo(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length <= maxBytes) chunks.push(chunk);
  }
  return length > maxBytes ? undefined : Buffer.concat(chunks);
}

/** A sandbox may run for days; the oldest records go first. */
const MAX_RECORDS = 10_000;

/** Gives every request an id and a line in the log, and tells when it has ended. */
function recordRequests(state: BrokerState): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const startedMs = state.clock.nowMs();
    const record: OpenRecord = {
      requestId: `req_${randomText(state.random, 24)}`,
      method: context.req.method,
      // Somebody may put a key into the address by mistake.
      path: scrub(context.req.path),
      key: state.readKey(context.req.header("authorization")),
      fields: {},
    };
    state.requests.push(record);
    if (state.requests.length > MAX_RECORDS) state.requests.shift();
    context.set("record", record);
    const end = () => {
      if (record.elapsedMs !== undefined) return;
      record.elapsedMs = state.clock.nowMs() - startedMs;
      state.options.onRequest?.(record);
    };
    const { outgoing } = context.env ?? {};
    outgoing?.once("close", end);
    await next();
    if (!isUnanswered(context.res)) record.status = context.res.status;
    context.header("x-request-id", record.requestId);
    // Without a server there is no connection to wait for: called as a plain function.
    if (outgoing === undefined) end();
  };
}

/** Plays the planned faults on whatever the broker would have answered. */
function playFaults(state: BrokerState): MiddlewareHandler<BrokerEnv> {
  return async (context, next) => {
    const fault = state.faults.take(context.req.path);
    if (fault === undefined) return next();
    context.get("record").fault = fault.kind;
    const surroundings: FaultSurroundings = {
      connection: rawConnection(context.env),
      clock: state.clock,
      signal: context.req.raw.signal,
    };
    const instead = (await withhold(fault, surroundings)) ?? replacement(fault);
    if (instead !== undefined) return instead;
    await next();
    const spoilt = spoilBody(context.res, fault, surroundings);
    if (spoilt !== context.res) {
      // hono merges the headers of a replaced response into the new one; the old length must not come back that way.
      context.res = undefined;
      context.res = spoilt;
    }
    return undefined;
  };
}

/** The faults that give no answer, and the one that only gives it late. */
async function withhold(fault: Fault, surroundings: FaultSurroundings): Promise<Response | undefined> {
  const { connection, clock, signal } = surroundings;
  if (fault.kind === "refuse") {
    connection?.[fault.how ?? "close"]();
    return unanswered();
  }
  if (fault.kind === "hang") {
    await aborted(signal);
    return unanswered();
  }
  if (fault.kind === "delay") await clock.sleep(fault.delayMs, signal);
  return undefined;
}
