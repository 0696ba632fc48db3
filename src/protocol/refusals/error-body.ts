import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../../internal/scan-json.ts";
/** What an error body says, whatever its shape. */
export interface ErrorBody {
  /** `openai`: `{error:{message}}` · `text`: `{error:"…"}` · `html` · `other`: JSON of another shape, or plain text · `empty`. */
  readonly shape: "openai" | "text" | "html" | "other" | "empty";
  readonly message: string;
  readonly code: string | undefined;
  readonly type: string | undefined;
}

/** Reads the forms in use: OpenAI's, the brokers' `/api` form, a node's `{"error":"text"}`, vLLM's `detail`, HTML. */
export function parseErrorBody(bodyText: string, contentType = ""): ErrorBody {
  const text = bodyText.trim();
  if (text === "") return { shape: "empty", message: "", code: undefined, type: undefined };
  if (contentType.includes("text/html") || /^<(?:!doctype|html|head|body|center|h1)/i.test(text)) {
    return { shape: "html", message: htmlTitle(text), code: undefined, type: undefined };
  }
  let json: unknown;
  try {
    json = parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch {
    // Not JSON is one of the forms this function exists for: plain text.
    return { shape: "other", message: text, code: undefined, type: undefined };
  }
  return fromJson(json, text);
}

function fromJson(json: unknown, text: string): ErrorBody {
  const body = asObject(json);
  const error = body?.error;
  if (typeof error === "string") {
    // The retired path answers {"error":"deprecated","message":"…"}: both words matter.
    const message = asString(body?.message);
    return {
      shape: "text",
      message: message ?? error,
      code: message === undefined ? undefined : error,
      type: undefined,
    };
  }
  const inner = asObject(error);
  if (inner !== undefined) {
    return {
      shape: "openai",
      message: asString(inner.message) ?? JSON.stringify(error),
      code: asString(inner.code) ?? numberAsString(inner.code),
      type: asString(inner.type),
    };
  }
  const message = asString(body?.message) ?? asString(body?.detail) ?? text;
  return { shape: "other", message, code: asString(body?.code), type: asString(body?.type) };
}

function htmlTitle(html: string): string {
  const title = /<title[^>]*>([^<]*)<\/title>/i.exec(html)?.[1] ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(html)?.[1];
  return title === undefined ? "an HTML page" : `an HTML page: ${title.trim()}`;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function asString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberAsString(value: unknown): string | undefined {
  return typeof value === "number" ? String(value) : undefined;
}
