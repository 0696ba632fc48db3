import { kill, pid } from "node:process";
import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { ChainClient, DevshardParams } from "../network/chain.ts";
import { composeDiff, composingOrder, replayDiff, signDiff } from "../wire/devshard/compose.ts";
import { Ledger, PHASE, STATUS, stateSignatureContent } from "../wire/devshard/ledger.ts";
import {
  type DevshardTx,
  type DiffJson,
  devshardTx,
  fromDiffJson,
  mismatchedRoots,
} from "../wire/devshard/messages.ts";
import { isFromHosts, isOver, mayHoldLater } from "../wire/devshard/relay.ts";
import { checkNonceBudget, DevshardRefusal, lastActiveNonce, quorum, slotOfNonce } from "../wire/devshard/rules.ts";
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
import type { DevshardJournal, JournalWriter } from "./devshard-journal.ts";

interface DevshardSessionOptions {
  readonly journal: DevshardJournal;
  readonly chain: ChainClient;
  readonly params: DevshardParams;
  /** With the key of the escrow's creator. */
  readonly signer: DevshardSigner;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
}

/** A new inference, before it has a number. */
export interface InferenceRequest {
  readonly promptHash: Uint8Array;
  /** Canonical body. */
  readonly prompt: Uint8Array;
  readonly maxTokens: number;
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
const MAX_RELAYED = 20_000;
const PATIENCE_MS = [500, 1_500, 4_000];

/**
 * The one sequencer of one escrow. Diffs are composed one at a time, and each is in the journal before a host sees it; the
 * hosts are then asked side by side. Every state that a host reports is compared with the own one.
 */
export class DevshardSession {
  readonly journal: DevshardJournal;
  readonly options: DevshardSessionOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #grants = new Map<string, { readonly keys: ReadonlySet<string>; readonly atMs: number }>();
  /** Transactions that a diff holds already, or that never will: hosts offer them until they see them. */
  readonly #relayed = new Set<string>();
  /** State signatures of the highest nonce seen, by address. */
  readonly #signatures = new Map<
    string,
    { readonly nonce: number; readonly slot: number; readonly signature: Uint8Array }
  >();
  /** Inferences that this process waits for. */
  readonly inFlight = new Set<number>();
  #diverged: ZephError | undefined;

