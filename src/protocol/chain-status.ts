import { optional, readAmount, readBoolean, readObject, readText, unreadable } from "./json/read-value.ts";

/** `GET /chain-rpc/status`: the clock that counts for signed requests, and which chain it is. */
export interface ChainStatus {
  readonly chainId: string;
  readonly latestBlockHeight: bigint;
  /** Time of the latest block, milliseconds since 1970: what nodes compare timestamps with. */
  readonly latestBlockTimeMs: number;
  readonly catchingUp: boolean;
}

/** Reads `GET /chain-rpc/status`, with or without the JSON-RPC envelope. Throws `bad_response`. */
export function parseChainStatus(value: unknown): ChainStatus {
  const envelope = readObject(value, "status");
  const result = optional(envelope.result, "result", readObject) ?? envelope;
  const syncInfo = readObject(result.sync_info, "sync_info");
  const time = readText(syncInfo.latest_block_time, "sync_info.latest_block_time");
  // Dates know milliseconds; the further digits of a block's time do not matter for a clock.
  const latestBlockTimeMs = Date.parse(time.replace(/(\.\d{3})\d+/, "$1"));
  if (Number.isNaN(latestBlockTimeMs)) throw unreadable("sync_info.latest_block_time", "is not a time");
  return {
    chainId: readText(readObject(result.node_info, "node_info").network, "node_info.network"),
    latestBlockHeight: readAmount(syncInfo.latest_block_height, "sync_info.latest_block_height"),
    latestBlockTimeMs,
    catchingUp: optional(syncInfo.catching_up, "sync_info.catching_up", readBoolean) ?? false,
  };
}
