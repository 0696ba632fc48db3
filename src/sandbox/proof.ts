import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export interface Participant {
  /** Account address of the host; named `index` on the wire. */
  readonly address: string;
  /** Base64 of an ed25519 key. */
  readonly validatorKey: string;
  readonly weight: number;
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  readonly seedSignature: string;
  /** Name of its one ML node. */
  readonly mlNodeId: string;
}

/** The active set of one epoch. */
export interface ActiveParticipants {
  readonly participants: readonly Participant[];
  readonly epochGroupId: number;
  readonly pocStartBlockHeight: number;
  readonly effectiveBlockHeight: number;
  readonly createdAtBlockHeight: number;
  readonly epochId: number;
}

/**
 * The protobuf the chain stores and proves.
 * Field numbers: gonka-ai/gonka inference-chain/proto/inference/inference/activeparticipants.proto at 8a35022b.
 */
export function encodeActiveParticipants(set: ActiveParticipants): Buffer {
  return Buffer.concat([
    ...set.participants.map((participant) => messageField(1, encodeParticipant(participant, set.epochId))),
    numberField(2, set.epochGroupId),
    numberField(3, set.pocStartBlockHeight),
    numberField(4, set.effectiveBlockHeight),
    numberField(5, set.createdAtBlockHeight),
    numberField(6, set.epochId),
  ]);
}

/** The store key of an epoch: `ActiveParticipants/value/` ‖ epoch as 8 bytes, big-endian ‖ `/`. */
export function activeParticipantsKey(epochId: number): Buffer {
  const epoch = Buffer.alloc(8);
  epoch.writeBigUInt64BE(BigInt(epochId));
  return Buffer.concat([Buffer.from("ActiveParticipants/value/"), epoch, Buffer.from("/")]);
}

function encodeParticipant(participant: Participant, epochId: number): Buffer {
  const { address, weight, models } = participant;
  return Buffer.concat([
    bytesField(1, address),
    bytesField(2, participant.validatorKey),
    numberField(3, weight),
    bytesField(4, participant.inferenceUrl),
    ...models.map((model) => bytesField(5, model)),
    messageField(6, bytesField(1, address), numberField(2, epochId), bytesField(3, participant.seedSignature)),
    messageField(7, messageField(1, bytesField(1, participant.mlNodeId), numberField(3, weight))),
    ...models.map((model) => messageField(8, bytesField(1, model), numberField(2, weight))),
  ]);
}

/** One operation of an ABCI proof. */
export interface ProofOperation {
  readonly type: "ics23:iavl" | "ics23:simple";
  readonly key: Buffer;
  readonly data: Buffer;
}

/** A proof and what it comes to. */
export interface ProvenRoot {
  readonly operation: ProofOperation;
  readonly root: Buffer;
}

const SHA256 = 1;
const VAR_PROTO = 1;
const HASH_BYTES = 32;
const SIMPLE_LEAF_PREFIX = Buffer.from([0]);
const SIMPLE_INNER_PREFIX = Buffer.from([1]);

/** How a made-up IAVL tree looks around the proven leaf: one entry per level, from the leaf upwards. */
export interface IavlLevel {
  readonly sibling: MerkleStep;
  /** Leaves under the inner node. */
  readonly size: number;
}

/** Proves that a store holds `value` under `key`, in a tree written at `version`. */
export function iavlProof(key: Buffer, value: Buffer, version: number, levels: readonly IavlLevel[]): ProvenRoot {
  const leafPrefix = Buffer.concat([signed(0), signed(1), signed(version)]);
  const steps = levels.map(({ sibling, size }, index) => {
    const head = Buffer.concat([signed(index + 1), signed(size), signed(version)]);
    return innerStep(head, sibling, Buffer.from([HASH_BYTES]));
  });
  return prove("ics23:iavl", key, value, leafPrefix, steps);
}

