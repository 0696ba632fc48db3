import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../../base/json.ts";
import { type MessageOf, ProtobufWriter, protobufMessage, type RawField, readFields } from "../protobuf.ts";
import { DEVSHARD_REFUSALS, type DevshardRefusalCode } from "./rules.ts";

/*
 * The messages of a devshard, field numbers as in gonka-ai/gonka `devshard/proto/devshard/v1/{tx,diff,state}.proto`.
 * Ids, tokens, costs and nonces are uint64, times are Unix seconds.
 */

const START_INFERENCE = protobufMessage({
  inferenceId: [1, "uint64"],
  promptHash: [2, "bytes"],
  model: [3, "string"],
  inputLength: [4, "uint64"],
  maxTokens: [5, "uint64"],
  startedAt: [6, "int64"],
});

const CONFIRM_START = protobufMessage({
  inferenceId: [1, "uint64"],
  executorSig: [2, "bytes"],
  confirmedAt: [3, "int64"],
});

export const FINISH_INFERENCE = protobufMessage({
  inferenceId: [1, "uint64"],
  responseHash: [2, "bytes"],
  inputTokens: [3, "uint64"],
  outputTokens: [4, "uint64"],
  executorSlot: [5, "uint32"],
  proposerSig: [6, "bytes"],
  escrowId: [7, "string"],
});

const TIMEOUT_VOTE = protobufMessage({
  voterSlot: [1, "uint32"],
  accept: [2, "bool"],
  signature: [3, "bytes"],
});

export const TIMEOUT_REASON = { refused: 1, execution: 2 } as const;

const TIMEOUT_INFERENCE = protobufMessage({
  inferenceId: [1, "uint64"],
  /** {@link TIMEOUT_REASON} */
  reason: [2, "enum"],
  votes: [3, "repeated", TIMEOUT_VOTE],
});

export const VALIDATION = protobufMessage({
  inferenceId: [1, "uint64"],
  validatorSlot: [2, "uint32"],
  valid: [3, "bool"],
  proposerSig: [4, "bytes"],
  escrowId: [5, "string"],
});

export const VALIDATION_VOTE = protobufMessage({
  inferenceId: [1, "uint64"],
  voterSlot: [2, "uint32"],
  voteValid: [3, "bool"],
  proposerSig: [4, "bytes"],
  escrowId: [5, "string"],
});

/** Without effect since v2; old hosts still send it. */
const REVEAL_SEED = protobufMessage({
  slotId: [1, "uint32"],
  signature: [2, "bytes"],
  proposerSig: [3, "bytes"],
  escrowId: [4, "string"],
});

const FINALIZE_ROUND = protobufMessage({});

/** Members of the `oneof` of DevshardTx: number and message of each kind. */
const TX_MEMBERS = {
  start: [1, START_INFERENCE],
  confirm: [2, CONFIRM_START],
  finish: [3, FINISH_INFERENCE],
  timeout: [4, TIMEOUT_INFERENCE],
  validation: [5, VALIDATION],
  vote: [6, VALIDATION_VOTE],
  reveal_seed: [7, REVEAL_SEED],
  finalize: [8, FINALIZE_ROUND],
} as const;

type TxKind = keyof typeof TX_MEMBERS;
export type TxMessage<K extends TxKind> = MessageOf<(typeof TX_MEMBERS)[K][1]>;

/** One transaction; `bytes` is the encoded DevshardTx as every host re-encodes it. */
export type DevshardTx =
  | { readonly [K in TxKind]: { readonly kind: K; readonly message: TxMessage<K>; readonly bytes: Uint8Array } }[TxKind]
  // No member that this version knows: nothing applies it, but its bytes stay what they were.
  | { readonly kind: "none"; readonly bytes: Uint8Array };

/** A transaction of the client's or a host's own making. */
export function devshardTx<K extends TxKind>(kind: K, message: TxMessage<K>): DevshardTx {
  const [number, codec] = TX_MEMBERS[kind];
  const encode = codec.encode as (message: TxMessage<K>) => Uint8Array;
  const bytes = new ProtobufWriter().messageField(number, encode(message)).finish();
  return { kind, message, bytes } as DevshardTx;
}

/**
 * Reads a transaction of someone else. Its `bytes` are what Go makes of it: for everything that a host wrote the very same
 * bytes, fields of newer versions included. Throws `MalformedProtobuf`.
 */
export function decodeTx(encoded: Uint8Array): DevshardTx {
  let member: { readonly kind: TxKind; content: Uint8Array } | undefined;
  const strangers: RawField[] = [];
  for (const field of readFields(encoded)) {
    const kind = field.wireType === 2 ? KIND_OF.get(field.number) : undefined;
    if (kind === undefined) strangers.push(field);
    // The last member counts; the same one twice is merged, and merging is reading one after the other.
    else if (member?.kind === kind) member.content = Buffer.concat([member.content, field.bytes]);
    else member = { kind, content: field.bytes };
  }
  const rest = Buffer.concat(strangers.map(({ raw }) => raw));
  if (member === undefined) return { kind: "none", bytes: rest };
  const tx = devshardTx(member.kind, TX_MEMBERS[member.kind][1].decode(member.content) as TxMessage<TxKind>);
  return rest.length === 0 ? tx : { ...tx, bytes: Buffer.concat([tx.bytes, rest]) };
}

