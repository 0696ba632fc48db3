import { optional, readObject } from "../json/read-value.ts";
import type { Bytes } from "./bytes.ts";
import { bytesField, integerField, message, messageField } from "./protobuf-writer.ts";
import { readHash, readHashedNumber } from "./read-encoded.ts";

export interface BlockId {
  readonly hash: Bytes;
  readonly partsTotal: bigint;
  readonly partsHash: Bytes;
}

/** Reads a block id; its parts are called `parts` (RPC) or `part_set_header` (SDK). */
export function readBlockId(value: unknown, place: string): BlockId {
  const blockId = readObject(value, place);
  const parts = optional(blockId.parts ?? blockId.part_set_header, `${place}.parts`, readObject);
  return {
    hash: readHash(blockId.hash, `${place}.hash`),
    partsTotal: optional(parts?.total, `${place}.parts.total`, readHashedNumber) ?? 0n,
    partsHash: readHash(parts?.hash, `${place}.parts.hash`),
  };
}

export function encodeBlockId({ hash, partsTotal, partsHash }: BlockId): Bytes {
  return message(bytesField(1, hash), messageField(2, integerField(1, partsTotal), bytesField(2, partsHash)));
}
