import type { OpenedProvider } from "./open-provider.ts";

/** The same request for another provider: its own model in place of the one that was asked for. */
export function rewriteModel(body: RequestInit["body"], model: string): RequestInit["body"] {
  const text = bodyText(body);
  if (text === undefined) return body;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("model" in parsed)) return body;
    return JSON.stringify({ ...parsed, model });
  } catch {
    // Not JSON: nothing names a model.
    return body;
  }
}

function bodyText(body: RequestInit["body"]): string | undefined {
  if (typeof body === "string") return body;
  if (ArrayBuffer.isView(body)) return new TextDecoder().decode(body);
  return body instanceof ArrayBuffer ? new TextDecoder().decode(body) : undefined;
}

/** The address of a request below one provider, as an address below another. */
export function moveBelow(url: string, from: OpenedProvider, to: OpenedProvider): string {
  return url.startsWith(from.gonka.baseURL) ? to.gonka.baseURL + url.slice(from.gonka.baseURL.length) : url;
}
