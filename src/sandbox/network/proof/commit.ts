import { type BlockId, encodeBlockId } from "./header.ts";
import { merkleRoot } from "./merkle.ts";
import { bytesField, fixed64Field, lengthPrefixed, messageField, numberField } from "./protobuf.ts";
import { encodeTimestamp, type Timestamp, timestampFromMs, ZERO_TIME } from "./timestamp.ts";
import type { SigningValidator } from "./validator-set.ts";

export const FLAG_ABSENT = 1;
export const FLAG_COMMIT = 2;
const PRECOMMIT = 2;

export interface CommitSignature {
  readonly flag: number;
  readonly validatorAddress: Buffer;
  readonly time: Timestamp;
  readonly signature: Buffer;
}

/** The precommits for one block. */
export interface Commit {
  readonly height: number;
  readonly round: number;
  readonly blockId: BlockId;
  readonly signatures: readonly CommitSignature[];
}

/** The bytes a validator signs to commit a block. */
export function precommitBytes(
  vote: Pick<Commit, "height" | "round" | "blockId"> & { readonly time: Timestamp; readonly chainId: string },
): Buffer {
  return lengthPrefixed(
    Buffer.concat([
      numberField(1, PRECOMMIT),
      fixed64Field(2, vote.height),
      fixed64Field(3, vote.round),
      messageField(4, encodeBlockId(vote.blockId)),
      messageField(5, encodeTimestamp(vote.time)),
      bytesField(6, vote.chainId),
    ]),
  );
}

/** What the next header's `last_commit_hash` is. */
export function commitHash(commit: Commit): Buffer {
  return merkleRoot(
    commit.signatures.map(({ flag, validatorAddress, time, signature }) =>
      Buffer.concat([
        numberField(1, flag),
        bytesField(2, validatorAddress),
        messageField(3, encodeTimestamp(time)),
        bytesField(4, signature),
      ]),
    ),
  );
}

/** Lets `validators` commit a block at `timeMs`; the others are absent. */
export function signCommit(
  block: { readonly height: number; readonly blockId: BlockId; readonly chainId: string; readonly timeMs: number },
  validators: readonly SigningValidator[],
  isPresent: (validator: SigningValidator, index: number) => boolean,
): Commit {
  const { height, blockId, chainId, timeMs } = block;
  const signatures = validators.map((validator, index): CommitSignature => {
    if (!isPresent(validator, index)) {
      return { flag: FLAG_ABSENT, validatorAddress: Buffer.alloc(0), time: ZERO_TIME, signature: Buffer.alloc(0) };
    }
    const time = timestampFromMs(timeMs + 1000, index + 1);
    const signature = validator.sign(precommitBytes({ height, round: 0, blockId, time, chainId }));
    return { flag: FLAG_COMMIT, validatorAddress: validator.address, time, signature };
  });
  return { height, round: 0, blockId, signatures };
}
