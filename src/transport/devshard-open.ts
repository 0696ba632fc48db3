import { mkdir } from "node:fs/promises";
import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import { type ChainClient, type DevshardParams, devshardConfig, type Escrow } from "../network/chain.ts";
import {
  awaitTransaction,
  type JournalledTx,
  readTransactions,
  sendTransaction,
} from "../network/chain-transaction.ts";
import { createEscrowMessage, settleEscrowMessage } from "../wire/devshard/chain-tx.ts";
import { Ledger } from "../wire/devshard/ledger.ts";
import { DEVSHARD_VERSIONS } from "../wire/devshard/rules.ts";
import type { Settlement } from "../wire/devshard/settlement.ts";
import type { DevshardSigner } from "../wire/devshard/signing.ts";
import type { LatestEpoch } from "../wire/documents.ts";
import {
  chainFolder,
  escrowFolder,
  type OpenEscrow,
  openEscrows,
  settleByMs,
  updateOpenEscrow,
} from "./devshard-index.ts";
import { DevshardJournal } from "./devshard-journal.ts";
import { DevshardSession } from "./devshard-session.ts";

/** What opening, using and closing an escrow all need. */
export interface DevshardWorld {
  readonly chain: ChainClient;
  readonly signer: DevshardSigner;
  /** zeph's state folder. */
  readonly stateFolder: string;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Usual fee of this network's transactions, and gas that a settlement of 16 slots fits into (operators' guide). */
const TX_FEE_NGONKA = 1_000_000n;
const TX_GAS = 700_000n;

/** The fee of creating an escrow: the usual one, or what the chain asks for the gas. */
export function createFee({ minGasPriceNgonka }: Pick<DevshardParams, "minGasPriceNgonka">): bigint {
  const least = minGasPriceNgonka * TX_GAS;
  return least > TX_FEE_NGONKA ? least : TX_FEE_NGONKA;
}

/** The newest version that both the network and this program know. Throws `devshard_version_unknown`. */
export function chooseVersion({ approvedVersions }: Pick<DevshardParams, "approvedVersions">): string {
  const version = DEVSHARD_VERSIONS.find((name) => approvedVersions.length === 0 || approvedVersions.includes(name));
  if (version !== undefined) return version;
  throw new ZephError("devshard_version_unknown", { detail: `the network approves ${approvedVersions.join(", ")}` });
}

/**
 * An escrow that an earlier run paid for and did not come to use: killed between the broadcast and the journal. Waits for
 * its block where there is none yet. `undefined` when nothing is left over. Throws `transaction_unclear`.
 */
export async function resumeOpening(world: DevshardWorld): Promise<OpenEscrow | undefined> {
  const chainId = await world.chain.chainId(world.signal);
  const folder = chainFolder(world.stateFolder, chainId);
  const own = (await readTransactions(folder)).filter(({ purpose }) => purpose === createPurpose(world.signer.address));
  const last = own.at(-1);
  if (last === undefined) return undefined;
  const ended = last.end === undefined ? await awaitTransaction(last, { ...world, folder }) : last;
  const escrowId = escrowIdOf(ended);
  if (escrowId === undefined) return undefined;
  const known = openEscrows(world.stateFolder).find((each) => each.chainId === chainId && each.escrowId === escrowId);
  if (known !== undefined) return undefined;
  const row = await world.chain.escrow(escrowId, world.signal);
  return row === undefined || row.settled ? undefined : adopt(world, chainId, row);
}

/**
 * Creates an escrow, waits for it, and begins its journal. The transaction is journalled before it is sent, so a run that
 * is killed anywhere is carried on by the next one and nothing is paid twice. Throws `transaction_refused`,
 * `transaction_unclear`, `account_not_found`, `devshard_version_unknown`.
 */
export async function createEscrow(
  world: DevshardWorld,
  { model, amount, params }: { readonly model: string; readonly amount: bigint; readonly params: DevshardParams },
): Promise<OpenEscrow> {
  const { chain, signer, stateFolder, signal, clock } = world;
  const chainId = await chain.chainId(signal);
  const folder = chainFolder(stateFolder, chainId);
  await updateOpenEscrow(stateFolder, { chainId, escrowId: "" }, undefined, clock);
  await ensureFolder(folder);
  const sent = await sendTransaction(
    {
      purpose: createPurpose(signer.address),
      message: createEscrowMessage(signer.address, amount, model),
      fee: createFee(params),
      gasLimit: TX_GAS,
      note: { amount: amount.toString(), model },
    },
    { ...world, folder },
  );
  const escrowId = escrowIdOf(sent);
  if (escrowId === undefined)
    throw new ZephError("bad_response", { detail: `${sent.hash} does not name the escrow it made` });
  return adopt(world, chainId, await awaitRow(world, escrowId));
}

