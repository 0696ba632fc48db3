import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { ChainClient } from "../network/chain.ts";
import { replayDiff } from "../wire/devshard/compose.ts";
import { Ledger, stateSignatureContent } from "../wire/devshard/ledger.ts";
import {
  type DevshardTx,
  type DiffJson,
  devshardTx,
  fromDiffJson,
  mismatchedRoots,
} from "../wire/devshard/messages.ts";
import { DevshardRefusal, quorum, slotOfNonce } from "../wire/devshard/rules.ts";
import { mismatchCause } from "../wire/devshard/settlement.ts";
import { type DevshardSigner, recoverAddress } from "../wire/devshard/signing.ts";
import {
  type DevshardHost,
  devshardHost,
  type HostReceipt,
  HostRefused,
  type HostReply,
  type InferencePayload,
} from "./devshard-host.ts";
import type { DevshardJournal } from "./devshard-journal.ts";

interface CourierOptions {
  readonly journal: DevshardJournal;
  readonly chain: ChainClient;
  readonly signer: DevshardSigner;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
}

/** One host of the group, however many slots it has. */
interface Peer {
  readonly address: string;
  host: DevshardHost | undefined;
  /** Highest nonce that it is known to have. */
  cursor: number;
  /** Not asked for inferences before; milliseconds of the clock. */
  restUntilMs: number;
  /** Its last word was another state than the own. */
  isOff: boolean;
}

const DIFFS_PER_ORDER = 200;

/** How long a host that failed is left alone. */
const HOST_REST_MS = 30_000;

/** One that computes another state may have been mended meanwhile; its next word is compared as well. */
const DISAGREEING_REST_MS = 300_000;

/** The chain's word about keys that hosts let sign for them is asked again after this. */
const GRANTS_FRESH_MS = 30_000;
const PATIENCE_MS = [500, 1_500, 4_000];

/**
 * Everything that goes between one session and its hosts, who do not talk to each other: diffs to them, each as far as it
 * is; states, signatures, votes and what they want ordered from them. Every state that a host reports is compared with the
 * own one, and nothing more may be ordered once too few agree.
 */
export class DevshardCourier {
  readonly #options: CourierOptions;
  readonly #journal: DevshardJournal;
  /** Told what hosts want ordered. */
  readonly #take: (txs: readonly DevshardTx[]) => void;
  readonly #peers = new Map<string, Peer>();
  readonly #grants = new Map<string, { readonly keys: ReadonlySet<string>; readonly atMs: number }>();
  /** State signatures of the highest nonce seen, by address. */
  readonly #signatures = new Map<string, { readonly nonce: number; readonly signature: Uint8Array }>();
  #diverged: ZephError | undefined;
  #isJudging = false;

  constructor(options: CourierOptions, take: (txs: readonly DevshardTx[]) => void) {
    this.#options = options;
    this.#journal = options.journal;
    this.#take = take;
    for (const address of this.#ledger.config.group) {
      if (this.#peers.has(address)) continue;
      this.#peers.set(address, { address, host: undefined, cursor: 0, restUntilMs: 0, isOff: false });
    }
  }

  get #ledger(): Ledger {
    return this.#journal.ledger;
  }

