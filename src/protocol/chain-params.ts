import { type JsonObject, optional, readAmount, readList, readObject, readText } from "./json/read-value.ts";

/** Chain parameters that decide about signed requests. */
export interface ChainParams {
  /** Nodes that may take requests from users; empty means everyone may. */
  readonly allowedTransferAddresses: readonly string[];
  /** How old a timestamp may be against the latest block's time, seconds. */
  readonly timestampExpirationSeconds: number;
  /** How far ahead of it a timestamp may be, seconds. */
  readonly timestampAdvanceSeconds: number;
}

/** Values of the main network (gonka-ai/gonka 8a35022b, `genesis/genesis.json:5044-5045`), for a chain that tells none. */
export const DEFAULT_CHAIN_PARAMS: ChainParams = {
  allowedTransferAddresses: [],
  timestampExpirationSeconds: 60,
  timestampAdvanceSeconds: 30,
};

/** What a node uses for a window of 0 (gonka-ai/gonka 8a35022b, `post_chat_handler.go:792-798`). */
const WINDOW_FOR_ZERO_SECONDS = 10;

/** Reads `GET /chain-api/productscience/inference/inference/params`. Throws `bad_response`. */
export function parseChainParams(value: unknown): ChainParams {
  const params = readObject(readObject(value, "params response").params, "params");
  const access = optional(params.transfer_agent_access_params, "transfer_agent_access_params", readObject);
  const validation = optional(params.validation_params, "validation_params", readObject);
  return {
    allowedTransferAddresses:
      optional(access?.allowed_transfer_addresses, "allowed_transfer_addresses", (list, place) =>
        readList(list, place, readText),
      ) ?? [],
    ...(validation === undefined
      ? {
          timestampExpirationSeconds: DEFAULT_CHAIN_PARAMS.timestampExpirationSeconds,
          timestampAdvanceSeconds: DEFAULT_CHAIN_PARAMS.timestampAdvanceSeconds,
        }
      : {
          timestampExpirationSeconds: windowSeconds(validation, "timestamp_expiration"),
          timestampAdvanceSeconds: windowSeconds(validation, "timestamp_advance"),
        }),
  };
}

export function isTransferAgentAllowed(params: ChainParams, address: string): boolean {
  return params.allowedTransferAddresses.length === 0 || params.allowedTransferAddresses.includes(address);
}

function windowSeconds(validation: JsonObject, field: string): number {
  const seconds = Number(optional(validation[field], field, readAmount) ?? 0n);
  return seconds === 0 ? WINDOW_FOR_ZERO_SECONDS : seconds;
}
