import { errorBehind } from "../../client/error-response.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { readBoundedText } from "../../internal/read-bounded.ts";
import { parseForeignJson } from "../../internal/scan-json.ts";
import { nearest } from "../../protocol/match-model.ts";
import { type Answer, jsonAnswer } from "../answer.ts";
import { requestHeaders } from "../forward-headers.ts";
import type { RouteContext } from "../gateway-state.ts";
import { asObject, type JsonObject } from "../read-json-body.ts";
import { upstreamAnswer } from "./upstream-answer.ts";

const MAX_LIST_BYTES = 16 * 1024 * 1024;

/** GET /v1/models: the live list, in OpenAI's form whatever form it came in, and the aliases behind it. */
export async function modelsRoute(context: RouteContext): Promise<Answer> {
  const response = await askForModels(context);
  if (!response.ok) return upstreamAnswer(context, response);
  return jsonAnswer({ object: "list", data: [...(await readEntries(response)), ...aliasEntries(context)] });
}

/** GET /v1/models/{id}: one entry of the same list. */
export async function modelRoute(context: RouteContext, id: string): Promise<Answer> {
  const response = await askForModels(context);
  if (!response.ok) return upstreamAnswer(context, response);
  const entries = [...(await readEntries(response)), ...aliasEntries(context)];
  const found = entries.find((entry) => entry.id === id);
  if (found !== undefined) return jsonAnswer(found);
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

function aliasEntries({ state }: RouteContext): readonly JsonObject[] {
  return Object.entries(state.options.aliases ?? {}).map(([alias, id]) => ({
    id: alias,
    object: "model",
    created: 0,
    owned_by: "zeph",
    alias_of: id,
  }));
}
