import { merkleRoot } from "./merkle.ts";
import { bytesField, messageField, numberField } from "./protobuf.ts";
import { encodeTimestamp, type Timestamp } from "./timestamp.ts";

export interface BlockId {
  readonly hash: Buffer;
  readonly partsTotal: number;
  readonly partsHash: Buffer;
}

export interface Header {
  readonly versionBlock: number;
  readonly versionApp: number;
  readonly chainId: string;
  readonly height: number;
  readonly time: Timestamp;
  readonly lastBlockId: BlockId;
  readonly lastCommitHash: Buffer;
  readonly dataHash: Buffer;
  readonly validatorsHash: Buffer;
  readonly nextValidatorsHash: Buffer;
  readonly consensusHash: Buffer;
  readonly appHash: Buffer;
  readonly lastResultsHash: Buffer;
  readonly evidenceHash: Buffer;
  readonly proposerAddress: Buffer;
}

/** The hash of a block: a Merkle root over the 14 fields of its header (CometBFT 0.38). */
export function headerHash(header: Header): Buffer {
  return merkleRoot([
    Buffer.concat([numberField(1, header.versionBlock), numberField(2, header.versionApp)]),
    bytesField(1, header.chainId),
    numberField(1, header.height),
    encodeTimestamp(header.time),
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

/** {1 hash, 2 part-set header {1 total, 2 hash}}, without its own tag. */
export function encodeBlockId(id: BlockId): Buffer {
  const parts = messageField(2, numberField(1, id.partsTotal), bytesField(2, id.partsHash));
  return Buffer.concat([bytesField(1, id.hash), parts]);
}
