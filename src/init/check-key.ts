import { gonkaFetch } from "../client/gonka-fetch.ts";
import { listModels } from "../client/list-models.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { Model } from "../protocol/models.ts";
import type { InitWorld } from "./init-world.ts";

/** What an endpoint thinks of a key. */
export type KeyCheck =
  | { readonly kind: "good"; readonly models: readonly Model[] }
  /** The key is right and the account is empty. */
  | { readonly kind: "no-credit"; readonly error: ZephError }
  | { readonly kind: "refused"; readonly error: ZephError }
  | { readonly kind: "wrong-url"; readonly error: ZephError }
  /** Nothing was learned about the key: no network, a failing server, too many requests. */
  | { readonly kind: "unclear"; readonly error: ZephError };

/** A person waits for the answer. */
const DEADLINES = { headersMs: 15_000, idleMs: 15_000, totalMs: 30_000 };

/** Asks `GET /models` with the key: free, and the models are wanted next anyway. Throws `insecure_url` and the abort. */
export async function checkKey(
  world: Pick<InitWorld, "fetch" | "clock" | "random" | "signal">,
  access: { readonly baseURL: string; readonly apiKey: Secret },
): Promise<KeyCheck> {
  const { fetch, clock, random, signal } = world;
  const gonka = gonkaFetch({ kind: "broker", ...access, fetch, clock, random, maxAttempts: 2, deadlines: DEADLINES });
  try {
    return { kind: "good", models: await listModels(gonka, signal) };
  } catch (error) {
    if (!ZephError.is(error) || error.code === "insecure_url") throw error;
    return { kind: kindOf(error), error };
  }
}

function kindOf({ code }: ZephError): Exclude<KeyCheck["kind"], "good"> {
  switch (code) {
    case "invalid_api_key":
    case "management_key":
    case "account_not_ready":
    case "forbidden":
      return "refused";
    case "insufficient_quota":
      return "no-credit";
    case "wrong_url":
    case "model_not_found":
    case "endpoint_moved":
    case "endpoint_gone":
      return "wrong-url";
    default:
      return "unclear";
  }
}
