import { APICallError } from "@ai-sdk/provider";
import { errorBehind } from "../client/error-response.ts";
import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { parseRecord } from "./repair/json-record.ts";
import { repairResponse, withoutCause } from "./repair/repair-response.ts";

/**
 * The `fetch` under the models: the connection, with answers mended for the decoder, and failures that the AI SDK does
 * not repeat. A refusal is thrown as the SDK's own `APICallError` whose `cause` is the `ZephError`; what failed without
 * any response is thrown as the `ZephError` itself. The loop inside the connection has retried already.
 */
export function modelFetch(connect: () => Promise<GonkaFetch>, userAgent: string): typeof globalThis.fetch {
  return async (input, init) => {
    try {
      const gonka = await connect();
      const response = await gonka(input, { ...init, headers: withUserAgent(init?.headers, userAgent) });
      const error = response.ok ? undefined : errorBehind(response);
      if (error !== undefined) throw await refusedCall(response, error, input);
      return await repairResponse(response, asksForStream(init?.body) ? "stream" : "whole");
    } catch (thrown) {
      throw ZephError.is(thrown) ? withoutCause(thrown) : thrown;
    }
  };
}

/** Appends ours here, at the last step: the SDK puts its own in the place of a model's. */
function withUserAgent(given: RequestInit["headers"], userAgent: string): Headers {
  const headers = new Headers(given);
  headers.set("user-agent", [headers.get("user-agent"), userAgent].filter(Boolean).join(" "));
  return headers;
}

/** Holds no prompt: the SDK would keep the request's body in the error, and programs log errors whole. */
async function refusedCall(response: Response, error: ZephError, input: string | URL | Request): Promise<APICallError> {
  const responseBody = await response.text();
  return new APICallError({
    message: error.message,
    url: input instanceof Request ? input.url : String(input),
    requestBodyValues: {},
    statusCode: response.status,
    responseHeaders: Object.fromEntries(response.headers),
    responseBody,
    data: parseRecord(responseBody),
    cause: withoutCause(error),
    isRetryable: false,
  });
}

/** The SDK writes its bodies with JSON.stringify; inside a prompt these quotes would be escaped. */
function asksForStream(body: unknown): boolean {
  return typeof body === "string" && body.includes('"stream":true');
}