const KIND_OF: ReadonlyMap<number, TxKind> = new Map(
  (Object.keys(TX_MEMBERS) as TxKind[]).map((kind) => [TX_MEMBERS[kind][0], kind]),
);

interface DiffContent {
  readonly nonce: number;
  readonly txs: readonly DevshardTx[];
  readonly escrowId: string;
  /** 32 bytes. */
  readonly postStateRoot: Uint8Array;
}

/** The bytes that the user signs. */
export function encodeDiffContent({ nonce, txs, escrowId, postStateRoot }: DiffContent): Uint8Array {
  return withTxs(nonce, txs).stringField(3, escrowId).bytesField(4, postStateRoot).finish();
}

/** The member `txs` of a diff in JSON: nonce and transactions only. */
export function encodeWireTxs(nonce: number, txs: readonly DevshardTx[]): Uint8Array {
  return withTxs(nonce, txs).finish();
}

/** The transactions out of a diff's `txs`; the nonce in it is ignored, as hosts do. Throws `MalformedProtobuf`. */
export function decodeWireTxs(encoded: Uint8Array): DevshardTx[] {
  return readFields(encoded)
    .filter(({ number, wireType }) => number === 2 && wireType === 2)
    .map(({ bytes }) => decodeTx(bytes));
}

function withTxs(nonce: number, txs: readonly DevshardTx[]): ProtobufWriter {
  const writer = new ProtobufWriter().integerField(1, nonce);
  for (const { bytes } of txs) writer.messageField(2, bytes);
  return writer;
}

/** One diff as it travels and as hosts store it. */
export interface SignedDiff {
  readonly nonce: number;
  readonly txs: readonly DevshardTx[];
  /** The user's, over the DiffContent: 65 bytes. */
  readonly userSig: Uint8Array;
  readonly postStateRoot: Uint8Array;
}

/** A diff in the JSON of requests and of `GET diffs`; bytes are standard base64, padded. */
export interface DiffJson {
  readonly nonce: number;
  readonly txs: string;
  readonly user_sig: string;
  readonly post_state_root: string;
}

export function toDiffJson({ nonce, txs, userSig, postStateRoot }: SignedDiff): DiffJson {
  return {
    nonce,
    txs: base64(encodeWireTxs(nonce, txs)),
    user_sig: base64(userSig),
    post_state_root: base64(postStateRoot),
  };
}

