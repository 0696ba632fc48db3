import { createPublicKey, verify } from "node:crypto";
import { encodeBlockId } from "./block-id.ts";
import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes } from "./bytes.ts";
import type { Commit, CommitSignature } from "./commit.ts";
import { fixed64Field, integerField, message, messageField, textField, varint } from "./protobuf-writer.ts";
import { encodeTime } from "./time.ts";
import type { Validator } from "./validators.ts";

/** SIGNED_MSG_TYPE_PRECOMMIT. */
const PRECOMMIT = 2n;

export interface SignedPower {
  readonly signedPower: bigint;
  readonly totalPower: bigint;
}

/**
 * Checks the votes of a commit against the set of validators at its height: every vote is by the validator at its place
 * and properly signed, and more than two thirds of the power voted for the block. Throws `proof_invalid`.
 */
export function verifyCommit(
  commit: Commit,
  validators: readonly Validator[],
  expected: { readonly chainId: string; readonly height: bigint; readonly headerHash: Bytes },
): SignedPower {
  if (commit.height !== expected.height) throw brokenProof(`the commit is for block ${commit.height}`);
  if (!equalBytes(commit.blockId.hash, expected.headerHash)) throw brokenProof("the commit is for another header");
  if (commit.signatures.length !== validators.length) {
    throw brokenProof(`the commit has ${commit.signatures.length} votes for ${validators.length} validators`);
  }
  const totalPower = validators.reduce((sum, { votingPower }) => sum + votingPower, 0n);
  const signedPower = validators.reduce((sum, validator, index) => {
    const vote = commit.signatures[index];
    if (vote === undefined || vote.flag === "absent") return sum;
    checkVote(commit, vote, validator, expected.chainId);
    return vote.flag === "commit" ? sum + validator.votingPower : sum;
  }, 0n);
  if (signedPower * 3n <= totalPower * 2n) {
    throw brokenProof(`${signedPower} of ${totalPower} voting power signed; more than two thirds are needed`);
  }
  return { signedPower, totalPower };
}

function checkVote(commit: Commit, vote: CommitSignature, validator: Validator, chainId: string): void {
  if (!equalBytes(vote.validatorAddress, validator.address)) throw brokenProof("a vote is by a stranger");
  if (!verify(null, precommitSignBytes(commit, vote, chainId), toKeyObject(validator.publicKey), vote.signature)) {
    throw brokenProof("a validator's signature is wrong");
  }
}

/** What a validator signs: a length-prefixed CanonicalVote (cometbft/cometbft v0.38 types/canonical.go). */
export function precommitSignBytes(commit: Commit, vote: CommitSignature, chainId: string): Bytes {
  const canonicalVote = message(
    integerField(1, PRECOMMIT),
    fixed64Field(2, commit.height),
    fixed64Field(3, commit.round),
    vote.flag === "commit" ? messageField(4, encodeBlockId(commit.blockId)) : new Uint8Array(),
    messageField(5, encodeTime(vote.timestamp)),
    textField(6, chainId),
  );
  return message(varint(BigInt(canonicalVote.length)), canonicalVote);
}

/** SubjectPublicKeyInfo of an Ed25519 key, up to the key itself (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

function toKeyObject(publicKey: Bytes) {
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
}
