import { createPublicKey, verify } from "node:crypto";
import { type JsonObject, optional, readInteger, readList, readObject, readText, unreadable } from "../base/json.ts";
import {
  type Bytes,
  bytesField,
  encodeTime,
  equalBytes,
  fixed64Field,
  integerField,
  message,
  messageField,
  readBase64,
  readHash,
  readHashedNumber,
  readTime,
  readValidatorAddress,
  sha256,
  type Time,
  textField,
  toHex,
  varint,
} from "./bytes.ts";
import { brokenProof } from "./ics23.ts";

export interface CheckedHeader {
  readonly header: Header;
  readonly hash: Bytes;
}

/**
 * Reads the block beside a proof and checks that its header carries the proven state, is of the expected chain, and fits
 * the votes enclosed in the block. Those votes are for the block before; they say nothing about this header.
 */
export function checkBlock(
  value: unknown,
  { appHash, chainId }: { readonly appHash: Bytes; readonly chainId: string | undefined },
): CheckedHeader {
  const block = readObject(value, "block");
  const header = readHeader(block.header);
  if (!equalBytes(header.appHash, appHash)) throw brokenProof("its app_hash is not the root of the proof");
  if (chainId !== undefined && header.chainId !== chainId) throw brokenProof(`it is not of the chain ${chainId}`);
  const lastCommit = optional(block.last_commit, "last_commit", readCommit);
  if (lastCommit !== undefined && !equalBytes(commitHash(lastCommit), header.lastCommitHash)) {
    throw brokenProof("its last_commit_hash is not that of the enclosed votes");
  }
  return { header, hash: headerHash(header) };
}

