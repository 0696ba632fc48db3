import { optional, readInteger, readList, readObject, unreadable } from "../json/read-value.ts";
import { type BlockId, readBlockId } from "./block-id.ts";
import type { Bytes } from "./bytes.ts";
import { merkleRoot } from "./merkle-root.ts";
import { bytesField, integerField, message, messageField } from "./protobuf-writer.ts";
import { readBase64, readHashedNumber, readValidatorAddress } from "./read-encoded.ts";
import { encodeTime, readTime, type Time } from "./time.ts";

/** How a validator voted: not at all, for this block, or for none. */
export type BlockIdFlag = "absent" | "commit" | "nil";

export interface CommitSignature {
  readonly flag: BlockIdFlag;
  readonly validatorAddress: Bytes;
  readonly timestamp: Time;
  readonly signature: Bytes;
}

/** The votes that made a block final, one entry per validator, in the order of the set. */
export interface Commit {
  readonly height: bigint;
  readonly round: bigint;
  readonly blockId: BlockId;
  readonly signatures: readonly CommitSignature[];
}

// Numbers are those on the wire (cometbft/cometbft proto/tendermint/types/validator.proto).
const FLAG_NUMBERS: Readonly<Record<BlockIdFlag, bigint>> = { absent: 1n, commit: 2n, nil: 3n };

/** Reads a commit, alone or inside an answer of `/chain-rpc/commit`. */
export function readCommit(value: unknown): Commit {
  const root = readObject(value, "commit");
  const result = optional(root.result, "result", readObject) ?? root;
  const signedHeader = optional(result.signed_header, "signed_header", readObject);
  const commit = readObject(signedHeader?.commit ?? result.commit ?? result, "commit");
  return {
    height: readHashedNumber(commit.height, "height"),
    round: optional(commit.round, "round", readHashedNumber) ?? 0n,
    blockId: readBlockId(commit.block_id, "block_id"),
    signatures: readList(commit.signatures, "signatures", readSignature),
  };
}

function readSignature(value: unknown, place: string): CommitSignature {
  const entry = readObject(value, place);
  return {
    flag: readFlag(entry.block_id_flag, `${place}.block_id_flag`),
    validatorAddress: readValidatorAddress(entry.validator_address, `${place}.validator_address`),
    timestamp: readTime(entry.timestamp, `${place}.timestamp`),
    signature: readBase64(entry.signature, `${place}.signature`),
  };
}

function readFlag(value: unknown, place: string): BlockIdFlag {
  const flags: readonly BlockIdFlag[] = ["absent", "commit", "nil"];
  const name = typeof value === "string" ? value.replace(/^BLOCK_ID_FLAG_/, "").toLowerCase() : undefined;
  const flag = flags.find((candidate) => candidate === name) ?? flagOfNumber(value, place);
  if (flag === undefined) throw unreadable(place, "is not a vote zeph knows");
  return flag;
}

function flagOfNumber(value: unknown, place: string): BlockIdFlag | undefined {
  const number = readInteger(value, place);
  const flags: readonly BlockIdFlag[] = ["absent", "commit", "nil"];
  return flags.find((flag) => FLAG_NUMBERS[flag] === number);
}

/** Hash of a commit, as the header of the next block carries it (`Commit.Hash`). */
export function commitHash({ signatures }: Commit): Bytes {
  return merkleRoot(
    signatures.map(({ flag, validatorAddress, timestamp, signature }) =>
      message(
        integerField(1, FLAG_NUMBERS[flag]),
        bytesField(2, validatorAddress),
        messageField(3, encodeTime(timestamp)),
        bytesField(4, signature),
      ),
    ),
  );
}