  /** Addresses of the group, each once. */
  get addresses(): readonly string[] {
    return [...this.#peers.keys()];
  }

  /** Throws `devshard_diverged` once too few hosts compute the own state. */
  assertWhole(): void {
    if (this.#diverged !== undefined) throw this.#diverged;
  }

  /**
   * Sends everything up to a nonce to its host, with the payload of the inference it starts, and gives the parts of the
   * reply that are the answer. States and mempool are taken in on the way. Throws `HostRefused`, `ZephError`, or what
   * `fetch` throws.
   */
  async *deliver(
    nonce: number,
    payload: InferencePayload | undefined,
    signal?: AbortSignal,
    address = this.#ledger.addressOf(slotOfNonce(nonce, this.#ledger.slots)) ?? "",
  ): AsyncGenerator<HostReply> {
    const peer = this.#peer(address);
    for (let attempt = 0; ; attempt += 1) {
      let isBegun = false;
      try {
        const host = await this.#hostOf(peer, signal);
        await this.#catchUp(peer, host, nonce, signal);
        const from = Math.min(peer.cursor + 1, nonce);
        const diffs = await this.#journal.diffs(Math.max(from, 1), nonce);
        for await (const part of host.chat({ diffs, nonce, payload }, this.#options.signer, signal)) {
          isBegun = true;
          if (part.kind === "receipt") await this.#takeState(peer, part.receipt, nonce, payload !== undefined);
          if (part.kind === "mempool") this.#take(part.txs);
          yield part;
        }
        return;
      } catch (error) {
        const waitMs = isBegun ? undefined : await this.#mend(peer, error, attempt);
        if (waitMs === undefined) throw error;
        await this.#options.clock.sleep(waitMs, signal);
      }
    }
  }

  /** Brings one host up to the last diff, and reads its mempool. Throws as {@link deliver} does. */
  async visit(address: string, signal?: AbortSignal): Promise<void> {
    for await (const _part of this.deliver(this.#ledger.nonce, undefined, signal, address)) {
      // What matters was taken in on the way.
    }
  }

  /** Where a host stands, by its own signed word; binds the session there. */
  async probe(address: string, signal?: AbortSignal): Promise<HostReceipt> {
    const peer = this.#peer(address);
    const receipt = await (await this.#hostOf(peer, signal)).probe(this.#options.signer, signal);
    await this.#takeState(peer, receipt, receipt.nonce, false);
    return receipt;
  }

  /** Reads the mempools of all hosts that answer. */
  async readMempools(signal?: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#peers.values()].map(async (peer) => {
        try {
          this.#take(await (await this.#hostOf(peer, signal)).mempool(signal));
        } catch {
          signal?.throwIfAborted();
        }
      }),
    );
  }

  /** A host's vote about a timeout. */
  async askTimeout(
    address: string,
    claim: {
      readonly id: number;
      readonly reason: "refused" | "execution";
      readonly payload: InferencePayload | undefined;
    },
    signal?: AbortSignal,
  ): Promise<{ readonly slot: number; readonly signature: Uint8Array } | undefined> {
    const peer = this.#peer(address);
    const host = await this.#hostOf(peer, signal);
    await this.#catchUp(peer, host, this.#ledger.nonce, signal);
    const { id, reason, payload } = claim;
    const diffs = await this.#journal.diffs(peer.cursor + 1, this.#ledger.nonce);
    return host.verifyTimeout({ inference_id: id, reason, payload, diffs }, this.#options.signer, signal);
  }

  /** A host's state signature for the last nonce; `undefined` while there is none that holds. */
  async signatureOf(address: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const known = this.#signatures.get(address);
    if (known?.nonce === this.#ledger.nonce) return known.signature;
    const peer = this.#peer(address);
    const host = await this.#hostOf(peer, signal);
    const { nonce } = this.#ledger;
    const bySlot =
      peer.cursor < nonce ? new Map<number, Uint8Array>() : await host.signatures(nonce, signal).catch(() => new Map());
    for (const [slot, signature] of bySlot) {
      if (this.#ledger.addressOf(slot) !== address) continue;
      if (await this.#isStateSigner(address, nonce, this.#ledger.root().root, signature))
        return this.#keepSignature(address, nonce, signature);
    }
    await this.visit(address, signal);
    const fresh = this.#signatures.get(address);
    return fresh?.nonce === this.#ledger.nonce ? fresh.signature : undefined;
  }

  /** Whether a host, or a key that it lets sign for it, has signed a message. */
  async signsFor(address: string, content: Uint8Array, signature: Uint8Array): Promise<boolean> {
    let signer: string;
    try {
      signer = recoverAddress(content, signature, this.#ledger.prefix);
    } catch (error) {
      if (error instanceof DevshardRefusal) return false;
      throw error;
    }
    if (signer === address) return true;
    if (this.#ledger.slotsOf(address).some((slot) => this.#ledger.warmKeys.get(slot) === signer)) return true;
    if (!this.#grants.has(address)) await this.readGrants(address);
    return this.#grants.get(address)?.keys.has(signer) === true;
  }

  /**
   * Whether the chain lets a key sign for an address, as far as it is known; `undefined` when that is old, or was never
   * asked.
   */
  knownGrant(warm: string, granter: string): boolean | undefined {
    const known = this.#grants.get(granter);
    if (known === undefined || this.#options.clock.nowMs() - known.atMs > GRANTS_FRESH_MS) return undefined;
    return known.keys.has(warm);
  }

  /** Asks the chain. An error counts as "no", as it does for hosts. */
  async readGrants(granter: string): Promise<void> {
    const keys = await this.#options.chain.grantees(granter).catch(() => []);
    this.#grants.set(granter, { keys: new Set(keys), atMs: this.#options.clock.nowMs() });
  }

  /** Leaves a host alone for a while. */
  rest(address: string): void {
    this.#peer(address).restUntilMs = this.#options.clock.nowMs() + HOST_REST_MS;
  }

  isResting(address: string): boolean {
    return this.#peer(address).restUntilMs > this.#options.clock.nowMs();
  }

  #peer(address: string): Peer {
    const peer = this.#peers.get(address);
    if (peer === undefined) throw new ZephError("internal", { detail: `${address} is not in the group` });
    return peer;
  }

  async #hostOf(peer: Peer, signal: AbortSignal | undefined): Promise<DevshardHost> {
    if (peer.host !== undefined) return peer.host;
    const { chain, fetch, clock } = this.#options;
    const url = await chain.hostUrl(peer.address, signal);
    if (url === undefined)
      throw new ZephError("devshard_no_hosts", { detail: `${peer.address} has no address on the chain` });
    const { version, escrowId } = this.#ledger.config;
    peer.host = devshardHost({ url, version, escrowId, fetch, clock });
    return peer.host;
  }

  /** Sends older diffs in pieces, so that the last request stays small. */
  async #catchUp(peer: Peer, host: DevshardHost, nonce: number, signal: AbortSignal | undefined): Promise<void> {
    // After a start nobody knows how far a host is; asking it is cheaper than sending everything.
    if (peer.cursor === 0 && nonce > DIFFS_PER_ORDER) {
      await this.#takeState(peer, await host.probe(this.#options.signer, signal), nonce, false);
    }
    while (nonce - peer.cursor > DIFFS_PER_ORDER) {
      const to = peer.cursor + DIFFS_PER_ORDER;
      const diffs = await this.#journal.diffs(peer.cursor + 1, to);
      for await (const part of host.chat({ diffs, nonce: to }, this.#options.signer, signal)) {
        if (part.kind === "receipt") await this.#takeState(peer, part.receipt, to, false);
        if (part.kind === "mempool") this.#take(part.txs);
      }
      if (peer.cursor < to)
        throw new ZephError("bad_response", { detail: "a host did not take the diffs it was sent" });
    }
  }

  /** What to do about a delivery that failed before it began: how long to wait before the next try, or nothing. */
  async #mend(peer: Peer, error: unknown, attempt: number): Promise<number | undefined> {
    if (!(error instanceof HostRefused)) return undefined;
    const { remedy, expected, text } = error.refusal;
    if (remedy === "diverged") await this.#judge(peer, text, expected);
    if (attempt >= PATIENCE_MS.length) return undefined;
    if (remedy === "resend" && expected !== undefined) {
      // Only a host that lost its state is behind what it reported.
      peer.cursor = Math.min(expected - 1, this.#ledger.nonce);
      return 0;
    }
    return remedy === "again" || remedy === "resign" ? PATIENCE_MS[attempt] : undefined;
  }

  /** Compares what a host says of its state with the own, and keeps its signature. */
  async #takeState(peer: Peer, receipt: HostReceipt, nonce: number, hasPayload: boolean): Promise<void> {
    const { stateHash, stateSig } = receipt;
    if (receipt.receipt !== undefined && receipt.confirmedAt !== undefined && hasPayload) {
      const confirm = {
        inferenceId: BigInt(nonce),
        executorSig: receipt.receipt,
        confirmedAt: BigInt(receipt.confirmedAt),
      };
      this.#take([devshardTx("confirm", confirm)]);
    }
    if (stateHash === undefined) return;
    if (receipt.nonce > this.#ledger.nonce) await this.#journal.refresh();
    const root = await this.#journal.rootAt(receipt.nonce);
    if (root === undefined) {
      const detail = `${peer.address} has diff ${receipt.nonce}, which this journal lacks: the key is used elsewhere too`;
      this.#diverged = new ZephError("devshard_diverged", {
        detail,
        hint: "Stop the other program, then run `zeph devshard rescue`.",
      });
      throw this.#diverged;
    }
    if (Buffer.compare(root, stateHash) !== 0) {
      // With the others on our side, what it was asked for is still its to answer, and paid for.
      return this.#judge(peer, `at nonce ${receipt.nonce} its state is another`, receipt.nonce);
    }
    peer.isOff = false;
    peer.cursor = Math.max(peer.cursor, receipt.nonce);
    if (stateSig !== undefined && (await this.#isStateSigner(peer.address, receipt.nonce, root, stateSig))) {
      this.#keepSignature(peer.address, receipt.nonce, stateSig);
    }
  }

  #keepSignature(address: string, nonce: number, signature: Uint8Array): Uint8Array {
    const known = this.#signatures.get(address);
    if (known === undefined || known.nonce <= nonce) this.#signatures.set(address, { nonce, signature });
    return signature;
  }

  #isStateSigner(address: string, nonce: number, root: Uint8Array, signature: Uint8Array): Promise<boolean> {
    return this.signsFor(address, stateSignatureContent(root, this.#ledger.config.escrowId, nonce), signature);
  }

  /**
   * A host computes another state. While another host has signed the own state at this nonce, and enough slots are left to
   * settle, it is that host's fault and it is left alone; the others are asked to find out. Otherwise the session ends
   * before more is ordered.
   */
  async #judge(peer: Peer, text: string, at: number | undefined): Promise<void> {
    const nonce = at ?? Number(/^apply diff nonce (\d+)/.exec(text)?.[1] ?? this.#ledger.nonce);
    peer.isOff = true;
    peer.restUntilMs = this.#options.clock.nowMs() + DISAGREEING_REST_MS;
    // Whoever is asked now may disagree as well; that is counted here, and judged once.
    if (this.#isJudging) return;
    this.#isJudging = true;
    try {
      if (this.#isOutvoted(peer, nonce)) return;
      for (const other of this.#peers.values()) {
        if (other === peer) continue;
        await this.visit(other.address, AbortSignal.timeout(20_000)).catch(() => undefined);
        if (this.#isOutvoted(peer, nonce)) return;
      }
    } finally {
      this.#isJudging = false;
    }
    const cause = await this.#causeAt(nonce, text);
    const detail = `${peer.address}: ${text}${cause === undefined ? "" : ` (${cause})`}`;
    this.#diverged ??= new ZephError("devshard_diverged", { detail });
    throw this.#diverged;
  }

  #isOutvoted(peer: Peer, nonce: number): boolean {
    const { slots } = this.#ledger;
    const peers = [...this.#peers.values()];
    const weightOff = peers.reduce(
      (sum, { address, isOff }) => sum + (isOff ? this.#ledger.slotsOf(address).length : 0),
      0,
    );
    const hasWitness = peers.some(
      (other) => other !== peer && !other.isOff && (this.#signatures.get(other.address)?.nonce ?? -1) >= nonce,
    );
    return hasWitness && weightOff <= slots - quorum(slots);
  }

  /** The diff is tried under other settings; that costs a replay, and happens once in the life of a session. */
  async #causeAt(nonce: number, text: string): Promise<string | undefined> {
    const computed = mismatchedRoots(text)?.computed;
    if (computed === undefined || nonce < 1 || nonce > this.#ledger.nonce) return undefined;
    const ledger = new Ledger(this.#ledger.config);
    let last: DiffJson | undefined;
    for (let at = 1; at <= nonce; at += 1) {
      [last] = await this.#journal.diffs(at, at);
      if (last !== undefined && at < nonce) replayDiff(ledger, fromDiffJson(last), this.#ledger.warmKeys);
    }
    if (last === undefined) return undefined;
    return mismatchCause(ledger, { ...fromDiffJson(last), postStateRoot: Buffer.from(computed, "hex") });
  }
}
