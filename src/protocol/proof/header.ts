import { type JsonObject, optional, readObject, readText } from "../json/read-value.ts";
import { type BlockId, encodeBlockId, readBlockId } from "./block-id.ts";
import type { Bytes } from "./bytes.ts";
import { merkleRoot } from "./merkle-root.ts";
import { bytesField, integerField, message, textField } from "./protobuf-writer.ts";
import { readHash, readHashedNumber, readValidatorAddress } from "./read-encoded.ts";
import { encodeTime, readTime, type Time } from "./time.ts";

/** The header of a block, CometBFT 0.38. */
export interface Header {
  readonly versionBlock: bigint;
  readonly versionApp: bigint;
  readonly chainId: string;
  readonly height: bigint;
  readonly time: Time;
  readonly lastBlockId: BlockId;
  readonly lastCommitHash: Bytes;
  readonly dataHash: Bytes;
  readonly validatorsHash: Bytes;
  readonly nextValidatorsHash: Bytes;
  readonly consensusHash: Bytes;
  readonly appHash: Bytes;
  readonly lastResultsHash: Bytes;
  readonly evidenceHash: Bytes;
  readonly proposerAddress: Bytes;
}

/** Reads a header in the shape of the RPC (hex) or of the SDK (base64). */
export function readHeader(value: unknown): Header {
  const header = readObject(value, "header");
  const version = optional(header.version, "version", readObject);
  const hash = (field: string) => readHash(header[field], field);
  return {
    versionBlock: optional(version?.block, "version.block", readHashedNumber) ?? 0n,
    versionApp: optional(version?.app, "version.app", readHashedNumber) ?? 0n,
    chainId: readText(header.chain_id, "chain_id"),
    height: readHashedNumber(header.height, "height"),
    time: readTime(header.time, "time"),
    lastBlockId: lastBlockId(header),
    lastCommitHash: hash("last_commit_hash"),
    dataHash: hash("data_hash"),
    validatorsHash: hash("validators_hash"),
    nextValidatorsHash: hash("next_validators_hash"),
    consensusHash: hash("consensus_hash"),
    appHash: hash("app_hash"),
    lastResultsHash: hash("last_results_hash"),
    evidenceHash: hash("evidence_hash"),
    proposerAddress: readValidatorAddress(header.proposer_address, "proposer_address"),
  };
}

function lastBlockId(header: JsonObject): BlockId {
  return readBlockId(header.last_block_id ?? {}, "last_block_id");
}

/** Hash of the header: root over its 14 fields (cometbft/cometbft v0.38 types/block.go, `Header.Hash`). */
export function headerHash(header: Header): Bytes {
  return merkleRoot([
    message(integerField(1, header.versionBlock), integerField(2, header.versionApp)),
    // Single values are wrapped as field 1 of a message; an empty one leaves an empty leaf.
    textField(1, header.chainId),
    integerField(1, header.height),
    encodeTime(header.time),
    encodeBlockId(header.lastBlockId),
    bytesField(1, header.lastCommitHash),
    bytesField(1, header.dataHash),
    bytesField(1, header.validatorsHash),
    bytesField(1, header.nextValidatorsHash),
    bytesField(1, header.consensusHash),
    bytesField(1, header.appHash),
    bytesField(1, header.lastResultsHash),
    bytesField(1, header.evidenceHash),
    bytesField(1, header.proposerAddress),
  ]);
}
