import { ZephError } from "../errors.ts";
import { brokerFacts, type Connection, type NativeConnection, openSigner } from "../transport/connection.ts";
import { errorResponse } from "../transport/failover.ts";
import { type GonkaFetch, gonkaFetch } from "../transport/gonka-fetch.ts";
import { type Endpoint, normalizeBaseURL } from "../wire/endpoint.ts";

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

/** Usually `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The connection that environment variables describe, by the names of the official SDK (gonka-ai/gonka-openai,
 * typescript/README.md): `GONKA_PRIVATE_KEY` with `GONKA_ENDPOINTS` (`url;address,url;address`) or `GONKA_SOURCE_URL`, and
 * `GONKA_ADDRESS`, which must then be the key's own. Without a private key: GonkaGate, with `GONKAGATE_API_KEY` or
 * `GONKA_API_KEY`.
 *
 * Throws `secret_missing`, `no_endpoints`, `invalid_private_key`, `address_mismatch`, `invalid_address`, `wrong_url`.
 *
 * @example
 * ```ts
 * const client = new OpenAI(gonkaOpenAIOptions(await connectionFromEnvironment(process.env)));
 * ```
 */
export async function connectionFromEnvironment(env: Environment): Promise<Connection> {
  const privateKey = given(env.GONKA_PRIVATE_KEY);
  if (privateKey !== undefined) return nativeConnection(env, privateKey);
  const { baseURL, keyVariables } = brokerFacts({ broker: "gonkagate" });
  const apiKey = keyVariables.map((name) => given(env[name])).find((key) => key !== undefined);
  if (apiKey !== undefined) return { kind: "broker", baseURL, apiKey };
  throw new ZephError("secret_missing", {
    detail: `none of GONKA_PRIVATE_KEY, ${keyVariables.join(", ")} is set`,
    hint: "Set GONKAGATE_API_KEY for a broker, or GONKA_PRIVATE_KEY and GONKA_SOURCE_URL for signed requests.",
  });
}

async function nativeConnection(env: Environment, privateKey: string): Promise<NativeConnection> {
  const signer = await openSigner(privateKey);
  const address = given(env.GONKA_ADDRESS);
  if (address !== undefined && address !== signer.address) {
    throw new ZephError("address_mismatch", {
      detail: `GONKA_ADDRESS is ${address}, but the key of GONKA_PRIVATE_KEY belongs to ${signer.address}`,
    });
  }
  const named = given(env.GONKA_ENDPOINTS);
  if (named !== undefined) return { kind: "native", signer, endpoints: named.split(",").map(parseEndpoint) };
  const sourceUrl = given(env.GONKA_SOURCE_URL);
  if (sourceUrl === undefined) {
    throw new ZephError("no_endpoints", {
      detail: "neither GONKA_ENDPOINTS nor GONKA_SOURCE_URL is set",
      hint: "Set GONKA_SOURCE_URL to a node of the network, or GONKA_ENDPOINTS to url;address pairs.",
    });
  }
  return { kind: "native", signer, sourceUrl };
}

function parseEndpoint(pair: string): Endpoint {
  const [url = "", address = ""] = pair.split(";").map((part) => part.trim());
  if (address === "") {
    throw new ZephError("invalid_address", { detail: `GONKA_ENDPOINTS names no address for ${normalizeBaseURL(url)}` });
  }
  return { baseURL: normalizeBaseURL(url), address };
}

function given(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === "" ? undefined : trimmed;
}
