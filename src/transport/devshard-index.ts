import { existsSync } from "node:fs";
import { join } from "node:path";
import { readRegularFileSync, UnusableFile, writeFileAtomic } from "../base/files.ts";
import { withLockFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { formatGnk, type LatestEpoch } from "../wire/documents.ts";

/** An escrow that was opened from this computer, as every start of zeph looks at it. */
export interface OpenEscrow {
  readonly chainId: string;
  /** Decimal. */
  readonly escrowId: string;
  readonly model: string;
  /** Address of the key that may settle it. */
  readonly creator: string;
  /** ngonka, decimal. */
  readonly amount: string;
  readonly openedAtMs: number;
  /** Not settled by then, all of it goes to the hosts. An estimate from the length of epochs. */
  readonly settleByMs: number;
}

/** zeph's folder for everything about devshards. */
function devshardHome(stateFolder: string): string {
  return join(stateFolder, "devshard");
}

/** Where the transactions of one chain are noted, and its escrows lie. */
export function chainFolder(stateFolder: string, chainId: string): string {
  return join(devshardHome(stateFolder), chainId.replace(/[^A-Za-z0-9._-]/g, "_"));
}

/** The folder of one escrow's journal. */
export function escrowFolder(stateFolder: string, chainId: string, escrowId: string): string {
  return join(chainFolder(stateFolder, chainId), escrowId);
}

/** Of ten thousand open escrows. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/** Escrows that are not settled. Where there is no folder nothing is read, which is all that most runs do. */
export function openEscrows(stateFolder: string): readonly OpenEscrow[] {
  const path = indexPath(stateFolder);
  if (!existsSync(path)) return [];
  try {
    const { open } = JSON.parse(readRegularFileSync(path, { maxBytes: MAX_INDEX_BYTES })?.toString("utf8") ?? "{}");
    return Array.isArray(open) ? open : [];
  } catch (cause) {
    throw new ZephError("devshard_journal_damaged", {
      detail: cause instanceof UnusableFile ? cause.message : path,
      cause,
      hint: `Look at ${path}; the journals beside it are whole.`,
    });
  }
}

/** Adds an escrow, or changes what is known of it; `undefined` takes it off the list: it is settled, or lost. */
export async function updateOpenEscrow(
  stateFolder: string,
  { chainId, escrowId }: Pick<OpenEscrow, "chainId" | "escrowId">,
  entry: OpenEscrow | undefined,
  clock: Clock,
): Promise<void> {
  const path = indexPath(stateFolder);
  const busy = (detail: string) => new ZephError("devshard_busy", { detail });
  // Makes the folder, in which the lock must lie.
  if (!existsSync(path)) await writeFileAtomic(path, '{"open":[]}\n');
  await withLockFile(`${path}.lock`, { clock, busy }, async (lock) => {
    const others = openEscrows(stateFolder).filter((each) => each.chainId !== chainId || each.escrowId !== escrowId);
    await lock.assertHeld();
    const open = entry === undefined ? others : [...others, entry];
    await writeFileAtomic(path, `${JSON.stringify({ open }, undefined, 2)}\n`);
  });
}

function indexPath(stateFolder: string): string {
  return join(devshardHome(stateFolder), "open.json");
}

/** 15,391 blocks took 22.7 hours on mainnet (heights of July and August 2026). */
const BLOCK_MS = 5_310;
const EPOCH_BLOCKS = 15_391n;

/** Until about when an escrow can be settled: to the end of the epoch after its own. */
export function settleByMs(epochIndex: bigint, epoch: LatestEpoch | undefined, nowMs: number): number {
  const length = epoch?.epochLengthBlocks ?? EPOCH_BLOCKS;
  // Where nobody tells, the least there can be.
  if (epoch === undefined) return nowMs + Number(length) * BLOCK_MS;
  const leftInThis = epoch.pocStartBlockHeight + length - epoch.blockHeight;
  const epochsLeft = epochIndex + 1n - epoch.epochIndex;
  if (epochsLeft < 0n) return nowMs;
  return nowMs + Number((leftInThis > 0n ? leftInThis : 0n) + epochsLeft * length) * BLOCK_MS;
}

/** From here on every start reminds of it. */
export const NEAR_LIMIT_MS = 8 * 3_600_000;

/** What a person should know of escrows that near their limit; a list that cannot be read is told of too. */
export function deadlineNotices(stateFolder: string, nowMs: number): readonly string[] {
  let open: readonly OpenEscrow[];
  try {
    open = openEscrows(stateFolder);
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    return [`${error.message}. ${error.hint}`];
  }
  return open.flatMap(({ escrowId, amount, settleByMs: byMs }) => {
    const leftMs = byMs - nowMs;
    if (leftMs > NEAR_LIMIT_MS) return [];
    const whole = formatGnk(BigInt(amount));
    const command = `zeph devshard close ${escrowId}`;
    if (leftMs <= 0)
      return [`The time to settle escrow ${escrowId} (${whole}) is over, or nearly so. Try at once: ${command}`];
    const hours = Math.floor(leftMs / 3_600_000);
    const left = hours > 0 ? `${hours} h` : `${Math.ceil(leftMs / 60_000)} min`;
    return [`Escrow ${escrowId} must be settled within about ${left}, or its ${whole} go to the hosts: ${command}`];
  });
}
