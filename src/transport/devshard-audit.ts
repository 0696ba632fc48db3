import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import { type ChainClient, type DevshardParams, devshardConfig, type Escrow } from "../network/chain.ts";
import { applyDiff, checkUserSignature } from "../wire/devshard/compose.ts";
import { Ledger, PHASE, STATUS, stateSignatureContent } from "../wire/devshard/ledger.ts";
import {
  DEVSHARD_VERSIONS,
  type DevshardConfig,
  DevshardRefusal,
  devshardRules,
  quorum,
  refusalOf,
  slotOfNonce,
} from "../wire/devshard/rules.ts";
import { mismatchCause, payoutOf } from "../wire/devshard/settlement.ts";
import { recoverAddress } from "../wire/devshard/signing.ts";
import type { LatestEpoch } from "../wire/documents.ts";
import { devshardHost, HostRefused, type StoredDiff } from "./devshard-host.ts";

interface AuditOptions {
  readonly chain: ChainClient;
  /** Decimal. */
  readonly escrowId: string;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
  /** Asked instead of the hosts that the chain names. */
  readonly hostUrls?: readonly string[] | undefined;
  /** Default: the one that the hosts are bound to. */
  readonly version?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((host: string, nonce: number) => void) | undefined;
}

/** What one host says, compared with what was recomputed. */
interface AuditedHost {
  /** Empty for a host that was named by its URL only. */
  readonly address: string;
  readonly slots: readonly number[];
  readonly url: string | undefined;
  /**
   * `agrees`: every diff it has is the one that was checked, and its roots are the recomputed ones · `empty`: it has not
   * met this devshard yet · `disagrees` · `unreachable`.
   */
  readonly state: "agrees" | "empty" | "disagrees" | "unreachable";
  /** Highest nonce that was read from it. */
  readonly nonce: number;
  /** Whether a valid state signature of it at the last nonce was seen. */
  readonly signed: boolean;
  readonly detail?: string | undefined;
}

export interface DevshardAudit {
  readonly escrow: Escrow;
  readonly config: DevshardConfig;
  readonly params: DevshardParams;
  readonly epoch: LatestEpoch | undefined;
  readonly ledger: Ledger;
  readonly hosts: readonly AuditedHost[];
  /** Inferences that are not sealed, by status. */
  readonly inferences: Readonly<Record<keyof typeof STATUS, number>>;
  /** ngonka that open inferences hold back. */
  readonly reserved: bigint;
  /** Warm keys that signed, and whether the chain knows a grant now. */
  readonly warmKeys: readonly { readonly slot: number; readonly address: string; readonly granted: boolean }[];
  /** If it were settled as it stands. */
  readonly payout: { readonly perSlot: readonly bigint[]; readonly refund: bigint };
  /** Signatures at the last nonce, in slots. */
  readonly quorum: { readonly weight: number; readonly needed: number; readonly holds: boolean };
  /** Transactions in the hosts' mempools that no diff holds yet. */
  readonly waiting: number;
  /** Everything that is wrong, in words; empty when all agrees. */
  readonly findings: readonly string[];
}

/** Diffs of one read; as upstream's own catch-up. */
export const DIFFS_PER_READ = 200;

/**
 * Recomputes a devshard from what its hosts give, and needs no key: each diff's signature by the creator, each host's
 * signature in it, every root. Throws `devshard_not_found` for an escrow the chain does not have and `devshard_no_hosts`
 * when no host could be read; what does not agree is in `findings`.
 */
export async function auditDevshard(options: AuditOptions): Promise<DevshardAudit> {
  const { chain, escrowId, signal } = options;
  const [escrow, params, epoch] = await Promise.all([
    chain.escrow(escrowId, signal),
    chain.params(signal),
    chain.epoch(signal).catch(() => undefined),
  ]);
  if (escrow === undefined) throw new ZephError("devshard_not_found", { detail: `escrow ${escrowId}` });
  const targets = await findTargets(options, escrow);
  const version = options.version ?? (await boundVersion(options, targets, params));
  const config = devshardConfig(escrow, params, version);
  const grants = await readGrants(chain, escrow, signal);
  const replay = new Replay(config);

  const hosts: Omit<AuditedHost, "signed">[] = [];
  for (const target of targets) hosts.push(await auditHost(options, version, target, replay));
  const { ledger } = replay;
  const signed = await readSignatures(options, version, targets, hosts, ledger, grants);
  const weight = escrow.slots.filter((_, slot) => signed.has(escrow.slots[slot] ?? "")).length;
  const needed = quorum(escrow.slots.length);
  const warmKeys = [...ledger.warmKeys].map(([slot, address]) => ({
    slot,
    address,
    granted: grants.get(escrow.slots[slot] ?? "")?.has(address) === true,
  }));
  const count = (status: number) => ledger.live.filter((record) => record.status === status).length;
  return {
    escrow,
    config,
    params,
    epoch,
    ledger,
    hosts: hosts.map((host) => ({ ...host, signed: signed.has(host.address) })),
    inferences: {
      pending: count(STATUS.pending),
      started: count(STATUS.started),
      finished: count(STATUS.finished),
      challenged: count(STATUS.challenged),
      validated: count(STATUS.validated),
      invalidated: count(STATUS.invalidated),
      timedOut: count(STATUS.timedOut),
    },
    reserved: ledger.live
      .filter(({ status }) => status <= STATUS.started)
      .reduce((sum, { reservedCost }) => sum + reservedCost, 0n),
    warmKeys,
    payout: payoutOf(ledger, escrow.amount),
    quorum: { weight, needed, holds: weight >= needed },
    waiting: await countWaiting(options, version, targets, hosts, ledger),
    findings: [
      ...hosts.flatMap(({ state, address, url, detail }) =>
        state === "disagrees" ? [`${nameOf(address, url)}: ${detail ?? "it disagrees"}`] : [],
      ),
      ...warmKeys
        .filter(({ granted }) => !granted)
        .map(({ slot, address }) => `slot ${slot} signed with ${address}, which the chain knows no grant for now`),
      ...(params.maxNonce === 0 ? ["max_nonce of the chain is 0, so nothing can be settled"] : []),
      ...(params.maxNonce > 0 && ledger.nonce > params.maxNonce
        ? [`nonce ${ledger.nonce} is above max_nonce ${params.maxNonce}: it cannot be settled`]
        : []),
    ],
  };
}

