import { ProtobufWriter } from "../../wire/protobuf.ts";
import { type SettleMessage, TxRefusal } from "./chain-tx.ts";
import { sha256, signerOf, UnrecoverableSignature } from "./curve.ts";

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
export interface SettleContext {
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
    const signer = addressOf(content.finish(), signature);
    if (signer !== owner && !context.isGranted(signer, owner))
      throw refused(`signature of slot ${slotId} is not valid`);
    signed.add(slotId);
  }
  const needed = Math.floor((2 * slots.length) / 3) + 1;
  if (signed.size < needed) throw refused(`insufficient signatures: got ${signed.size}, need ${needed}`);
}

function addressOf(content: Uint8Array, signature: Uint8Array): string {
  try {
    return signerOf(content, signature);
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
