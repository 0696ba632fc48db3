import { ZephError } from "../errors/zeph-error.ts";

/** Where a request goes inside the gateway. */
export type Route =
  | { readonly kind: Exclude<FixedKind, "health" | "ready"> }
  | { readonly kind: "health" | "ready" }
  | { readonly kind: "preflight" }
  | { readonly kind: "model" | "response"; readonly id: string }
  /** Answered with a refusal that says what to do. */
  | { readonly kind: "none"; readonly error: ZephError; readonly allow?: string };

type FixedKind =
  | "chat"
  | "responses"
  | "compact"
  | "input-tokens"
  | "messages"
  | "count-tokens"
  | "completions"
  | "embeddings"
  | "models"
  | "health"
  | "ready"
  | "metrics";

const FIXED: ReadonlyMap<string, { readonly kind: FixedKind; readonly method: "GET" | "POST" }> = new Map([
  ["/v1/chat/completions", { kind: "chat", method: "POST" }],
  ["/v1/responses", { kind: "responses", method: "POST" }],
  ["/v1/responses/compact", { kind: "compact", method: "POST" }],
  ["/v1/responses/input_tokens", { kind: "input-tokens", method: "POST" }],
  ["/v1/messages", { kind: "messages", method: "POST" }],
  ["/v1/messages/count_tokens", { kind: "count-tokens", method: "POST" }],
  ["/v1/completions", { kind: "completions", method: "POST" }],
  ["/v1/embeddings", { kind: "embeddings", method: "POST" }],
  ["/v1/models", { kind: "models", method: "GET" }],
  ["/health", { kind: "health", method: "GET" }],
  ["/ready", { kind: "ready", method: "GET" }],
  ["/metrics", { kind: "metrics", method: "GET" }],
]);

const MODEL_PREFIX = "/v1/models/";
const RESPONSE_PREFIX = "/v1/responses/";

/** Finds the route of a path as it stands in the request line, without its query. */
export function findRoute(method: string, path: string): Route {
  if (method === "OPTIONS") return { kind: "preflight" };
  // Some clients put a slash behind what they were given.
  const trimmed = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
  const fixed = FIXED.get(trimmed);
  if (fixed !== undefined)
    return hasMethod(method, fixed.method) ? { kind: fixed.kind } : wrongMethod(method, fixed.method);
  if (trimmed.startsWith(MODEL_PREFIX)) {
    return hasMethod(method, "GET") ? modelRoute(trimmed.slice(MODEL_PREFIX.length)) : wrongMethod(method, "GET");
  }
  const responseId = trimmed.startsWith(RESPONSE_PREFIX) ? trimmed.slice(RESPONSE_PREFIX.length) : "";
  if (/^\w[\w-]*$/.test(responseId)) {
    const isKnown = hasMethod(method, "GET") || method === "DELETE";
    return isKnown ? { kind: "response", id: responseId } : wrongMethod(method, "GET, DELETE");
  }
  return { kind: "none", error: new ZephError("route_not_found", notFoundHelp(trimmed)) };
}

function hasMethod(method: string, wanted: "GET" | "POST"): boolean {
  return method === wanted || (method === "HEAD" && wanted === "GET");
}

function wrongMethod(method: string, wanted: string): Route {
  const detail = /^[A-Z]{1,16}$/.test(method) ? `${method} where ${wanted} belongs` : `${wanted} belongs here`;
  return { kind: "none", error: new ZephError("method_not_allowed", { detail }), allow: wanted };
}

/** Ids hold slashes; clients send them as they are or percent-encoded. */
function modelRoute(encoded: string): Route {
  try {
    return { kind: "model", id: decodeURIComponent(encoded) };
  } catch {
    // A stray % cannot be decoded, and no model has one in its id.
    return {
      kind: "none",
      error: new ZephError("model_not_found", { detail: "the id is not valid percent-encoding" }),
    };
  }
}

/** What a wrong path most likely means. The path itself is not repeated: somebody may have put a key into it. */
function notFoundHelp(path: string): { readonly detail?: string; readonly hint?: string } {
  if (path.startsWith("/v1/v1/"))
    return { detail: "/v1 stands in it twice", hint: "Leave one /v1 out of the base URL." };
  if (FIXED.has(`/v1${path}`) || path.startsWith("/models/")) {
    return { detail: "/v1 is missing", hint: "Let the client's base URL end in /v1." };
  }
  if (/^\/v1(?:alpha|beta)?\d*\/models\/[^/]+:\w+$/.test(path)) {
    return {
      detail: "this is a path of Google's Gemini API",
      hint: "Let the client use an OpenAI-compatible or Anthropic endpoint, with the base URL that `zeph serve` prints.",
    };
  }
  if (/^\/api\/(?:tags|chat|generate|show|version)$/.test(path)) {
    return {
      detail: "this is a path of Ollama's API",
      hint: "Add the endpoint to the client as OpenAI-compatible, with the base URL that `zeph serve` prints.",
    };
  }
  if (/^\/v1\/(?:images|audio|files|batches|fine_tuning|moderations|assistants|threads)(?:\/|$)/.test(path)) {
    return {
      detail: "the Gonka network has text models only",
      hint: "Offered: chat completions, responses, messages, completions, models and, at some brokers, embeddings.",
    };
  }
  return {};
}