/** The diffs of a devshard as far as they are known, each checked once. */
class Replay {
  readonly ledger: Ledger;
  /** Per nonce, signature and root, 97 bytes: enough to compare what other hosts have. */
  readonly #seen: Buffer[] = [];
  readonly #rules = { isGranted: () => true };

  constructor(config: DevshardConfig) {
    this.ledger = new Ledger(config, devshardRules(config.version));
  }

  /** What is wrong with a diff; it is applied when it is the next one and nothing is. */
  take({ diff, stateHash }: StoredDiff): string | undefined {
    const known = this.#seen[diff.nonce - 1];
    const mark = Buffer.concat([diff.userSig, diff.postStateRoot]);
    if (known !== undefined) {
      if (!known.equals(mark)) return this.#otherDiff(diff.nonce, diff);
    } else {
      const refusal = refusalOf(() => applyDiff(this.ledger, diff, this.#rules));
      if (refusal !== undefined) return this.#refusal(diff.nonce, diff, refusal);
      this.#seen.push(mark);
    }
    if (Buffer.compare(stateHash, diff.postStateRoot) !== 0) {
      return `at nonce ${diff.nonce} it computes another state than the creator signed`;
    }
    return undefined;
  }

  #otherDiff(nonce: number, diff: StoredDiff["diff"]): string {
    const isForged = refusalOf(() => checkUserSignature(this.ledger, diff)) !== undefined;
    const why = isForged ? "which the creator did not sign" : "and the creator has signed both, which must never be";
    return `for nonce ${nonce} it has another diff than a host before it, ${why}`;
  }

  #refusal(nonce: number, diff: StoredDiff["diff"], refusal: DevshardRefusal): string {
    const cause = refusal.code === "root_mismatch" ? mismatchCause(this.ledger, diff) : undefined;
    return `its diff ${nonce} does not hold: ${refusal.message}${cause === undefined ? "" : ` (${cause})`}`;
  }
}

interface Target {
  readonly address: string;
  readonly slots: readonly number[];
  readonly url: string | undefined;
}

/** The host of nonce 1 comes first: if anybody has met the devshard, it has. */
async function findTargets({ chain, hostUrls, signal }: AuditOptions, { slots }: Escrow): Promise<readonly Target[]> {
  if (hostUrls !== undefined && hostUrls.length > 0) {
    return hostUrls.map((url) => ({ address: "", slots: [], url: url.replace(/\/+$/, "") }));
  }
  const first = slots[slotOfNonce(1, slots.length)];
  const addresses = [...new Set([first ?? "", ...slots])].filter((address) => address !== "");
  return Promise.all(
    addresses.map(async (address) => ({
      address,
      slots: slots.flatMap((each, slot) => (each === address ? [slot] : [])),
      url: await chain.hostUrl(address, signal).catch(() => undefined),
    })),
  );
}

/**
 * The version that this devshard runs under. The first request of any kind binds a host, so hosts are asked one by one,
 * and only until one of them answers for itself.
 */
async function boundVersion(
  { escrowId, fetch, clock, signal }: AuditOptions,
  targets: readonly Target[],
  { approvedVersions }: DevshardParams,
): Promise<string> {
  const known = DEVSHARD_VERSIONS.filter((name) => approvedVersions.length === 0 || approvedVersions.includes(name));
  const guess = known[0];
  if (guess === undefined) {
    throw new ZephError("devshard_version_unknown", { detail: `the network approves ${approvedVersions.join(", ")}` });
  }
  for (const { url } of targets) {
    if (url === undefined) continue;
    try {
      const host = devshardHost({ url, version: guess, escrowId, fetch, clock });
      if ((await host.diffs(1, 1, signal)).length > 0) return guess;
    } catch (error) {
      signal?.throwIfAborted();
      const bound = error instanceof HostRefused ? error.refusal.boundVersion : undefined;
      if (bound === undefined) continue;
      if (!DEVSHARD_VERSIONS.includes(bound)) {
        throw new ZephError("devshard_version_unknown", { detail: `escrow ${escrowId} runs under ${bound}` });
      }
      return bound;
    }
  }
  return guess;
}