/** Proves that the multi-store holds `value` (a store's root) under the name `stores[index]`. */
export function simpleProof(
  stores: readonly { readonly name: string; readonly root: Buffer }[],
  name: string,
): ProvenRoot {
  const index = stores.findIndex((store) => store.name === name);
  const leaves = stores.map((store) => leafBytes(Buffer.from(store.name), store.root));
  const steps = merklePath(leaves, index).map((step) => innerStep(SIMPLE_INNER_PREFIX, step, Buffer.alloc(0)));
  const proven = prove(
    "ics23:simple",
    Buffer.from(name),
    stores[index]?.root ?? Buffer.alloc(0),
    SIMPLE_LEAF_PREFIX,
    steps,
  );
  return { ...proven, root: merkleRoot(leaves) };
}

/** An inner operation of ICS23: what stands before and after the child's hash. */
interface InnerStep {
  readonly prefix: Buffer;
  readonly suffix: Buffer;
}

/** Encodes an existence proof from raw parts; `steps` need not obey any specification. */
export function prove(
  type: ProofOperation["type"],
  key: Buffer,
  value: Buffer,
  leafPrefix: Buffer,
  steps: readonly InnerStep[],
): ProvenRoot {
  let root = sha256(leafPrefix, leafBytes(key, value));
  for (const step of steps) root = sha256(step.prefix, root, step.suffix);
  const leaf = [numberField(1, SHA256), numberField(3, SHA256), numberField(4, VAR_PROTO), bytesField(5, leafPrefix)];
  const existence = Buffer.concat([
    bytesField(1, key),
    bytesField(2, value),
    messageField(3, ...leaf),
    ...steps.map((step) =>
      messageField(4, numberField(1, SHA256), bytesField(2, step.prefix), bytesField(3, step.suffix)),
    ),
  ]);
  return { operation: { type, key, data: messageField(1, existence) }, root };
}

/** What is hashed after the leaf prefix: the key, and the hash of the value, each with its length. */
function leafBytes(key: Buffer, value: Buffer): Buffer {
  return Buffer.concat([lengthPrefixed(key), lengthPrefixed(sha256(value))]);
}

/** `mark` stands before each child's hash: its length in IAVL, nothing in the simple tree. */
function innerStep(head: Buffer, sibling: MerkleStep, mark: Buffer): InnerStep {
  return sibling.side === "left"
    ? { prefix: Buffer.concat([head, mark, sibling.hash, mark]), suffix: Buffer.alloc(0) }
    : { prefix: Buffer.concat([head, mark]), suffix: Buffer.concat([mark, sibling.hash]) };
}

/** IAVL writes numbers zigzag-encoded. */
function signed(value: number): Buffer {
  return varint(BigInt(value) * 2n);
}

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
function encodeBlockId(id: BlockId): Buffer {
  const parts = messageField(2, numberField(1, id.partsTotal), bytesField(2, id.partsHash));
  return Buffer.concat([bytesField(1, id.hash), parts]);
}

const FLAG_ABSENT = 1;
export const FLAG_COMMIT = 2;
const PRECOMMIT = 2;

interface CommitSignature {
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

interface Validator {
  /** 32 bytes, ed25519. */
  readonly publicKey: Buffer;
  readonly power: number;
}

/** A validator of the sandbox, which can sign. */
export interface SigningValidator extends Validator {
  readonly address: Buffer;
  sign(message: Uint8Array): Buffer;
}

/** The first 20 bytes of the SHA-256 of the public key. */
export function validatorAddress(publicKey: Uint8Array): Buffer {
  return createHash("sha256").update(publicKey).digest().subarray(0, 20);
}

/** What a header's `validators_hash` is: the Merkle root over key and power of each validator. */
export function validatorsHash(validators: readonly Validator[]): Buffer {
  return merkleRoot(
    validators.map(({ publicKey, power }) =>
      Buffer.concat([messageField(1, bytesField(1, publicKey)), numberField(2, power)]),
    ),
  );
}

/** New validators in CometBFT's order: more power first, then by address. */
export function newValidators(powers: readonly number[]): readonly SigningValidator[] {
  const validators = powers.map((power) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const raw = rawPublicKey(publicKey);
    return {
      publicKey: raw,
      power,
      address: validatorAddress(raw),
      sign: (message: Uint8Array) => sign(null, message, privateKey),
    };
  });
  return validators.sort((one, other) => other.power - one.power || Buffer.compare(one.address, other.address));
}

