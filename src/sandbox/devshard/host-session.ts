import { applyDiff } from "../../wire/devshard/compose.ts";
import { Ledger, STATUS, stateSignatureContent } from "../../wire/devshard/ledger.ts";
import {
  type DevshardTx,
  type DiffJson,
  devshardTx,
  encodeDiffContent,
  FINISH_INFERENCE,
  type InferenceRecord,
  type SignedDiff,
  TIMEOUT_REASON,
  TIMEOUT_VOTE_CONTENT,
  type TxMessage,
  VALIDATION,
  VALIDATION_VOTE,
} from "../../wire/devshard/messages.ts";
import {
  checkNonceBudget,
  type DevshardConfig,
  DevshardRefusal,
  devshardRules,
  sessionTerms,
} from "../../wire/devshard/rules.ts";
import { receiptContent } from "../../wire/devshard/transitions.ts";
import type { DevshardChain } from "./chain.ts";
import { type DevshardKey, hashOfPrompt, prefixOf, signerOf, UnrecoverableSignature } from "./crypto.ts";

/** What a host refuses, with the status its HTTP answer has. */
export class HostRefusal extends Error {
  readonly status: number;
  /** Of a 503: what stands in `X-Devshard-Error`. */
  readonly cause503: string | undefined;

  constructor(status: number, message: string, cause503?: string) {
    super(message);
    this.status = status;
    this.cause503 = cause503;
  }
}

/** The prompt and the numbers of an inference, as they come beside the diffs. */
export interface Payload {
  readonly prompt: Buffer;
  readonly model: string;
  readonly inputLength: bigint;
  readonly maxTokens: bigint;
  readonly startedAt: bigint;
}

/** A finished answer: the body that a re-post gets, and what the finish says of it. */
export interface Executed {
  readonly body: Buffer;
  readonly responseHash: Buffer;
  /** Tokens. */
  readonly input: number;
  readonly output: number;
}

interface StoredDiff {
  readonly json: DiffJson;
  readonly stateHash: Uint8Array;
}

/** A diff as it was read from a request. */
export interface ReceivedDiff {
  readonly json: DiffJson;
  readonly signed: SignedDiff;
}

interface TimeoutClaim {
  readonly inferenceId: bigint;
  readonly reason: "refused" | "execution";
  readonly payload: Payload | undefined;
}

type TimeoutVerdict =
  | { readonly accept: false }
  | { readonly accept: true; readonly signature: Uint8Array; readonly voterSlot: number };

/** What the host knows besides the session; read anew each time, as a test may change it. */
interface HostView {
  /** Owner of the slots. */
  readonly address: string;
  /** Signs for the host: its own key, or a warm one. */
  readonly key: () => DevshardKey;
  readonly nowSeconds: () => number;
  readonly maxNonce: () => number;
  readonly isGranted: (warm: string, granter: string) => boolean;
  readonly refusalTimeoutSeconds: () => number;
  readonly executionTimeoutSeconds: () => number;
}

const NOTHING = new Uint8Array();

/**
 * One escrow in the memory of one host: its own state machine, its own store of diffs and its own mempool. It applies
 * strictly what the user signed, and never composes.
 */
export class HostSession {
  readonly version: string;
  readonly ledger: Ledger;
  readonly #host: HostView;
  readonly #diffs = new Map<number, StoredDiff>();
  /** Own state signatures by nonce. */
  readonly #signatures = new Map<number, Uint8Array>();
  /** By the hex of their bytes, in order of arrival. */
  readonly #mempool = new Map<string, DevshardTx>();
  /** Whole answers of own inferences, until their finish stands in a diff. */
  readonly #answers = new Map<bigint, Buffer>();
  readonly #executing = new Set<bigint>();
  readonly #judged = new Set<string>();

  constructor(config: DevshardConfig, host: HostView) {
    this.version = config.version;
    this.ledger = new Ledger(config);
    this.#host = host;
  }