async function auditHost(
  options: AuditOptions,
  version: string,
  target: Target,
  replay: Replay,
): Promise<Omit<AuditedHost, "signed">> {
  const { escrowId, fetch, clock, signal, onProgress } = options;
  const { url } = target;
  if (url === undefined) return { ...target, state: "unreachable", nonce: 0, detail: "the chain names no address" };
  const host = devshardHost({ url, version, escrowId, fetch, clock });
  let nonce = 0;
  try {
    for (;;) {
      const chunk = await host.diffs(nonce + 1, nonce + DIFFS_PER_READ, signal);
      for (const stored of chunk) {
        if (stored.diff.nonce !== nonce + 1) {
          return {
            ...target,
            state: "disagrees",
            nonce,
            detail: `it gives diff ${stored.diff.nonce} for ${nonce + 1}`,
          };
        }
        const fault = replay.take(stored);
        if (fault !== undefined) return { ...target, state: "disagrees", nonce, detail: fault };
        nonce += 1;
      }
      onProgress?.(nameOf(target.address, url), nonce);
      if (chunk.length < DIFFS_PER_READ) return { ...target, state: nonce === 0 ? "empty" : "agrees", nonce };
    }
  } catch (error) {
    signal?.throwIfAborted();
    const detail = reasonOf(error);
    // A host that cannot be read to its end may be right as far as it goes; what it said so far was checked.
    return { ...target, state: "unreachable", nonce, detail };
  }
}

/** Addresses whose valid signature over the last state was seen. */
async function readSignatures(
  { escrowId, fetch, clock, signal }: AuditOptions,
  version: string,
  targets: readonly Target[],
  hosts: readonly Omit<AuditedHost, "signed">[],
  ledger: Ledger,
  grants: Grants,
): Promise<ReadonlySet<string>> {
  const signed = new Set<string>();
  if (ledger.nonce === 0) return signed;
  const content = stateSignatureContent(ledger.root().root, escrowId, ledger.nonce);
  await Promise.all(
    targets.map(async ({ url }, index) => {
      if (url === undefined || hosts[index]?.nonce !== ledger.nonce) return;
      const host = devshardHost({ url, version, escrowId, fetch, clock });
      const bySlot = await host.signatures(ledger.nonce, signal).catch(() => new Map<number, Uint8Array>());
      for (const [slot, signature] of bySlot) {
        const owner = ledger.addressOf(slot);
        const signer = recovered(content, signature, ledger.prefix);
        if (owner === undefined || signer === undefined) continue;
        const isWarm = ledger.warmKeys.get(slot) === signer || grants.get(owner)?.has(signer) === true;
        if (signer === owner || isWarm) signed.add(owner);
      }
    }),
  );
  return signed;
}

type Grants = ReadonlyMap<string, ReadonlySet<string>>;

async function readGrants(chain: ChainClient, { slots }: Escrow, signal: AbortSignal | undefined): Promise<Grants> {
  const addresses = [...new Set(slots)];
  const lists = await Promise.all(addresses.map((address) => chain.grantees(address, signal).catch(() => [])));
  return new Map(addresses.map((address, index) => [address, new Set(lists[index])]));
}

async function countWaiting(
  { escrowId, fetch, clock, signal }: AuditOptions,
  version: string,
  targets: readonly Target[],
  hosts: readonly Omit<AuditedHost, "signed">[],
  ledger: Ledger,
): Promise<number> {
  const seen = new Set<string>();
  if (ledger.phase === PHASE.settlement) return 0;
  await Promise.all(
    targets.map(async ({ url }, index) => {
      if (url === undefined || hosts[index]?.state !== "agrees") return;
      const host = devshardHost({ url, version, escrowId, fetch, clock });
      for (const { bytes } of await host.mempool(signal).catch(() => [])) seen.add(Buffer.from(bytes).toString("hex"));
    }),
  );
  return seen.size;
}

function recovered(content: Uint8Array, signature: Uint8Array, prefix: string): string | undefined {
  try {
    return recoverAddress(content, signature, prefix);
  } catch (error) {
    if (error instanceof DevshardRefusal) return undefined;
    throw error;
  }
}

function nameOf(address: string, url: string | undefined): string {
  return address === "" ? (url ?? "a host") : address;
}

/** Why a host gave nothing, in a few words. */
export function reasonOf(error: unknown): string {
  if (error instanceof HostRefused) return `it answers ${error.message}`;
  if (ZephError.is(error)) return error.detail ?? error.summary;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && cause.name === "TimeoutError") return "no answer in time";
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
  return code ?? (cause instanceof Error && cause.message !== "" ? cause.message : "no answer");
}