  constructor(options: DevshardSessionOptions) {
    this.options = options;
    this.journal = options.journal;
    for (const address of this.ledger.config.group) {
      if (this.#peers.has(address)) continue;
      this.#peers.set(address, { address, host: undefined, cursor: 0, restUntilMs: 0, isOff: false });
    }
  }

  get ledger(): Ledger {
    return this.journal.ledger;
  }

  /** Addresses of the group, each once. */
  get addresses(): readonly string[] {
    return [...this.#peers.keys()];
  }

  /**
   * Orders a new inference: the diff that starts it is composed, signed and in the journal when this resolves. Throws
   * `devshard_exhausted`, `devshard_diverged`, `devshard_busy`, `file_unwritable`.
   */
  async start(
    request: InferenceRequest,
    model: string,
  ): Promise<{ readonly id: number; readonly payload: InferencePayload }> {
    const { slots } = this.ledger;
    return this.journal.exclusive(async (writer) => {
      this.#assertWhole();
      this.#assertRoom(request);
      // An executor follows from its nonce, so the way past one that failed is a diff without a start.
      for (let passed = 1; passed < slots && this.#isResting(this.ledger.nonce + 1); passed += 1)
        await this.#compose(writer);
      const startedAt = Math.floor(this.options.clock.nowMs() / 1000);
      const id = this.ledger.nonce + 1;
      const payload: InferencePayload = {
        prompt: Buffer.from(request.prompt).toString("base64"),
        model,
        input_length: request.prompt.length,
        max_tokens: request.maxTokens,
        started_at: startedAt,
      };
      await this.journal.keepPayload(id, payload);
      const start = devshardTx("start", {
        inferenceId: BigInt(id),
        promptHash: request.promptHash,
        model,
        inputLength: BigInt(payload.input_length),
        maxTokens: BigInt(payload.max_tokens),
        startedAt: BigInt(startedAt),
      });
      try {
        await this.#compose(writer, start);
      } catch (error) {
        await this.journal.dropPayload(id);
        if (error instanceof DevshardRefusal) throw this.#exhausted(error.message);
        throw error;
      }
      this.inFlight.add(id);
      return { id, payload };
    });
  }

  /** Orders what is waiting, and one transaction of the client's own where given. Throws what {@link start} throws. */
  order(own?: DevshardTx): Promise<number> {
    return this.journal.exclusive(async (writer) => {
      this.#assertWhole();
      try {
        await this.#compose(writer, own);
      } catch (error) {
        if (error instanceof DevshardRefusal) throw this.#exhausted(error.message);
        throw error;
      }
      return this.ledger.nonce;
    });
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
    address = this.ledger.addressOf(slotOfNonce(nonce, this.ledger.slots)) ?? "",
  ): AsyncGenerator<HostReply> {
    const peer = this.#peer(address);
    for (let attempt = 0; ; attempt += 1) {
      let isBegun = false;
      try {
        const host = await this.#hostOf(peer, signal);
        await this.#catchUp(peer, host, nonce, signal);
        const from = Math.min(peer.cursor + 1, nonce);
        const diffs = await this.journal.diffs(Math.max(from, 1), nonce);
        for await (const part of host.chat({ diffs, nonce, payload }, this.options.signer, signal)) {
          isBegun = true;
          if (part.kind === "receipt") await this.#takeState(peer, part.receipt, nonce, payload !== undefined);
          if (part.kind === "mempool") this.take(part.txs);
          yield part;
        }
        return;
      } catch (error) {
        const waitMs = isBegun ? undefined : await this.#mend(peer, error, attempt);
        if (waitMs === undefined) throw error;
        await this.options.clock.sleep(waitMs, signal);
      }
    }
  }

  /** Brings one host up to the last diff, and reads its mempool. Throws as {@link deliver} does. */
  async visit(address: string, signal?: AbortSignal): Promise<void> {
    for await (const _part of this.deliver(this.ledger.nonce, undefined, signal, address)) {
      // What matters was taken in on the way.
    }
  }

  /** Where a host stands, by its own signed word; binds the session there. */
  async probe(address: string, signal?: AbortSignal): Promise<HostReceipt> {
    const peer = this.#peer(address);
    const receipt = await (await this.#hostOf(peer, signal)).probe(this.options.signer, signal);
    await this.#takeState(peer, receipt, receipt.nonce, false);
    return receipt;
  }

  /** Reads the mempools of all hosts that answer: the client is the only courier between them. */
  async pollMempools(signal?: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#peers.values()].map(async (peer) => {
        try {
          this.take(await (await this.#hostOf(peer, signal)).mempool(signal));
        } catch {
          signal?.throwIfAborted();
        }
      }),
    );
    await this.persistPending();
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
    await this.#catchUp(peer, host, this.ledger.nonce, signal);
    const { id, reason, payload } = claim;
    const diffs = await this.journal.diffs(peer.cursor + 1, this.ledger.nonce);
    return host.verifyTimeout({ inference_id: id, reason, payload, diffs }, this.options.signer, signal);
  }

  /** A host's state signature for the last nonce; `undefined` while there is none that holds. */
  async signatureOf(address: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const known = this.#signatures.get(address);
    if (known?.nonce === this.ledger.nonce) return known.signature;
    const peer = this.#peer(address);
    const host = await this.#hostOf(peer, signal);
    const { nonce } = this.ledger;
    const bySlot =
      peer.cursor < nonce ? new Map<number, Uint8Array>() : await host.signatures(nonce, signal).catch(() => new Map());
    for (const [slot, signature] of bySlot) {
      if (this.ledger.addressOf(slot) !== address) continue;
      if (await this.#isStateSigner(address, nonce, this.ledger.root().root, signature))
        return this.#keepSignature(address, nonce, signature);
    }
    await this.visit(address, signal);
    const fresh = this.#signatures.get(address);
    return fresh?.nonce === this.ledger.nonce ? fresh.signature : undefined;
  }

  /** Takes in what hosts want ordered. */
  take(txs: readonly DevshardTx[]): void {
    for (const tx of txs) {
      const key = Buffer.from(tx.bytes).toString("base64");
      if (!isFromHosts(tx) || this.#relayed.has(key) || isOver(this.ledger, tx)) continue;
      this.journal.pending.set(key, tx);
      this.#unsaved.add(key);
    }
  }

  /** Writes down what hosts want ordered, for the process that goes on after this one. */
  async persistPending(): Promise<void> {
    if (this.#unsaved.size === 0) return;
    await this.journal.exclusive(async (writer) => {
      const txs = [...this.#unsaved].flatMap((key) => this.journal.pending.get(key) ?? []);
      this.#unsaved.clear();
      await writer.appendPending(txs);
    });
  }
  readonly #unsaved = new Set<string>();

  /**
   * Answers that an earlier process was waiting for when it was killed are kept from being ordered as finished: their hosts
   * repeat them until then, to whoever asks the same again. Returns how many there are.
   */
  async findInterrupted(): Promise<number> {
    for (const id of await this.journal.keptPayloads()) {
      const record = this.ledger.inference(BigInt(id));
      if (record === undefined || record.status > STATUS.started) {
        await this.journal.dropPayload(id);
        continue;
      }
      const kept = await this.journal.payload(id);
      if (kept === undefined || this.inFlight.has(id) || isAlive(kept.owner)) continue;
      this.keepInterrupted(id, kept.payload);
    }
    return this.#interrupted.size;
  }
  readonly #interrupted = new Map<number, { readonly payload: InferencePayload; readonly sinceMs: number }>();

  /** Keeps an answer that nobody waits for from being ordered as finished, see {@link findInterrupted}. */
  keepInterrupted(id: number, payload: InferencePayload): void {
    this.#interrupted.set(id, { payload, sinceMs: this.options.clock.nowMs() });
    this.inFlight.add(id);
  }

  /** The interrupted inference of the same prompt, to be carried on instead of a new one. */
  takeInterrupted(promptHash: Uint8Array): { readonly id: number; readonly payload: InferencePayload } | undefined {
    for (const [id, { payload }] of this.#interrupted) {
      const record = this.ledger.inference(BigInt(id));
      if (record === undefined || Buffer.compare(record.promptHash, promptHash) !== 0) continue;
      this.#interrupted.delete(id);
      return { id, payload };
    }
    return undefined;
  }

  /** From now on interrupted answers are ordered as finished, whoever missed them; only those that are so old where said. */
  releaseAnswers(olderThanMs = 0): void {
    const beforeMs = this.options.clock.nowMs() - olderThanMs;
    for (const [id, { sinceMs }] of this.#interrupted) {
      if (sinceMs > beforeMs) continue;
      this.#interrupted.delete(id);
      this.inFlight.delete(id);
    }
  }

  /** Leaves a host alone for a while. */
  rest(address: string): void {
    this.#peer(address).restUntilMs = this.options.clock.nowMs() + HOST_REST_MS;
  }

  addressOfNonce(nonce: number): string {
    return this.ledger.addressOf(slotOfNonce(nonce, this.ledger.slots)) ?? "";
  }

  #assertWhole(): void {
    if (this.#diverged !== undefined) throw this.#diverged;
  }

  /** Room is kept for finalizing and for the diffs that bring back what is reserved. */
  #assertRoom({ prompt, maxTokens }: InferenceRequest): void {
    const { ledger } = this;
    const { tokenPrice, feePerNonce } = ledger.config;
    const { maxNonce } = this.options.params;
    if (ledger.phase !== PHASE.active) throw this.#exhausted("it is being closed");
    if (maxNonce > 0 && ledger.nonce + 1 > lastActiveNonce(maxNonce, ledger.slots)) {
      throw this.#exhausted(
        `${ledger.nonce} of ${maxNonce} nonces are used, and ${ledger.slots + 1} are kept for closing`,
      );
    }
    let free = ledger.balance;
    for (const tx of this.journal.pending.values()) {
      if (tx.kind !== "finish") continue;
      const record = ledger.inference(tx.message.inferenceId);
      const cost = (tx.message.inputTokens + tx.message.outputTokens) * tokenPrice;
      if (record !== undefined && cost < record.reservedCost) free += record.reservedCost - cost;
    }
    const reserve = (BigInt(prompt.length) + BigInt(maxTokens)) * tokenPrice;
    const headroom = BigInt(ledger.slots + 1) * feePerNonce;
    if (free < reserve + headroom) {
      throw this.#exhausted(`${reserve + headroom} ngonka are needed at most, ${free} are free`);
    }
  }

  #exhausted(detail: string): ZephError {
    return new ZephError("devshard_exhausted", { detail: `escrow ${this.ledger.config.escrowId}: ${detail}` });
  }

  #isResting(nonce: number): boolean {
    return this.#peer(this.addressOfNonce(nonce)).restUntilMs > this.options.clock.nowMs();
  }

  /**
   * The next diff: applied, signed, written. Leaves the ledger as it was when one of the three fails. Throws a
   * `DevshardRefusal` when the own transaction cannot be made, or the fee not paid.
   */
  async #compose(writer: JournalWriter, own?: DevshardTx): Promise<void> {
    const { ledger, journal } = this;
    const { params, signer } = this.options;
    const nonce = ledger.nonce + 1;
    const isCapped =
      params.maxNonce > 0 && ledger.phase === PHASE.active && nonce > lastActiveNonce(params.maxNonce, ledger.slots);
    for (const [key, tx] of journal.pending) if (isOver(ledger, tx)) journal.pending.delete(key);
    const offered = [...journal.pending].filter(
      ([, tx]) =>
        (!isCapped || tx.kind === "confirm" || tx.kind === "finish") &&
        // A host repeats an answer only until its finish is ordered, so that waits for the answer to be here.
        !(tx.kind === "finish" && this.inFlight.has(Number(tx.message.inferenceId))),
    );
    const candidates = composingOrder([...offered.map(([, tx]) => tx), ...(own === undefined ? [] : [own])]);
    const composed = await this.#composeGranted(candidates);
    try {
      checkNonceBudget({
        nonce,
        txs: composed.txs,
        phase: ledger.phase,
        slots: ledger.slots,
        maxNonce: params.maxNonce,
      });
      if (own !== undefined && !composed.txs.includes(own)) {
        const refusal = composed.skipped.find(({ index }) => candidates[index] === own)?.refusal;
        throw refusal ?? new DevshardRefusal("empty_transaction");
      }
    } catch (error) {
      ledger.takeBack();
      throw error;
    }
    const diff = signDiff(composed, ledger.config.escrowId, signer);
    await writer.appendDiff(diff, composed.warmKeys);
    const skipped = new Set(composed.skipped.map(({ index }) => candidates[index]));
    for (const [key, tx] of offered) {
      if (skipped.has(tx) && mayHoldLater(ledger, tx)) continue;
      journal.pending.delete(key);
      if (!skipped.has(tx)) this.#remember(key);
    }
    for (const tx of composed.txs) {
      if (tx.kind === "finish" || tx.kind === "timeout") await journal.dropPayload(Number(tx.message.inferenceId));
    }
  }

  /** Composes, and asks the chain about warm keys that have not signed before: at this moment, as the hosts will. */
  async #composeGranted(candidates: readonly DevshardTx[]): Promise<ReturnType<typeof composeDiff>> {
    const unknown = new Set<string>();
    const rules = {
      isGranted: (warm: string, granter: string) => {
        const known = this.#grants.get(granter);
        if (known === undefined || this.options.clock.nowMs() - known.atMs > GRANTS_FRESH_MS) unknown.add(granter);
        return known?.keys.has(warm) === true;
      },
    };
    const first = composeDiff(this.ledger, candidates, rules);
    if (unknown.size === 0) return first;
    this.ledger.takeBack();
    for (const granter of unknown) await this.#readGrants(granter);
    return composeDiff(this.ledger, candidates, rules);
  }

  /** An error counts as "no", as it does for hosts. */
  async #readGrants(granter: string): Promise<void> {
    const keys = await this.options.chain.grantees(granter).catch(() => []);
    this.#grants.set(granter, { keys: new Set(keys), atMs: this.options.clock.nowMs() });
  }