function rawPublicKey(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
}

export function sha256(...parts: readonly (Uint8Array | string)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const LEAF = Buffer.from([0]);
const INNER = Buffer.from([1]);

/** CometBFT's simple Merkle tree: split at the largest power of two below the number of items. */
function merkleRoot(items: readonly Uint8Array[]): Buffer {
  const [only] = items;
  if (only === undefined) return sha256("");
  if (items.length === 1) return sha256(LEAF, only);
  const split = splitPoint(items.length);
  return sha256(INNER, merkleRoot(items.slice(0, split)), merkleRoot(items.slice(split)));
}

/** One step from an item to the root: the hash on the other side. */
interface MerkleStep {
  readonly side: "left" | "right";
  readonly hash: Buffer;
}

/** The steps that prove `items[index]`, from the leaf upwards. */
function merklePath(items: readonly Uint8Array[], index: number): readonly MerkleStep[] {
  if (items.length <= 1) return [];
  const split = splitPoint(items.length);
  const [left, right] = [items.slice(0, split), items.slice(split)];
  return index < split
    ? [...merklePath(left, index), { side: "right", hash: merkleRoot(right) }]
    : [...merklePath(right, index - split), { side: "left", hash: merkleRoot(left) }];
}

function splitPoint(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** A time as CometBFT signs it. */
export interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: number;
}

/** Go's zero time, which an absent precommit carries. */
export const ZERO_TIME: Timestamp = { seconds: -62_135_596_800n, nanos: 0 };

const NANOS_PER_MS = 1_000_000;

export function timestampFromMs(timeMs: number, moreNanos = 0): Timestamp {
  const wholeMs = Math.floor(timeMs);
  const seconds = Math.floor(wholeMs / 1000);
  return { seconds: BigInt(seconds), nanos: (wholeMs - seconds * 1000) * NANOS_PER_MS + moreNanos };
}

/** The protobuf message {1 seconds, 2 nanos}, without its own tag. */
function encodeTimestamp(time: Timestamp): Buffer {
  return Buffer.concat([numberField(1, time.seconds), numberField(2, time.nanos)]);
}

/** RFC 3339 with nine digits, as CometBFT prints it. */
export function formatTimestamp(time: Timestamp): string {
  if (time.seconds === ZERO_TIME.seconds) return "0001-01-01T00:00:00Z";
  const wholeSeconds = new Date(Number(time.seconds) * 1000).toISOString().slice(0, "2026-05-01T12:00:00".length);
  return `${wholeSeconds}.${String(time.nanos).padStart(9, "0")}Z`;
}

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;

/** A base-128 number; negative ones as 64-bit two's complement, as protobuf's int64. */
export function varint(value: bigint | number): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** Bytes with their length in front. */
function lengthPrefixed(bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(bytes.length), bytes]);
}

/** A number field; nothing when it is 0, as proto3 writes it. */
function numberField(field: number, value: bigint | number): Buffer {
  return BigInt(value) === 0n ? Buffer.alloc(0) : Buffer.concat([tag(field, WIRE_VARINT), varint(value)]);
}

/** A text or bytes field; nothing when it is empty. */
function bytesField(field: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  return bytes.length === 0 ? bytes : messageField(field, bytes);
}

/** A nested message, also when it is empty. */
function messageField(field: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([tag(field, WIRE_BYTES), lengthPrefixed(Buffer.concat(parts))]);
}

/** A fixed 64-bit number, little-endian; nothing when it is 0. */
function fixed64Field(field: number, value: bigint | number): Buffer {
  if (BigInt(value) === 0n) return Buffer.alloc(0);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return Buffer.concat([tag(field, WIRE_FIXED64), bytes]);
}

function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}
