import { hash } from "node:crypto";
import { MalformedProtobuf, type MessageOf, ProtobufWriter, protobufMessage } from "../../wire/protobuf.ts";
import { verifySignature } from "../crypto.ts";
import { prefixOf, sha256, signerOf, UnrecoverableSignature } from "./crypto.ts";

/*
 * Transactions as the chain reads them. The tables are written from the .proto files once more, and not shared with the
 * code that writes transactions, so that a wrong number there is found here.
 * Sources: cosmos-sdk v0.53 proto/cosmos/tx/v1beta1/tx.proto; gonka-ai/gonka inference-chain proto/inference/inference/tx.proto.
 */

const ANY = protobufMessage({ typeUrl: [1, "string"], value: [2, "bytes"] });
const TX_RAW = protobufMessage({ bodyBytes: [1, "bytes"], authInfoBytes: [2, "bytes"], signature: [3, "bytes"] });
const TIMESTAMP = protobufMessage({ seconds: [1, "int64"], nanos: [2, "enum"] });
const TX_BODY = protobufMessage({
  messages: [1, "repeated", ANY],
  unordered: [4, "bool"],
  timeout: [5, "message", TIMESTAMP],
});
const COIN = protobufMessage({ denom: [1, "string"], amount: [2, "string"] });
const FEE = protobufMessage({ amount: [1, "repeated", COIN], gasLimit: [2, "uint64"] });
const SINGLE = protobufMessage({ mode: [1, "enum"] });
const MODE_INFO = protobufMessage({ single: [1, "message", SINGLE] });
const SIGNER_INFO = protobufMessage({
  publicKey: [1, "message", ANY],
  modeInfo: [2, "message", MODE_INFO],
  sequence: [3, "uint64"],
});
const AUTH_INFO = protobufMessage({ signers: [1, "repeated", SIGNER_INFO], fee: [2, "message", FEE] });
const PUBLIC_KEY = protobufMessage({ key: [1, "bytes"] });
const SIGN_DOC = protobufMessage({
  bodyBytes: [1, "bytes"],
  authInfoBytes: [2, "bytes"],
  chainId: [3, "string"],
  accountNumber: [4, "uint64"],
});

const CREATE = protobufMessage({ creator: [1, "string"], amount: [2, "uint64"], modelId: [3, "string"] });
const SLOT_STATS = protobufMessage({
  slotId: [1, "uint32"],
  missed: [2, "uint32"],
  invalid: [3, "uint32"],
  cost: [4, "uint64"],
  requiredValidations: [5, "uint32"],
  completedValidations: [6, "uint32"],
});
const SLOT_SIGNATURE = protobufMessage({ slotId: [1, "uint32"], signature: [2, "bytes"] });
const SETTLE = protobufMessage({
  settler: [1, "string"],
  escrowId: [2, "uint64"],
  stateRoot: [3, "bytes"],
  nonce: [4, "uint64"],
  restHash: [5, "bytes"],
  hostStats: [6, "repeated", SLOT_STATS],
  signatures: [7, "repeated", SLOT_SIGNATURE],
  fees: [8, "uint64"],
  version: [9, "string"],
});

export type CreateMessage = MessageOf<typeof CREATE>;
export type SettleMessage = MessageOf<typeof SETTLE>;

/** What the sandbox's chain executes; it has no other messages. */
type EscrowMessage =
  | { readonly kind: "create"; readonly message: CreateMessage }
  | { readonly kind: "settle"; readonly message: SettleMessage };

/** A refusal with the SDK's numbers: `codespace` and `code` of a `tx_response`. */
export class TxRefusal extends Error {
  readonly code: number;
  readonly codespace: string;

  constructor(code: number, text: string, codespace = "sdk") {
    super(text);
    this.code = code;
    this.codespace = codespace;
  }
}

/** A transaction that could be read; its signature is checked by {@link checkSignature}. */
export interface ChainTx {
  /** Upper-case hex. */
  readonly hash: string;
  readonly escrow: EscrowMessage;
  readonly isUnordered: boolean;
  readonly sequence: bigint;
  readonly timeoutNanos: bigint;
  /** ngonka */
  readonly fee: bigint;
  readonly gasLimit: bigint;
  readonly publicKey: Uint8Array;
  readonly raw: MessageOf<typeof TX_RAW>;
}

