import { rename } from "node:fs/promises";
import { unwritable } from "../base/files.ts";
import { ZephError } from "../errors.ts";
import { applyDiff } from "../wire/devshard/compose.ts";
import { DevshardRefusal } from "../wire/devshard/rules.ts";
import { auditDevshard, type DevshardAudit, DIFFS_PER_READ } from "./devshard-audit.ts";
import { devshardHost } from "./devshard-host.ts";
import { escrowFolder, type OpenEscrow } from "./devshard-index.ts";
import { DevshardJournal } from "./devshard-journal.ts";
import { adopt, type DevshardWorld } from "./devshard-open.ts";

/** What a rescue starts from. */
interface Rescued {
  readonly escrow: OpenEscrow;
  /** Diffs that the journal had, and what the hosts added. */
  readonly fromJournal: number;
  readonly fromHosts: number;
  /** Where a journal that could not be used went. */
  readonly asidePath: string | undefined;
  /** Hosts that could not be asked: one of them may know a later diff. */
  readonly unasked: readonly string[];
}

/**
 * Makes the journal of an escrow whole: a damaged or lost one is written anew from the longest list of diffs that the hosts
 * have, each signed by the own key and its root recomputed; diffs that only hosts know are added. Throws
 * `devshard_diverged` when hosts hold two different diffs for one nonce, `devshard_not_found`, `address_mismatch`, and
 * `devshard_no_hosts` when no host could be asked while the journal is lost.
 */
export async function rescueJournal(world: DevshardWorld, escrowId: string): Promise<Rescued> {
  const { chain, signer, stateFolder, fetch, clock, signal } = world;
  const chainId = await chain.chainId(signal);
  const row = await chain.escrow(escrowId, signal);
  if (row === undefined) throw new ZephError("devshard_not_found", { detail: `escrow ${escrowId}` });
  if (row.creator !== signer.address) {
    throw new ZephError("address_mismatch", {
      detail: `escrow ${escrowId} belongs to ${row.creator}, the key is of ${signer.address}`,
    });
  }
  const folder = escrowFolder(stateFolder, chainId, escrowId);
  const { nonce: fromJournal, version, isDamaged } = await lookAt(folder, world);
  const audit = await auditDevshard({ chain, escrowId, fetch, clock, version, signal });
  refuseForks(audit);
  const asked = audit.hosts.filter(({ state }) => state !== "unreachable");
  if (asked.length === 0 && (isDamaged || version === undefined)) {
    throw new ZephError("devshard_no_hosts", {
      detail: `the journal of escrow ${escrowId} is lost, and no host answers`,
    });
  }
  const asidePath = isDamaged ? `${folder}.damaged-${clock.nowMs()}` : undefined;
  try {
    if (asidePath !== undefined) await rename(folder, asidePath);
  } catch (error) {
    throw unwritable(folder, error);
  }
  const escrow = await adopt(world, chainId, row, audit.config.version);
  const fromHosts = await importDiffs(world, folder, audit);
  const unasked = audit.hosts.filter(({ state }) => state === "unreachable").map(({ address }) => address);
  return { escrow, fromJournal: isDamaged ? 0 : fromJournal, fromHosts, asidePath, unasked };
}

/** How far the journal goes; whether it must be written anew. */
async function lookAt(
  folder: string,
  { clock }: DevshardWorld,
): Promise<{ readonly nonce: number; readonly version: string | undefined; readonly isDamaged: boolean }> {
  try {
    const journal = await DevshardJournal.open(folder, clock);
    const { ledger, facts } = journal;
    await journal.close();
    return { nonce: ledger.nonce, version: facts.config.version, isDamaged: false };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    if (error.code === "devshard_none_open") return { nonce: 0, version: undefined, isDamaged: false };
    if (error.code === "devshard_journal_damaged") return { nonce: 0, version: undefined, isDamaged: true };
    throw error;
  }
}

/** With two diffs for one nonce nobody can say which side the quorum will be on, and a third would make it worse. */
function refuseForks({ hosts }: DevshardAudit): void {
  const fork = hosts.find(({ detail }) => detail?.includes("the creator has signed both") === true);
  if (fork !== undefined) throw new ZephError("devshard_diverged", { detail: `${fork.address}: ${fork.detail}` });
}

async function importDiffs(world: DevshardWorld, folder: string, audit: DevshardAudit): Promise<number> {
  const { fetch, clock, signal } = world;
  const { escrowId, version } = audit.config;
  const source = audit.hosts
    .filter(({ state, url }) => state === "agrees" && url !== undefined)
    .toSorted((a, b) => b.nonce - a.nonce)[0];
  const journal = await DevshardJournal.open(folder, clock);
  try {
    const before = journal.ledger.nonce;
    if (source?.url === undefined || source.nonce <= before) return 0;
    const host = devshardHost({ url: source.url, version, escrowId, fetch, clock });
    while (journal.ledger.nonce < source.nonce) {
      const chunk = await host.diffs(journal.ledger.nonce + 1, journal.ledger.nonce + DIFFS_PER_READ, signal);
      if (chunk.length === 0) break;
      await journal.exclusive(async (writer) => {
        for (const { diff } of chunk) {
          const bound = new Set(journal.ledger.warmKeys.keys());
          try {
            // The root proves which keys were granted when it was signed.
            applyDiff(journal.ledger, diff, { isGranted: () => true });
          } catch (error) {
            if (!(error instanceof DevshardRefusal)) throw error;
            throw new ZephError("devshard_diverged", { detail: `the journal and ${source.address}: ${error.message}` });
          }
          await writer.appendDiff(
            diff,
            [...journal.ledger.warmKeys].filter(([slot]) => !bound.has(slot)),
          );
        }
      });
    }
    return journal.ledger.nonce - before;
  } finally {
    await journal.close();
  }
}