/** Opens the journal of an escrow, and a session over it. Throws `devshard_none_open`, `devshard_journal_damaged`, `address_mismatch`. */
export async function openSession(
  world: DevshardWorld,
  { chainId, escrowId }: Pick<OpenEscrow, "chainId" | "escrowId">,
): Promise<DevshardSession> {
  const { chain, signer, stateFolder, fetch, clock, signal } = world;
  const [params, epoch] = await Promise.all([chain.params(signal), chain.epoch(signal).catch(() => undefined)]);
  const journal = await DevshardJournal.open(escrowFolder(stateFolder, chainId, escrowId), clock);
  if (journal.facts.config.user !== signer.address) {
    await journal.close();
    throw new ZephError("address_mismatch", {
      detail: `escrow ${escrowId} was opened by ${journal.facts.config.user}, the key is of ${signer.address}`,
    });
  }
  await noteDeadline(world, journal, epoch);
  const session = new DevshardSession({ journal, chain, params, signer, fetch, clock });
  await session.findInterrupted();
  return session;
}

/** Sends a settlement and waits for it. Sent by an earlier run already, it is waited for only. Throws as `createEscrow`. */
export async function settleEscrow(
  world: DevshardWorld,
  settlement: Settlement,
  journal: DevshardJournal,
  fee: bigint = TX_FEE_NGONKA,
): Promise<string | undefined> {
  const { chain, signer, stateFolder, signal, clock } = world;
  const { chainId } = journal.facts;
  const folder = chainFolder(stateFolder, chainId);
  await ensureFolder(folder);
  const { escrowId } = settlement;
  let hash: string | undefined;
  if ((await chain.escrow(escrowId, signal))?.settled !== true) {
    const sent = await sendTransaction(
      {
        purpose: `settle ${escrowId}`,
        message: settleEscrowMessage(signer.address, settlement),
        fee,
        gasLimit: TX_GAS,
        note: { escrowId },
      },
      { ...world, folder },
    );
    hash = sent.hash;
  }
  await journal.exclusive((writer) => writer.appendNote({ kind: "settled", atMs: clock.nowMs(), txHash: hash }));
  await updateOpenEscrow(stateFolder, { chainId, escrowId }, undefined, clock);
  return hash;
}

/** Writes down an escrow that is on the chain as one's own. */
export async function adopt(
  world: DevshardWorld,
  chainId: string,
  escrow: Escrow,
  version?: string,
): Promise<OpenEscrow> {
  const { chain, signer, stateFolder, clock, signal } = world;
  if (escrow.creator !== signer.address) {
    throw new ZephError("address_mismatch", { detail: `escrow ${escrow.id} belongs to ${escrow.creator}` });
  }
  const [params, epoch] = await Promise.all([chain.params(signal), chain.epoch(signal).catch(() => undefined)]);
  const config = devshardConfig(escrow, params, version ?? chooseVersion(params));
  const { model, epochIndex } = escrow;
  const openedAtMs = clock.nowMs();
  const folder = escrowFolder(stateFolder, chainId, escrow.id);
  const journal = await DevshardJournal.create(folder, { chainId, model, epochIndex, openedAtMs, config }, clock);
  try {
    return await noteDeadline(world, journal, epoch);
  } finally {
    await journal.close();
  }
}

/**
 * Asks one host where it stands, before anything is ordered: it must have the same initial state, which proves version,
 * amount, fee and number of slots. Young escrows are not known at once, so it is asked a few times. Throws
 * `devshard_diverged`; a host that does not answer proves nothing.
 */
export async function provePlace(
  session: DevshardSession,
  waitMs: readonly number[] = [1_000, 3_000],
): Promise<boolean> {
  const initial = new Ledger(session.ledger.config).root().root;
  for (const address of session.courier.addresses) {
    for (const delayMs of [0, ...waitMs]) {
      try {
        await session.options.clock.sleep(delayMs);
        const { nonce, stateHash } = await session.courier.probe(address);
        if (nonce !== 0 || stateHash === undefined) return true;
        return Buffer.compare(stateHash, initial) === 0;
      } catch (error) {
        if (ZephError.is(error) && error.code === "devshard_diverged") throw error;
      }
    }
  }
  return false;
}

async function noteDeadline(
  { stateFolder, clock }: DevshardWorld,
  { facts, settled }: DevshardJournal,
  epoch: LatestEpoch | undefined,
): Promise<OpenEscrow> {
  const { chainId, model, config, openedAtMs, epochIndex } = facts;
  const { escrowId, user: creator, amount } = config;
  const known = openEscrows(stateFolder).find((each) => each.chainId === chainId && each.escrowId === escrowId);
  const byMs =
    epoch === undefined && known !== undefined ? known.settleByMs : settleByMs(epochIndex, epoch, clock.nowMs());
  const entry = { chainId, escrowId, model, creator, amount: amount.toString(), openedAtMs, settleByMs: byMs };
  if (settled === undefined) await updateOpenEscrow(stateFolder, entry, entry, clock);
  return entry;
}

function createPurpose(address: string): string {
  return `create ${address}`;
}

function escrowIdOf({ end }: JournalledTx): string | undefined {
  return end?.kind === "included" && end.code === 0 ? end.escrowId : undefined;
}

const ROW_TRIES = 10;

/** The row may be a block behind its transaction. */
async function awaitRow({ chain, clock, signal }: DevshardWorld, escrowId: string): Promise<Escrow> {
  for (let attempt = 0; attempt < ROW_TRIES; attempt += 1) {
    const row = await chain.escrow(escrowId, signal);
    if (row !== undefined) return row;
    await clock.sleep(2_000, signal);
  }
  throw new ZephError("transaction_unclear", { detail: `the chain does not show escrow ${escrowId} yet` });
}

async function ensureFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}