/** Reads TxRaw. Throws {@link TxRefusal} 2 for bytes that are none, 18 for what this chain cannot execute. */
export function readTx(bytes: Uint8Array): ChainTx {
  try {
    const raw = TX_RAW.decode(bytes);
    const body = TX_BODY.decode(raw.bodyBytes);
    const auth = AUTH_INFO.decode(raw.authInfoBytes);
    const [message, ...others] = body.messages;
    const [signer, ...moreSigners] = auth.signers;
    if (message === undefined || others.length > 0) throw new TxRefusal(18, "must contain exactly one message");
    if (signer === undefined || moreSigners.length > 0) throw new TxRefusal(4, "wrong number of signers");
    if (signer.modeInfo?.single?.mode !== 1) throw new TxRefusal(4, "only SIGN_MODE_DIRECT is supported");
    if (signer.publicKey?.typeUrl !== "/cosmos.crypto.secp256k1.PubKey") throw new TxRefusal(8, "invalid pubkey");
    const coins = auth.fee?.amount ?? [];
    if (coins.some(({ denom }) => denom !== "ngonka")) throw new TxRefusal(13, "fees must be paid in ngonka");
    const { seconds, nanos } = body.timeout ?? { seconds: 0n, nanos: 0 };
    return {
      hash: hash("sha256", bytes, "hex").toUpperCase(),
      escrow: escrowMessage(message),
      isUnordered: body.unordered,
      sequence: signer.sequence,
      timeoutNanos: seconds * 1_000_000_000n + BigInt(nanos),
      fee: coins.reduce((sum, { amount }) => sum + BigInt(amount), 0n),
      gasLimit: auth.fee?.gasLimit ?? 0n,
      publicKey: PUBLIC_KEY.decode(signer.publicKey.value).key,
      raw,
    };
  } catch (error) {
    if (error instanceof MalformedProtobuf || error instanceof SyntaxError)
      throw new TxRefusal(2, `tx parse error: ${error.message}`);
    throw error;
  }
}

/** Throws {@link TxRefusal} 4 unless the key signed exactly this transaction for this account of this chain. */
export function checkSignature(
  { raw, publicKey }: ChainTx,
  { chainId, accountNumber }: { readonly chainId: string; readonly accountNumber: bigint },
): void {
  const { bodyBytes, authInfoBytes, signature } = raw;
  const signDoc = SIGN_DOC.encode({ bodyBytes, authInfoBytes, chainId, accountNumber });
  if (verifySignature(publicKey, signDoc, Buffer.from(signature).toString("base64")) === undefined) return;
  throw new TxRefusal(
    4,
    `signature verification failed; please verify account number (${accountNumber}) and chain-id (${chainId}): unauthorized`,
  );
}

function escrowMessage({ typeUrl, value }: MessageOf<typeof ANY>): EscrowMessage {
  if (typeUrl === "/inference.inference.MsgCreateDevshardEscrow")
    return { kind: "create", message: CREATE.decode(value) };
  if (typeUrl === "/inference.inference.MsgSettleDevshardEscrow")
    return { kind: "settle", message: SETTLE.decode(value) };
  throw new TxRefusal(2, `unable to resolve type URL ${typeUrl}: tx parse error`);
}

/** The row of an escrow; a test may change it, as governance and older chains do. Amounts in ngonka. */
export interface Escrow {
  readonly id: string;
  readonly creator: string;
  amount: bigint;
  /** Address of each slot. */
  slots: readonly string[];
  readonly epochIndex: number;
  readonly appHash: string;
  settled: boolean;
  readonly modelId: string;
  tokenPrice: bigint;
  createDevshardFee: bigint;
  feePerNonce: bigint;
  sealGraceNonces: number;
  sealGraceSeconds: number;
  autoSealEvery: number;
  /** Basis points. */
  validationRate: number;
  /** Percent; chains of v4 leave it 0. */
  voteThresholdFactor: number;
}

/** What the verification of a settlement asks the chain. */
interface SettleContext {
  readonly escrow: Escrow | undefined;
  readonly epoch: number;
  readonly isAllowed: (address: string) => boolean;
  readonly approvedVersions: readonly string[];
  readonly maxNonce: number;
  readonly isParticipant: (address: string) => boolean;
  /** Whether the address let this key sign for it. */
  readonly isGranted: (warm: string, granter: string) => boolean;
}

/** Who gets what, ngonka; the refund goes to the creator. */
export interface Division {
  readonly perSlot: readonly { readonly slot: number; readonly address: string; readonly amount: bigint }[];
  readonly refund: bigint;
}

const MAX_VERSION_BYTES = 128;

/**
 * The chain's verification of MsgSettleDevshardEscrow, and what it pays. Throws {@link TxRefusal}.
 * Source: gonka-ai/gonka, settle handler of the v4-development tree.
 */
export function divideSettled(message: SettleMessage, context: SettleContext): Division {
  const { escrow } = context;
  if (escrow === undefined) throw refused(`escrow ${message.escrowId} not found`);
  if (escrow.settled) throw refused("escrow already settled");
  if (message.settler !== escrow.creator) throw refused("settler is not the escrow creator");
  if (!context.isAllowed(message.settler)) throw refused("address is not allowed to use devshard escrows");
  if (context.epoch > escrow.epochIndex + 1) throw refused("settlement window has passed");
  checkVersion(message.version, context.approvedVersions);
  if (message.nonce > BigInt(context.maxNonce)) {
    throw refused(`nonce ${message.nonce} exceeds max_nonce ${context.maxNonce}`);
  }
  checkRoot(message);
  checkSlots(message, escrow);
  checkQuorum(message, escrow, context);
  return divide(message, escrow, context);
}