/** Throws `MalformedProtobuf`. */
export function fromDiffJson({ nonce, txs, user_sig, post_state_root }: DiffJson): SignedDiff {
  return {
    nonce,
    txs: decodeWireTxs(Buffer.from(txs, "base64")),
    userSig: Buffer.from(user_sig, "base64"),
    postStateRoot: Buffer.from(post_state_root, "base64"),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** What an executor signs when it takes an inference; only the signature travels. */
export const EXECUTOR_RECEIPT = protobufMessage({
  inferenceId: [1, "uint64"],
  promptHash: [2, "bytes"],
  model: [3, "string"],
  inputLength: [4, "uint64"],
  maxTokens: [5, "uint64"],
  startedAt: [6, "int64"],
  escrowId: [7, "string"],
  confirmedAt: [8, "int64"],
});

/** What a verifier signs when it is asked about a timeout. */
export const TIMEOUT_VOTE_CONTENT = protobufMessage({
  escrowId: [1, "string"],
  inferenceId: [2, "uint64"],
  reason: [3, "enum"],
  accept: [4, "bool"],
});

/** What every host signs after a diff. */
export const STATE_SIGNATURE = protobufMessage({
  stateRoot: [1, "bytes"],
  escrowId: [2, "string"],
  nonce: [3, "uint64"],
});

/** One inference as it enters the state root. */
export const INFERENCE_RECORD = protobufMessage({
  inferenceId: [1, "uint64"],
  /** `STATUS` in the ledger. */
  status: [2, "uint32"],
  executorSlot: [3, "uint32"],
  model: [4, "string"],
  promptHash: [5, "bytes"],
  responseHash: [6, "bytes"],
  inputLength: [7, "uint64"],
  maxTokens: [8, "uint64"],
  inputTokens: [9, "uint64"],
  outputTokens: [10, "uint64"],
  reservedCost: [11, "uint64"],
  actualCost: [12, "uint64"],
  startedAt: [13, "int64"],
  confirmedAt: [14, "int64"],
  votesValid: [15, "uint32"],
  votesInvalid: [16, "uint32"],
  /** Always 16 bytes: slot s is bit s mod 8 of byte s div 8. */
  validatedBy: [17, "bytes"],
});
export type InferenceRecord = MessageOf<typeof INFERENCE_RECORD>;

/** What a slot did; the same message stands in the state root and in the settlement on chain. */
export const HOST_STATS = protobufMessage({
  slotId: [1, "uint32"],
  missed: [2, "uint32"],
  invalid: [3, "uint32"],
  cost: [4, "uint64"],
  /** Always 0 since v2, like the next. */
  requiredValidations: [5, "uint32"],
  completedValidations: [6, "uint32"],
});
export type HostStats = MessageOf<typeof HOST_STATS>;

/**
 * What a host's refusal asks of the client:
 * `resend` it lacks diffs, from `expected` on · `again` the same bytes, a little later · `resign` with a new time ·
 * `elsewhere` this host cannot, another can · `diverged` it computes another state than the client: nothing more may be
 * ordered · `paused` the network takes no requests now · `stop` no host would answer differently.
 */
export type HostRemedy = "resend" | "again" | "resign" | "elsewhere" | "diverged" | "paused" | "stop";

export interface HostRefusal {
  readonly remedy: HostRemedy;
  readonly status: number;
  /** The host's words, without the wrapping of its framework. */
  readonly text: string;
  /** The rule of the protocol that was applied, where the text names one. */
  readonly code?: DevshardRefusalCode | undefined;
  /** With `resend`: the next nonce of the host. */
  readonly expected?: number | undefined;
  /** With `stop` for another version: the one that the session is bound to on this host. */
  readonly boundVersion?: string | undefined;
}

type Row = readonly [status: number, text: RegExp, remedy: HostRemedy];

/**
 * In the order a host checks (gonka-ai/gonka devshard v3 and v4-development: `transport/server.go`, `host/`). Anything may
 * have been applied before a 500: it never says that a nonce is free.
 */
const ROWS: readonly Row[] = [
  [503, /requests are disabled|requests_disabled/i, "paused"],
  [503, /(?:)/, "again"],
  [429, /(?:)/, "again"],
  [401, /timestamp drift/i, "resign"],
  [401, /(?:)/, "stop"],
  // Recovering a wrong signature gives a stranger, so this is also what a body changed on the way looks like.
  [403, /(?:)/, "stop"],
  [409, /(?:)/, "stop"],
  [400, /(?:)/, "stop"],
  [404, /(?:)/, "elsewhere"],
  // Cached for 30 s by the host; young escrows are not known everywhere at once.
  [500, /escrow not found|chain_unavailable/i, "elsewhere"],
  [500, /invalid nonce: must be sequential/i, "resend"],
  [500, /does not match computed state root/i, "diverged"],
  [500, /invalid user signature/i, "diverged"],
  [500, /nonce exceeds chain max_nonce/i, "stop"],
  [500, /prompt does not match hash|payload does not match StartInference/i, "stop"],
  // Other refusals of a diff: composed by the same rules, so the host is on another state.
  [500, /^apply diff nonce \d+: /i, "diverged"],
  [500, /(?:)/, "elsewhere"],
  [502, /(?:)/, "again"],
  [504, /(?:)/, "elsewhere"],
];

/** Reads an answer that is no success. `errorHeader` is `X-Devshard-Error`. */
export function readHostRefusal(status: number, body: string, errorHeader: string | null): HostRefusal {
  const text = [errorHeader, messageOf(body)].filter((part) => part !== null && part !== "").join(": ");
  const row = ROWS.find(([rowStatus, words]) => rowStatus === status && words.test(text));
  const remedy = row?.[2] ?? "elsewhere";
  const codes = Object.entries(DEVSHARD_REFUSALS) as [DevshardRefusalCode, string][];
  const expected = /expected (\d+), got \d+/.exec(text)?.[1];
  return {
    remedy,
    status,
    text: text === "" ? `status ${status}` : text,
    code: codes.find(([, words]) => text.includes(words))?.[0],
    expected: remedy === "resend" && expected !== undefined ? Number(expected) : undefined,
    boundVersion: status === 409 ? /exists with version (\S+?),/.exec(text)?.[1] : undefined,
  };
}

/** Both roots out of the words of a mismatch, hex. */
export function mismatchedRoots(text: string): { readonly diff: string; readonly computed: string } | undefined {
  const match = /diff ([0-9a-f]{64}), computed ([0-9a-f]{64})/.exec(text);
  return match === null ? undefined : { diff: match[1] ?? "", computed: match[2] ?? "" };
}

const MAX_TEXT = 400;

function messageOf(body: string): string {
  let text = body;
  try {
    const json: unknown = parseForeignJson(body, SMALL_ANSWER_LIMITS);
    if (typeof json === "object" && json !== null && "message" in json) text = String(json.message);
  } catch {
    // Plain words, or a page of something in between.
  }
  return text.trim().slice(0, MAX_TEXT);
}