/** The header of a block, CometBFT 0.38. */
interface Header {
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

interface BlockId {
  readonly hash: Bytes;
  readonly partsTotal: bigint;
  readonly partsHash: Bytes;
}

/** Reads a block id; its parts are called `parts` (RPC) or `part_set_header` (SDK). */
function readBlockId(value: unknown, place: string): BlockId {
  const blockId = readObject(value, place);
  const parts = optional(blockId.parts ?? blockId.part_set_header, `${place}.parts`, readObject);
  return {
    hash: readHash(blockId.hash, `${place}.hash`),
    partsTotal: optional(parts?.total, `${place}.parts.total`, readHashedNumber) ?? 0n,
    partsHash: readHash(parts?.hash, `${place}.parts.hash`),
  };
}

function encodeBlockId({ hash, partsTotal, partsHash }: BlockId): Bytes {
  return message(bytesField(1, hash), messageField(2, integerField(1, partsTotal), bytesField(2, partsHash)));
}

/** Either the power behind the header, or the sentence that says what was missing to check it. */
export type Signatures =
  | { readonly signed: SignedPower; readonly missing?: undefined }
  | { readonly signed?: undefined; readonly missing: string };

/**
 * Checks the commit of the header against the whole set of validators that the header names.
 *
 * @param sources `page` is the list inside the participants response: one page of the set of the block before, used when
 * it happens to be the right set
 */
export function checkSignatures(
  { header, hash }: CheckedHeader,
  sources: { readonly commit: unknown; readonly validators: unknown; readonly page: unknown },
): Signatures {
  if (sources.commit === undefined || sources.commit === null) {
    return {
      missing: `No commit of block ${header.height} was given, so it is not known whether the validators signed it.`,
    };
  }
  const validators = validatorSet(sources);
  if (validators === undefined || !equalBytes(validatorsHash(validators), header.validatorsHash)) {
    // A set that was asked for and does not fit is a lie; a page that does not fit is only a page.
    if (sources.validators !== undefined) throw brokenProof("the validators are not the set that the header names");
    return {
      missing: `The validators of block ${header.height} were not all given, so their signatures were not checked.`,
    };
  }
  const commit = readCommit(sources.commit);
  return {
    signed: verifyCommit(commit, validators, { chainId: header.chainId, height: header.height, headerHash: hash }),
  };
}

function validatorSet({ validators, page }: { validators: unknown; page: unknown }): readonly Validator[] | undefined {
  const source = validators ?? page;
  return source === undefined || source === null ? undefined : readValidators(source);
}

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

/** How a validator voted: not at all, for this block, or for none. */
type BlockIdFlag = "absent" | "commit" | "nil";

interface CommitSignature {
  readonly flag: BlockIdFlag;
  readonly validatorAddress: Bytes;
  readonly timestamp: Time;
  readonly signature: Bytes;
}

/** The votes that made a block final, one entry per validator, in the order of the set. */
interface Commit {
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

interface Validator {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Bytes;
  /** First 20 bytes of SHA-256 of the key. Derived, never read: the two shapes write it differently. */
  readonly address: Bytes;
  readonly votingPower: bigint;
}

const ED25519_KEY_BYTES = 32;

/**
 * Reads validators: a list, one answer of `/chain-rpc/validators` with or without its envelope, or a list of such
 * answers (pages). Returned in the order of the chain: by power, then by address.
 */
export function readValidators(value: unknown): readonly Validator[] {
  const pages = Array.isArray(value) && value.some(isPage) ? value : [value];
  return pages.flatMap((page) => readList(listOf(page), "validators", readValidator)).sort(inChainOrder);
}

function isPage(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("validators" in value || "result" in value);
}

function listOf(page: unknown): unknown {
  if (!isPage(page)) return page;
  const envelope = readObject(page, "validators");
  return (optional(envelope.result, "result", readObject) ?? envelope).validators;
}

function readValidator(value: unknown, place: string): Validator {
  const validator = readObject(value, place);
  const publicKey = readPublicKey(validator.pub_key, `${place}.pub_key`);
  return {
    publicKey,
    address: sha256(publicKey).subarray(0, 20),
    votingPower: optional(validator.voting_power, `${place}.voting_power`, readHashedNumber) ?? 0n,
  };
}

/** Plain base64 (dapi), `{"@type","key"}` (SDK) or `{"type","value"}` (RPC); Ed25519 only. */
function readPublicKey(value: unknown, place: string): Bytes {
  const wrapped: JsonObject = typeof value === "string" ? { key: value } : readObject(value, place);
  const type = optional(wrapped["@type"] ?? wrapped.type, `${place}.type`, readText);
  const isEd25519 = type === undefined || /ed25519/i.test(type);
  const publicKey = readBase64(wrapped.key ?? wrapped.value, place);
  if (!isEd25519 || publicKey.length !== ED25519_KEY_BYTES) throw unreadable(place, "is not an Ed25519 key");
  return publicKey;
}

function inChainOrder(a: Validator, b: Validator): number {
  if (a.votingPower !== b.votingPower) return a.votingPower > b.votingPower ? -1 : 1;
  return toHex(a.address) < toHex(b.address) ? -1 : 1;
}

/** Hash of a validator set, as headers carry it (cometbft/cometbft v0.38 types/validator.go, `Validator.Bytes`). */
export function validatorsHash(validators: readonly Validator[]): Bytes {
  return merkleRoot(
    validators.map(({ publicKey, votingPower }) =>
      message(messageField(1, bytesField(1, publicKey)), integerField(2, votingPower)),
    ),
  );
}

const LEAF = Uint8Array.of(0);
const INNER = Uint8Array.of(1);

/** Root of the binary tree CometBFT builds over headers, validators and commits (RFC 6962 with SHA-256). */
export function merkleRoot(items: readonly Bytes[]): Bytes {
  const [only] = items;
  if (only === undefined) return sha256();
  if (items.length === 1) return sha256(LEAF, only);
  const left = largestPowerOfTwoBelow(items.length);
  return sha256(INNER, merkleRoot(items.slice(0, left)), merkleRoot(items.slice(left)));
}

function largestPowerOfTwoBelow(count: number): number {
  let power = 1;
  while (2 * power < count) power *= 2;
  return power;
}