/** What an escrow that nobody settled in time pays: its amount in equal parts; the rest stays with the module. */
export function dividePruned({ amount, slots }: Escrow): Division {
  const share = amount / BigInt(slots.length);
  return { perSlot: slots.map((address, slot) => ({ slot, address, amount: share })), refund: 0n };
}

function refused(text: string): TxRefusal {
  return new TxRefusal(1140, `failed to execute message; message index: 0: ${text}`, "inference");
}

function checkVersion(version: string, approved: readonly string[]): void {
  if (version === "") throw refused("state_root_and_protocol_version is required");
  if (Buffer.byteLength(version) > MAX_VERSION_BYTES) throw refused("state_root_and_protocol_version is too long");
  if (approved.length > 0 && !approved.includes(version)) throw refused(`version ${version} is not approved`);
}

function checkRoot({ hostStats, fees, restHash, stateRoot, version }: SettleMessage): void {
  const stats = new ProtobufWriter();
  for (const { slotId, missed, invalid, cost, requiredValidations, completedValidations } of hostStats) {
    const entry = new ProtobufWriter().integerField(1, slotId).integerField(2, missed).integerField(3, invalid);
    entry.integerField(4, cost).integerField(5, requiredValidations).integerField(6, completedValidations);
    stats.messageField(1, entry.finish());
  }
  const be8 = Buffer.alloc(8);
  be8.writeBigUInt64BE(fees);
  const root = sha256(sha256(stats.finish()), be8, restHash, sha256(version), Uint8Array.of(2));
  if (Buffer.compare(root, stateRoot) !== 0) throw refused("state root mismatch");
}

function checkSlots({ hostStats, nonce }: SettleMessage, { slots }: Escrow): void {
  const seen = new Set<number>();
  for (const { slotId, missed, invalid } of hostStats) {
    if (slotId >= slots.length) throw refused(`host_stats: slot ${slotId} out of range`);
    if (seen.has(slotId)) throw refused(`host_stats: duplicate slot ${slotId}`);
    seen.add(slotId);
    const assigned = assignedTo(slotId, nonce, BigInt(slots.length));
    if (BigInt(missed) > assigned) throw refused(`slot ${slotId}: missed ${missed} exceeds assigned ${assigned}`);
    if (BigInt(invalid) > assigned - BigInt(missed)) {
      throw refused(`slot ${slotId}: invalid ${invalid} exceeds executed ${assigned - BigInt(missed)}`);
    }
  }
  if (seen.size < slots.length) throw refused("failed to allocate all remainder fees");
}

/** How many nonces up to the last belong to a slot. */
function assignedTo(slot: number, nonce: bigint, slots: bigint): bigint {
  const first = slot === 0 ? slots : BigInt(slot);
  return nonce < first ? 0n : 1n + (nonce - first) / slots;
}

function checkQuorum(
  { signatures, stateRoot, nonce }: SettleMessage,
  { id, slots }: Escrow,
  context: SettleContext,
): void {
  const content = new ProtobufWriter().bytesField(1, stateRoot).bytesField(2, Buffer.from(id)).integerField(3, nonce);
  const signed = new Set<number>();
  for (const { slotId, signature } of signatures) {
    const owner = slots[slotId];
    if (owner === undefined) throw refused(`signature: slot ${slotId} out of range`);
    if (signed.has(slotId)) throw refused(`signature: duplicate slot ${slotId}`);
    const signer = addressOf(content.finish(), signature, prefixOf(owner));
    if (signer !== owner && !context.isGranted(signer, owner))
      throw refused(`signature of slot ${slotId} is not valid`);
    signed.add(slotId);
  }
  const needed = Math.floor((2 * slots.length) / 3) + 1;
  if (signed.size < needed) throw refused(`insufficient signatures: got ${signed.size}, need ${needed}`);
}

function addressOf(content: Uint8Array, signature: Uint8Array, prefix: string): string {
  try {
    return signerOf(content, signature, prefix);
  } catch (error) {
    if (error instanceof UnrecoverableSignature) throw refused(error.message);
    throw error;
  }
}

function divide({ hostStats, fees }: SettleMessage, { amount, slots }: Escrow, context: SettleContext): Division {
  const share = fees / BigInt(slots.length);
  const remainder = fees % BigInt(slots.length);
  const perSlot = hostStats.map(({ slotId, cost }, index) => {
    const address = slots[slotId] ?? "";
    if (!context.isParticipant(address)) throw refused(`participant ${address} not found`);
    return { slot: slotId, address, amount: cost + share + (BigInt(index) < remainder ? 1n : 0n) };
  });
  const paid = perSlot.reduce((sum, each) => sum + each.amount, 0n);
  if (paid > amount) throw refused(`total cost ${paid} exceeds escrow amount ${amount}`);
  return { perSlot, refund: amount - paid };
}