  get escrowId(): string {
    return this.ledger.config.escrowId;
  }
  get owner(): string {
    return this.ledger.config.user;
  }
  /** Ascending; a validator may own several. */
  get ownSlots(): readonly number[] {
    return this.ledger.slotsOf(this.#host.address);
  }
  get mempool(): readonly DevshardTx[] {
    return [...this.#mempool.values()];
  }

  /** Whether an address belongs to the group: as a slot's own, or by a grant. */
  isMember(address: string): boolean {
    const { group } = this.ledger.config;
    return group.includes(address) || group.some((owner) => this.#host.isGranted(address, owner));
  }

  /** Applies what is new of these diffs, in their order; what came before a refused one stays. Throws {@link HostRefusal}. */
  apply(diffs: readonly ReceivedDiff[]): void {
    for (const { json, signed } of diffs) {
      if (signed.nonce <= this.ledger.nonce) continue;
      try {
        this.#applyOne(signed);
      } catch (error) {
        if (!(error instanceof DevshardRefusal)) throw error;
        throw new HostRefusal(500, `apply diff nonce ${signed.nonce}: ${error.message}`);
      }
      this.#diffs.set(signed.nonce, { json, stateHash: signed.postStateRoot });
      for (const tx of signed.txs) {
        this.#mempool.delete(hex(tx.bytes));
        if (tx.kind === "finish") this.#answers.delete(tx.message.inferenceId);
      }
    }
  }

  #applyOne(diff: SignedDiff): void {
    const { ledger } = this;
    const { nonce, txs } = diff;
    checkNonceBudget({ nonce, txs, phase: ledger.phase, slots: ledger.slots, maxNonce: this.#host.maxNonce() });
    this.#checkUserSignature(diff);
    applyDiff(ledger, diff, { isGranted: this.#host.isGranted });
  }

  /** Once more with other code than that which the client signs with. */
  #checkUserSignature(diff: SignedDiff): void {
    try {
      const signer = this.#signerOf(diff);
      if (signer === this.owner) return;
      throw new DevshardRefusal("invalid_user_signature", `expected ${this.owner}, got ${signer}`);
    } catch (error) {
      if (!(error instanceof UnrecoverableSignature)) throw error;
      throw new DevshardRefusal("invalid_user_signature", error.message);
    }
  }

  isSignedByOwner(diff: SignedDiff): boolean {
    try {
      return this.#signerOf(diff) === this.owner;
    } catch (error) {
      if (error instanceof UnrecoverableSignature) return false;
      throw error;
    }
  }

  #signerOf(diff: SignedDiff): string {
    return signerOf(encodeDiffContent({ ...diff, escrowId: this.escrowId }), diff.userSig, prefixOf(this.owner));
  }

  /** Signs the state as it is now, and remembers it for `GET signatures`. */
  signState(): { readonly nonce: number; readonly root: Uint8Array; readonly signature: Uint8Array } {
    const { nonce } = this.ledger;
    const { root } = this.ledger.root();
    const signature = this.#host.key().sign(stateSignatureContent(root, this.escrowId, nonce));
    this.#signatures.set(nonce, signature);
    return { nonce, root, signature };
  }

  /** Signs a root that is not its own; for a host that lies. */
  signOther(root: Uint8Array): Uint8Array {
    return this.#host.key().sign(stateSignatureContent(root, this.escrowId, this.ledger.nonce));
  }

  /** Own signatures of the state after a diff, by slot. Throws {@link HostRefusal} for a diff that is not here. */
  signaturesAt(nonce: number): ReadonlyMap<number, Uint8Array> {
    if (!this.#diffs.has(nonce)) {
      throw new HostRefusal(500, `diff at nonce ${nonce} not found for session ${this.escrowId}`);
    }
    const signature = this.#signatures.get(nonce);
    const [slot] = this.ownSlots;
    return new Map(signature === undefined || slot === undefined ? [] : [[slot, signature]]);
  }

  /** Both ends inclusive. */
  diffs(from: number, to: number): readonly StoredDiff[] {
    const found: StoredDiff[] = [];
    for (let nonce = Math.max(from, 1); nonce <= Math.min(to, this.ledger.nonce); nonce++) {
      const stored = this.#diffs.get(nonce);
      if (stored !== undefined) found.push(stored);
    }
    return found;
  }

  /**
   * The start that a request asks this host to execute: it must stand in one of the request's own diffs, belong to an own
   * slot, and not be over. Throws {@link HostRefusal} for a payload that is not the one signed.
   */
  startToExecute(nonce: number, diffs: readonly ReceivedDiff[], payload: Payload): TxMessage<"start"> | undefined {
    const diff = diffs.find(({ signed }) => signed.nonce === nonce);
    const start = diff?.signed.txs.find((tx) => tx.kind === "start");
    if (start === undefined || !this.ownSlots.includes(nonce % this.ledger.slots)) return undefined;
    const fault = payloadFault(payload, start.message);
    if (fault !== undefined) throw new HostRefusal(500, fault);
    const record = this.ledger.inference(start.message.inferenceId);
    const isOpen = record?.status === STATUS.pending || record?.status === STATUS.started;
    return isOpen ? start.message : undefined;
  }

  /** Signs that this host takes an inference, and offers the confirm to whoever reads its mempool. */
  takeInference(inferenceId: bigint): { readonly receipt: Uint8Array; readonly confirmedAt: number } {
    const confirmedAt = this.#host.nowSeconds();
    const receipt = this.#receipt(inferenceId, confirmedAt);
    this.#offer(devshardTx("confirm", { inferenceId, executorSig: receipt, confirmedAt: BigInt(confirmedAt) }));
    return { receipt, confirmedAt };
  }

  #receipt(inferenceId: bigint, confirmedAt: number): Uint8Array {
    const record = this.ledger.inference(inferenceId);
    if (record === undefined) throw new HostRefusal(500, `inference ${inferenceId} not found`);
    return this.#host.key().sign(receiptContent(this.ledger, record, BigInt(confirmedAt)));
  }

  /** Runs one execution at a time of an inference. */
  beginExecution(inferenceId: bigint): "begun" | "running" | Buffer {
    const answer = this.#answers.get(inferenceId);
    if (answer !== undefined) return answer;
    if (this.#executing.has(inferenceId)) return "running";
    this.#executing.add(inferenceId);
    return "begun";
  }

  endExecution(inferenceId: bigint): void {
    this.#executing.delete(inferenceId);
  }

  /** Keeps the answer for a re-post, and offers the finish. */
  finishInference(inferenceId: bigint, { body, responseHash, input, output }: Executed): void {
    const message = {
      inferenceId,
      responseHash,
      inputTokens: BigInt(input),
      outputTokens: BigInt(output),
      executorSlot: Number(inferenceId % BigInt(this.ledger.slots)),
      proposerSig: NOTHING,
      escrowId: this.escrowId,
    };
    this.#answers.set(inferenceId, body);
    this.#offer(
      devshardTx("finish", { ...message, proposerSig: this.#host.key().sign(FINISH_INFERENCE.encode(message)) }),
    );
  }

  /** Judges what other executors finished, once each: by chance while nobody complains, always when somebody did. */
  judge({ isValid, isChosen }: { readonly isValid: boolean; readonly isChosen: () => boolean }): void {
    const [slot] = this.ownSlots;
    if (slot === undefined) return;
    for (const { inferenceId, executorSlot, status, validatedBy } of this.ledger.live) {
      if (this.ownSlots.includes(executorSlot) || (status !== STATUS.finished && status !== STATUS.challenged))
        continue;
      const job = `${inferenceId} ${status}`;
      if (this.#judged.has(job)) continue;
      this.#judged.add(job);
      if (this.ownSlots.some((own) => ((validatedBy[own >> 3] ?? 0) >> (own & 7)) & 1)) continue;
      if (status === STATUS.challenged) this.#vote(inferenceId, slot, isValid);
      else if (isChosen()) this.#validate(inferenceId, slot, isValid);
    }
  }

  #validate(inferenceId: bigint, validatorSlot: number, valid: boolean): void {
    const message = { inferenceId, validatorSlot, valid, proposerSig: NOTHING, escrowId: this.escrowId };
    this.#offer(
      devshardTx("validation", { ...message, proposerSig: this.#host.key().sign(VALIDATION.encode(message)) }),
    );
  }

  #vote(inferenceId: bigint, voterSlot: number, voteValid: boolean): void {
    const message = { inferenceId, voterSlot, voteValid, proposerSig: NOTHING, escrowId: this.escrowId };
    this.#offer(
      devshardTx("vote", { ...message, proposerSig: this.#host.key().sign(VALIDATION_VOTE.encode(message)) }),
    );
  }

  /** Whether this host votes that an executor is late, by its own clock, state and mempool. Throws {@link HostRefusal}. */
  verifyTimeout({ inferenceId, reason, payload }: TimeoutClaim): TimeoutVerdict {
    const record = this.ledger.inference(inferenceId);
    if (record === undefined) throw new HostRefusal(500, `inference ${inferenceId} not found`);
    const isRefusal = reason === "refused";
    const [expected, name] = isRefusal ? [STATUS.pending, "pending"] : [STATUS.started, "started"];
    if (record.status !== expected) {
      throw new HostRefusal(500, `inference ${inferenceId}: expected ${name}, got ${record.status}`);
    }
    if (!this.#isLate(record, isRefusal) || this.#knowsBetter(inferenceId, isRefusal)) return { accept: false };
    if (isRefusal) {
      if (payload === undefined) throw new HostRefusal(500, "no payload for refused timeout verification");
      if (payloadFault(payload, record) !== undefined) return { accept: false };
    }
    return this.#accept(inferenceId, isRefusal);
  }

  #accept(inferenceId: bigint, isRefusal: boolean): TimeoutVerdict {
    const [voterSlot] = this.ownSlots;
    if (voterSlot === undefined) return { accept: false };
    const content = TIMEOUT_VOTE_CONTENT.encode({
      escrowId: this.escrowId,
      inferenceId,
      reason: isRefusal ? TIMEOUT_REASON.refused : TIMEOUT_REASON.execution,
      accept: true,
    });
    return { accept: true, signature: this.#host.key().sign(content), voterSlot };
  }

  #isLate({ startedAt, confirmedAt }: InferenceRecord, isRefusal: boolean): boolean {
    const now = this.#host.nowSeconds();
    if (isRefusal) return now - Number(startedAt) >= this.#host.refusalTimeoutSeconds();
    return now - Number(confirmedAt) >= this.#host.executionTimeoutSeconds();
  }

  #knowsBetter(inferenceId: bigint, isRefusal: boolean): boolean {
    return this.mempool.some(
      (tx) => (tx.kind === "finish" || (isRefusal && tx.kind === "confirm")) && tx.message.inferenceId === inferenceId,
    );
  }

  /** A receipt for whoever asks whether the executor lives; no confirm comes of it. */
  answerChallenge(inferenceId: bigint, payload: Payload | undefined): Uint8Array | undefined {
    const record = this.ledger.inference(inferenceId);
    if (record === undefined || !this.ownSlots.includes(record.executorSlot) || payload === undefined) return undefined;
    if (payloadFault(payload, record) !== undefined) return undefined;
    return this.#receipt(inferenceId, this.#host.nowSeconds());
  }

  #offer(tx: DevshardTx): void {
    this.#mempool.set(hex(tx.bytes), tx);
  }
}

/** What differs between a payload and what was signed for it, in a host's words. */
function payloadFault(
  payload: Payload,
  signed: Pick<TxMessage<"start">, "model" | "inputLength" | "maxTokens" | "startedAt" | "promptHash">,
): string | undefined {
  const parameters = [
    ["model", payload.model, signed.model],
    ["input_length", payload.inputLength, signed.inputLength],
    ["max_tokens", payload.maxTokens, signed.maxTokens],
    ["started_at", payload.startedAt, signed.startedAt],
  ] as const;
  const other = parameters.find(([, given, expected]) => given !== expected);
  if (other !== undefined) {
    return `request payload does not match StartInference params: ${other[0]} ${other[1]} vs ${other[2]}`;
  }
  const isSame = hashOfPrompt(payload.prompt)?.equals(signed.promptHash);
  return isSame === true ? undefined : "prompt does not match hash in StartInference";
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Makes a host's session out of the escrow's row, as hosts do on the first request. Throws {@link HostRefusal}. */
export function bindSession(
  chain: DevshardChain,
  { version, escrowId }: { readonly version: string; readonly escrowId: string },
  host: HostView,
): HostSession {
  const escrow = chain.escrow(escrowId);
  if (escrow === undefined) throw new HostRefusal(500, "build group: get escrow: escrow not found");
  const { slots: group, creator: user, amount } = escrow;
  if (!group.includes(host.address)) throw new HostRefusal(500, `build group: ${host.address} not in group`);
  const isFromParams = devshardRules(version).thresholdFactorFrom === "params";
  const { voteThresholdFactor } = isFromParams ? chain.params : escrow;
  const terms = sessionTerms({ ...escrow, voteThresholdFactor }, group.length);
  return new HostSession({ escrowId, version, group, user, amount, ...terms }, host);
}
