import type { Connection } from "../client/connection.ts";
import { errorResponse } from "../client/error-response.ts";
import { type GonkaFetch, gonkaFetch } from "../client/gonka-fetch.ts";
import { ZephError } from "../errors/zeph-error.ts";

/** Constructor options for the official `openai` package (5 and newer). */
export interface GonkaOpenAIOptions {
  readonly baseURL: string;
  /** Not a key: the SDK wants one, and the connection replaces it by the real one, or by a signature. */
  readonly apiKey: string;
  readonly fetch: GonkaFetch;
  /** 0: the connection retries, with one policy for all its callers. */
  readonly maxRetries: 0;
}

/** What the SDK is given instead of a key; the connection drops it. */
const PLACEHOLDER_KEY = "held-by-zeph";

/**
 * Makes the official OpenAI SDK talk to the Gonka network. Chat, streams, tools, embeddings and models work as with
 * OpenAI; the SDK's own errors carry status, code and request id of what happened, also when no answer came at all
 * (`unreachable`, `timeout_headers`, …): those become a response with `x-should-retry: false`, so that raising
 * `maxRetries` adds no attempts. The caller's abort stays an abort. A stream that breaks throws its `ZephError`.
 *
 * @example
 * ```ts
 * import OpenAI from "openai";
 * import { gonkaOpenAIOptions } from "zeph/openai";
 *
 * const client = new OpenAI(gonkaOpenAIOptions({ kind: "broker", baseURL: "https://api.gonkagate.com/v1", apiKey }));
 * const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content: "Hello" }] });
 * ```
 */
export function gonkaOpenAIOptions(connection: Connection | GonkaFetch): GonkaOpenAIOptions {
  const gonka = typeof connection === "function" ? connection : gonkaFetch(connection);
  const answering = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    try {
      const response = await gonka(input, init);
      // A whole answer is read here: a fault in it becomes an answer with a status, as every other does.
      return isChat(input) && !isEventStream(response) ? await whole(response) : response;
    } catch (thrown) {
      if (init?.signal?.aborted === true || !ZephError.is(thrown)) throw thrown;
      return errorResponse(thrown);
    }
  };
  return {
    baseURL: gonka.baseURL,
    apiKey: PLACEHOLDER_KEY,
    fetch: Object.assign(answering, { baseURL: gonka.baseURL, endpoints: () => gonka.endpoints() }),
    maxRetries: 0,
  };
}

function isChat(input: string | URL | Request): boolean {
  return /\/chat\/completions\/?(?:\?|$)/.test(input instanceof Request ? input.url : String(input));
}

function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}

async function whole(response: Response): Promise<Response> {
  if (!response.ok || response.body === null) return response;
  const { status, statusText, headers } = response;
  return new Response(await response.arrayBuffer(), { status, statusText, headers });
}
