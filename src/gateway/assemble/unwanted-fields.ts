import type { JsonObject } from "../read-json-body.ts";

/** What the network computes for every request, and what of it this caller asked for. */
export interface WantedFields {
  readonly logprobs: boolean;
  readonly tokenIds: boolean;
}

/** `logprobs`, `return_token_ids` of the request as the caller sent it. */
export function wantedFields({ logprobs, return_token_ids: tokenIds }: JsonObject): WantedFields {
  return { logprobs: logprobs === true, tokenIds: tokenIds === true };
}

const LOGPROBS: ReadonlySet<string> = new Set(["logprob", "logprobs", "top_logprobs"]);
const TOKEN_IDS: ReadonlySet<string> = new Set(["token_ids", "prompt_token_ids"]);

/** Older gateways and some brokers let these through to everybody. */
export function isUnwanted(name: string, { logprobs, tokenIds }: WantedFields): boolean {
  if (LOGPROBS.has(name)) return !logprobs;
  return name === "prompt_logprobs" || (TOKEN_IDS.has(name) && !tokenIds);
}
