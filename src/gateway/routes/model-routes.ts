import { errorBehind } from "../../client/error-response.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { readBoundedText } from "../../internal/read-bounded.ts";
import { parseForeignJson } from "../../internal/scan-json.ts";
import { nearest } from "../../protocol/match-model.ts";
import { parseModels } from "../../protocol/models.ts";
import { type Answer, jsonAnswer } from "../answer.ts";
import { requestHeaders } from "../forward-headers.ts";
import type { RouteContext } from "../gateway-state.ts";
import { meantModel } from "../prepare-chat.ts";
import { asObject, type JsonObject } from "../read-json-body.ts";
import { upstreamAnswer } from "./upstream-answer.ts";

const MAX_LIST_BYTES = 16 * 1024 * 1024;

/** GET /v1/models: the live list, in OpenAI's form whatever form it came in, and the aliases behind it. */
export async function modelsRoute(context: RouteContext): Promise<Answer> {
  const response = await askForModels(context);
  if (!response.ok) return upstreamAnswer(context, response);
  const data = [...(await readEntries(response)), ...aliasEntries(context)];
  if (isForAnthropic(context)) return jsonAnswer(anthropicList(data));
  // Codex asks with its version and wants a second list, of what it knows by itself.
  const isCodex = new URL(context.request.url).searchParams.has("client_version");
  return jsonAnswer({ object: "list", data, ...(isCodex ? { models: [] } : {}) });
}

/** GET /v1/models/{id}: one entry of the same list. */
export async function modelRoute(context: RouteContext, id: string): Promise<Answer> {
  const response = await askForModels(context);
  if (!response.ok) return upstreamAnswer(context, response);
  const entries = [...(await readEntries(response)), ...aliasEntries(context)];
  const isThere = (wanted: string) => entries.find((entry) => entry.id === wanted);
  // What stands for a prefix is in no list, and is a model's name all the same.
  const found = isThere(id) ?? isThere(meantModel(id, context.state.options.aliases));
  if (found !== undefined)
    return jsonAnswer(isForAnthropic(context) ? anthropicModel({ ...found, id }) : { ...found, id });
  const offered = nearest(
    id.slice(0, 128),
    entries.map((entry) => String(entry.id)),
    3,
  );
  throw new ZephError("model_not_found", offered.length === 0 ? {} : { hint: `Offered now: ${offered.join(", ")}.` });
}

function askForModels({ state, request }: RouteContext): Promise<Response> {
  const { upstream } = state.options;
  const headers = requestHeaders(request.headers);
  return upstream(`${upstream.baseURL}/models`, { headers, signal: request.signal });
}

/** Nodes answer `{models:[…]}` where brokers answer `{data:[…]}`; clients such as Open WebUI know the second only. */
async function readEntries(response: Response): Promise<readonly JsonObject[]> {
  const list = listIn(await readBoundedText(response.body, MAX_LIST_BYTES));
  if (list === undefined)
    throw errorBehind(response) ?? new ZephError("bad_response", { detail: "/models has no list" });
  return list.flatMap((each: unknown) => {
    const entry = asObject(each);
    const id = entry?.id ?? entry?.model;
    return typeof id === "string" ? [{ created: 0, owned_by: "gonka", ...entry, id, object: "model" }] : [];
  });
}

function listIn(text: string): readonly unknown[] | undefined {
  try {
    const body: unknown = parseForeignJson(text);
    const list = Array.isArray(body) ? body : (asObject(body)?.data ?? asObject(body)?.models);
    return Array.isArray(list) ? list : undefined;
  } catch {
    // Not JSON: the caller of this function has the words for it.
    return undefined;
  }
}

/** Anthropic's clients name the version of the API with every request, and read another form of list. */
function isForAnthropic({ request }: RouteContext): boolean {
  return request.headers.has("anthropic-version");
}

function anthropicList(entries: readonly JsonObject[]): JsonObject {
  const data = entries.map(anthropicModel);
  return { data, has_more: false, first_id: data.at(0)?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

/** After the types of @anthropic-ai/sdk 1.14. */
function anthropicModel(entry: JsonObject): JsonObject {
  const { id, created } = entry;
  const createdMs = typeof created === "number" && created > 0 && created < 1e10 ? created * 1000 : 0;
  const [known] = parseModels({ data: [entry] });
  return {
    type: "model",
    id,
    display_name: id,
    created_at: new Date(createdMs).toISOString(),
    max_input_tokens: known?.contextLengthTokens ?? null,
    max_tokens: known?.maxOutputTokens ?? null,
    capabilities: null,
    lifecycle: "active",
    line: null,
    deprecated_at: null,
    retires_at: null,
  };
}

function aliasEntries({ state }: RouteContext): readonly JsonObject[] {
  const aliases = Object.entries(state.options.aliases ?? {}).filter(([alias]) => !alias.endsWith("*"));
  return aliases.map(([alias, id]) => ({
    id: alias,
    object: "model",
    created: 0,
    owned_by: "zeph",
    alias_of: id,
  }));
}