  #remember(key: string): void {
    if (this.#relayed.size >= MAX_RELAYED) this.#relayed.clear();
    this.#relayed.add(key);
  }

  #peer(address: string): Peer {
    const peer = this.#peers.get(address);
    if (peer === undefined) throw new ZephError("internal", { detail: `${address} is not in the group` });
    return peer;
  }

  async #hostOf(peer: Peer, signal: AbortSignal | undefined): Promise<DevshardHost> {
    if (peer.host !== undefined) return peer.host;
    const { chain, fetch, clock } = this.options;
    const url = await chain.hostUrl(peer.address, signal);
    if (url === undefined)
      throw new ZephError("devshard_no_hosts", { detail: `${peer.address} has no address on the chain` });
    const { version, escrowId } = this.ledger.config;
    peer.host = devshardHost({ url, version, escrowId, fetch, clock });
    return peer.host;
  }

  /** Sends older diffs in pieces, so that the last request stays small. */
  async #catchUp(peer: Peer, host: DevshardHost, nonce: number, signal: AbortSignal | undefined): Promise<void> {
    // After a start nobody knows how far a host is; asking it is cheaper than sending everything.
    if (peer.cursor === 0 && nonce > DIFFS_PER_ORDER) {
      await this.#takeState(peer, await host.probe(this.options.signer, signal), nonce, false);
    }
    while (nonce - peer.cursor > DIFFS_PER_ORDER) {
      const to = peer.cursor + DIFFS_PER_ORDER;
      const diffs = await this.journal.diffs(peer.cursor + 1, to);
      for await (const part of host.chat({ diffs, nonce: to }, this.options.signer, signal)) {
        if (part.kind === "receipt") await this.#takeState(peer, part.receipt, to, false);
        if (part.kind === "mempool") this.take(part.txs);
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
      peer.cursor = Math.min(expected - 1, this.ledger.nonce);
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
      this.take([devshardTx("confirm", confirm)]);
    }
    if (stateHash === undefined) return;
    if (receipt.nonce > this.ledger.nonce) await this.journal.refresh();
    const root = await this.journal.rootAt(receipt.nonce);
    if (root === undefined) {
      const detail = `${peer.address} has diff ${receipt.nonce}, which this journal lacks: the key is used elsewhere too`;
      this.#diverged = new ZephError("devshard_diverged", {
        detail,
        hint: "Stop the other program, then run `zeph devshard rescue`.",
      });
      throw this.#diverged;
    }
    if (Buffer.compare(root, stateHash) !== 0) {
      await this.#judge(peer, `at nonce ${receipt.nonce} its state is another`, receipt.nonce);
      throw new ZephError("bad_response", { detail: `${peer.address} reports a state that nobody else has` });
    }
    peer.isOff = false;
    peer.cursor = Math.max(peer.cursor, receipt.nonce);
    if (stateSig !== undefined && (await this.#isStateSigner(peer.address, receipt.nonce, root, stateSig))) {
      this.#keepSignature(peer.address, receipt.nonce, stateSig);
    }
  }

  #keepSignature(address: string, nonce: number, signature: Uint8Array): Uint8Array {
    const known = this.#signatures.get(address);
    const slot = this.ledger.slotsOf(address)[0] ?? 0;
    if (known === undefined || known.nonce <= nonce) this.#signatures.set(address, { nonce, slot, signature });
    return signature;
  }

  #isStateSigner(address: string, nonce: number, root: Uint8Array, signature: Uint8Array): Promise<boolean> {
    return this.signsFor(address, stateSignatureContent(root, this.ledger.config.escrowId, nonce), signature);
  }

  /** Whether a host, or a key that it lets sign for it, has signed a message. */
  async signsFor(address: string, content: Uint8Array, signature: Uint8Array): Promise<boolean> {
    let signer: string;
    try {
      signer = recoverAddress(content, signature);
    } catch (error) {
      if (error instanceof DevshardRefusal) return false;
      throw error;
    }
    if (signer === address) return true;
    if (this.ledger.slotsOf(address).some((slot) => this.ledger.warmKeys.get(slot) === signer)) return true;
    if (!this.#grants.has(address)) await this.#readGrants(address);
    return this.#grants.get(address)?.keys.has(signer) === true;
  }

  /**
   * A host computes another state. While another host has signed the own state at this nonce, and enough slots are left to
   * settle, it is that host's fault and it is left alone; the others are asked to find out. Otherwise the session ends
   * before more is ordered.
   */
  async #judge(peer: Peer, text: string, at: number | undefined): Promise<void> {
    const nonce = at ?? Number(/^apply diff nonce (\d+)/.exec(text)?.[1] ?? this.ledger.nonce);
    peer.isOff = true;
    peer.restUntilMs = this.options.clock.nowMs() + DISAGREEING_REST_MS;
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
  #isJudging = false;

  #isOutvoted(peer: Peer, nonce: number): boolean {
    const { slots } = this.ledger;
    const peers = [...this.#peers.values()];
    const weightOff = peers.reduce(
      (sum, { address, isOff }) => sum + (isOff ? this.ledger.slotsOf(address).length : 0),
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
    if (computed === undefined || nonce < 1 || nonce > this.ledger.nonce) return undefined;
    const ledger = new Ledger(this.ledger.config);
    let last: DiffJson | undefined;
    for (let at = 1; at <= nonce; at += 1) {
      [last] = await this.journal.diffs(at, at);
      if (last !== undefined && at < nonce) replayDiff(ledger, fromDiffJson(last), this.ledger.warmKeys);
    }
    if (last === undefined) return undefined;
    return mismatchCause(ledger, { ...fromDiffJson(last), postStateRoot: Buffer.from(computed, "hex") });
  }
}

/** Our own earlier orders are not waited for by anybody: only what is in `inFlight` is. */
function isAlive(owner: number): boolean {
  if (owner === pid) return false;
  try {
    kill(owner, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
