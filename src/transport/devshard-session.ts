import { kill, pid } from "node:process";
import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { ChainClient, DevshardParams } from "../network/chain.ts";
import { composeDiff, composingOrder, signDiff } from "../wire/devshard/compose.ts";
import { type Ledger, PHASE, STATUS } from "../wire/devshard/ledger.ts";
import { type DevshardTx, devshardTx } from "../wire/devshard/messages.ts";
import { isFromHosts, isOver, mayHoldLater } from "../wire/devshard/relay.ts";
import { checkNonceBudget, DevshardRefusal, lastActiveNonce, slotOfNonce } from "../wire/devshard/rules.ts";
import type { DevshardSigner } from "../wire/devshard/signing.ts";
import { DevshardCourier } from "./devshard-courier.ts";
import type { InferencePayload } from "./devshard-host.ts";
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

/** So many transactions are remembered as ordered; of older ones the ledger itself tells. */
const MAX_RELAYED = 4096;

/**
 * The one sequencer of one escrow. Diffs are composed one at a time, and each is in the journal before a host sees it; the
 * {@link DevshardCourier} then carries them to the hosts, side by side.
 */
export class DevshardSession {
  readonly journal: DevshardJournal;
  readonly options: DevshardSessionOptions;
  readonly courier: DevshardCourier;
  /** Inferences that this process waits for. */
  readonly inFlight = new Set<number>();
  /** Transactions that a diff holds already: hosts offer them until they see it. Oldest first. */
  readonly #relayed = new Set<string>();
  /** Keys of what is waiting and not written down yet. */
  readonly #unsaved = new Set<string>();
  /** Answers that a process before this one was waiting for. */
  readonly #interrupted = new Map<number, { readonly payload: InferencePayload; readonly sinceMs: number }>();

  constructor(options: DevshardSessionOptions) {
    this.options = options;
    this.journal = options.journal;
    this.courier = new DevshardCourier(options, (txs) => this.#take(txs));
  }

  get ledger(): Ledger {
    return this.journal.ledger;
  }

  /** Whose turn the diff of a nonce is. */
  addressOfNonce(nonce: number): string {
    return this.ledger.addressOf(slotOfNonce(nonce, this.ledger.slots)) ?? "";
  }

  /**
   * Orders a new inference: the diff that starts it is composed, signed and in the journal when this resolves. Throws
   * `devshard_exhausted`, `devshard_paused`, `devshard_diverged`, `devshard_busy`, `file_unwritable`.
   */
  async start(
    request: InferenceRequest,
    model: string,
  ): Promise<{ readonly id: number; readonly payload: InferencePayload }> {
    const { slots } = this.ledger;
    if (this.#isPaused) await this.assertTakesRequests();
    return this.journal.exclusive(async (writer) => {
      this.courier.assertWhole();
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

  /**
   * Asks the chain whether the network takes requests at present, after a host said that it does not. Throws
   * `devshard_paused`; before the next order it is asked again. A chain that does not answer says nothing.
   */
  async assertTakesRequests(signal?: AbortSignal): Promise<void> {
    const params = await this.options.chain.params(signal).catch(() => undefined);
    signal?.throwIfAborted();
    this.#isPaused = params?.requestsEnabled === false;
    if (this.#isPaused) throw new ZephError("devshard_paused");
  }
  #isPaused = false;

  /** Orders what is waiting, and one transaction of the client's own where given. Throws what {@link start} throws. */
  order(own?: DevshardTx): Promise<number> {
    return this.journal.exclusive(async (writer) => {
      this.courier.assertWhole();
      try {
        await this.#compose(writer, own);
      } catch (error) {
        if (error instanceof DevshardRefusal) throw this.#exhausted(error.message);
        throw error;
      }
      return this.ledger.nonce;
    });
  }

  /** Reads the mempools of all hosts that answer, and writes down what they want ordered. */
  async pollMempools(signal?: AbortSignal): Promise<void> {
    await this.courier.readMempools(signal);
    await this.persistPending();
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

  /** Takes in what hosts want ordered. */
  #take(txs: readonly DevshardTx[]): void {
    for (const tx of txs) {
      const key = Buffer.from(tx.bytes).toString("base64");
      if (!isFromHosts(tx) || this.#relayed.has(key) || isOver(this.ledger, tx)) continue;
      this.journal.pending.set(key, tx);
      this.#unsaved.add(key);
    }
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
    return this.courier.isResting(this.addressOfNonce(nonce));
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
        const known = this.courier.knownGrant(warm, granter);
        if (known === undefined) unknown.add(granter);
        return known === true;
      },
    };
    const first = composeDiff(this.ledger, candidates, rules);
    if (unknown.size === 0) return first;
    this.ledger.takeBack();
    for (const granter of unknown) await this.courier.readGrants(granter);
    return composeDiff(this.ledger, candidates, rules);
  }

  #remember(key: string): void {
    this.#relayed.add(key);
    const [oldest] = this.#relayed;
    if (this.#relayed.size > MAX_RELAYED && oldest !== undefined) this.#relayed.delete(oldest);
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
