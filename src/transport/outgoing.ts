import { ZephError } from "../errors/zeph-error.ts";
import { asObject } from "../protocol/json/measure-json.ts";

/** A request made ready to be sent any number of times: its body is bytes, its address is relative to an endpoint. */
export interface OutgoingRequest {
  readonly method: string;
  /** Path below the base URL with its query, e.g. `/chat/completions` or `/models?limit=5`. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Reads are never signed: no node looks at a signature on them. */
export function isRead({ method }: Pick<OutgoingRequest, "method">): boolean {
  return method === "GET" || method === "HEAD";
}

/** What a chat request asked for, and the request itself, parsed when somebody needs it. */
export interface ChatAsked {
  readonly asked: "stream" | "whole";
  readonly request: () => Readonly<Record<string, unknown>> | undefined;
}

/** `undefined` for every request that is no chat: its answer is nobody's to change. */
export function chatOf({ method, path, body }: OutgoingRequest): ChatAsked | undefined {
  if (method !== "POST" || body === undefined || !/^\/chat\/completions\/?(?:\?|$)/.test(path)) return undefined;
  const text = new TextDecoder().decode(body);
  let parsed: { readonly value: Readonly<Record<string, unknown>> | undefined } | undefined;
  const request = () => {
    parsed ??= { value: asObject(parseText(text)) };
    return parsed.value;
  };
  // The field may also stand deeper, as in a tool's schema; a body that is dear to parse is taken at its word.
  const isStream = STREAM_FIELD.test(text) && (text.length > MAX_PARSED_CHARS || request()?.stream === true);
  return { asked: isStream ? "stream" : "whole", request };
}

const STREAM_FIELD = /"stream"\s*:\s*true\b/;
const MAX_PARSED_CHARS = 64 * 1024;

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The endpoint will say what is wrong with it.
    return undefined;
  }
}

/**
 * Turns what a caller of `fetch` gave into an {@link OutgoingRequest}. Only addresses below one of `baseURLs` are taken
 * (`foreign_origin`), and only bodies that can be repeated byte for byte (`unsupported_body`).
 */
export async function toOutgoing(
  input: string | URL | Request,
  init: RequestInit | undefined,
  baseURLs: readonly string[],
): Promise<OutgoingRequest> {
  const request = input instanceof Request ? input : undefined;
  const url = request?.url ?? String(input);
  const headers = new Headers(init?.headers ?? request?.headers);
  const body = await readBody(init?.body, request, headers);
  return {
    method: (init?.method ?? request?.method ?? "GET").toUpperCase(),
    path: pathBelow(url, baseURLs),
    headers,
    body,
    signal: init?.signal ?? request?.signal ?? undefined,
  };
}

function pathBelow(url: string, baseURLs: readonly string[]): string {
  if (!URL.canParse(url)) throw new ZephError("foreign_origin", { detail: "not an absolute URL" });
  const { origin, pathname, search } = new URL(url);
  for (const baseURL of baseURLs) {
    const base = new URL(baseURL);
    if (base.origin === origin && (pathname === base.pathname || pathname.startsWith(`${base.pathname}/`))) {
      return pathname.slice(base.pathname.length) + search;
    }
  }
  throw new ZephError("foreign_origin", {
    detail: `${origin} is not ${baseURLs.map((baseURL) => new URL(baseURL).origin).join(" or ")}`,
  });
}

/** Fetch's own default content type per body kind is kept, so that nothing changes for a caller who relied on it. */
async function readBody(
  body: RequestInit["body"],
  request: Request | undefined,
  headers: Headers,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body === undefined || body === null) {
    if (request === undefined || request.body === null) return undefined;
    refuseMultipart(headers);
    return new Uint8Array(await request.arrayBuffer());
  }
  const withType = (type: string, bytes: Uint8Array<ArrayBuffer>) => {
    if (type !== "" && !headers.has("content-type")) headers.set("content-type", type);
    return bytes;
  };
  if (typeof body === "string") return withType("text/plain;charset=UTF-8", encode(body));
  if (body instanceof URLSearchParams) {
    return withType("application/x-www-form-urlencoded;charset=UTF-8", encode(body.toString()));
  }
  if (body instanceof Blob) return withType(body.type, new Uint8Array(await body.arrayBuffer()));
  // Copied, because the caller may change its buffer while a retry is waiting.
  if (body instanceof ArrayBuffer) return new Uint8Array(body.slice(0));
  if (ArrayBuffer.isView(body)) return new Uint8Array(new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
  const kind =
    body instanceof FormData ? "a multipart form" : body instanceof ReadableStream ? "a stream" : typeof body;
  throw new ZephError("unsupported_body", { detail: kind });
}

function refuseMultipart(headers: Headers): void {
  if (headers.get("content-type")?.startsWith("multipart/") === true) {
    throw new ZephError("unsupported_body", { detail: "a multipart form" });
  }
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
