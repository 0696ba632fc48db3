import { randomInt } from "node:crypto";
import { join } from "node:path";
import { appendRegularFile, readRegularText, unwritable } from "../base/files.ts";
import { withLockFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { type ChainMessage, signUnorderedTx } from "../wire/devshard/chain-tx.ts";
import type { DevshardSigner } from "../wire/devshard/signing.ts";
import type { ChainClient, TxOutcome } from "./chain.ts";

/** A transaction as the journal holds it, from before its first broadcast on. */
export interface JournalledTx {
  /** What it is for: of two with the same purpose the second is made only when the first is over. */
  readonly purpose: string;
  /** Upper-case hex. */
  readonly hash: string;
  /** Base64 of what is broadcast. */
  readonly tx: string;
  /** No block takes it after this. */
  readonly timeoutMs: number;
  readonly atMs: number;
  /** For people, and for going on: amount and model of an escrow. */
  readonly note: Readonly<Record<string, string>>;
  /** `undefined` while nobody knows. */
  readonly end?: TxEnd | undefined;
}

/** How a transaction ended. `expired`: its time is over and no block has it. */
type TxEnd =
  | { readonly kind: "included"; readonly code: number; readonly log: string; readonly escrowId?: string | undefined }
  | { readonly kind: "refused"; readonly code: number; readonly log: string }
  | { readonly kind: "expired" };

interface SendOptions {
  /** Where the journal of transactions lies. */
  readonly folder: string;
  readonly chain: ChainClient;
  readonly signer: DevshardSigner;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for a block, milliseconds. Default 60 000. */
  readonly waitMs?: number | undefined;
}

/** What a new transaction is to say. */
interface TxDraft {
  readonly purpose: string;
  readonly message: ChainMessage;
  /** ngonka. */
  readonly fee: bigint;
  readonly gasLimit: bigint;
  readonly note: Readonly<Record<string, string>>;
}

/** The chain takes at most 10 minutes; a minute is for clocks. */
const VALID_MS = 9 * 60_000;

/** A block's time may be behind ours; only after this is a transaction without a block over. */
const EXPIRY_MARGIN_MS = 2 * 60_000;
const POLL_MS = 2_000;

/** cosmos-sdk `ErrTxInMempoolCache`: the node has it already. */
const TX_IN_MEMPOOL = 19;
const WAIT_MS = 60_000;

/**
 * Makes a transaction and waits for its block. It is in the journal, on the disk, before any node sees it; one with the
 * same purpose that is not over is sent again instead of a new one, byte for byte, which the chain takes only once. Throws
 * `transaction_refused`, `transaction_unclear` (run it again), `account_not_found`, `file_unwritable`.
 */
export async function sendTransaction(draft: TxDraft, options: SendOptions): Promise<JournalledTx> {
  const { chain, signer, signal } = options;
  const unfinished = (await readTransactions(options.folder)).find(isUnfinished(draft.purpose));
  if (unfinished !== undefined) {
    const resumed = await awaitTransaction(unfinished, options);
    if (resumed.end?.kind === "included") return succeeded(resumed);
    // It is over without an effect, so a new one can be made.
  }
  const [chainId, accountNumber] = await Promise.all([
    chain.chainId(signal),
    chain.accountNumber(signer.address, signal),
  ]);
  if (accountNumber === undefined) {
    throw new ZephError("account_not_found", {
      detail: signer.address,
      hint: `Send some GNK to ${signer.address} first.`,
    });
  }
  const made = await change(options, async (append) => {
    const other = (await readTransactions(options.folder)).find(isUnfinished(draft.purpose));
    if (other !== undefined) return { record: other, isNew: false };
    const nowMs = options.clock.nowMs();
    // Stands in for the sequence, so two of one account must differ: the part below a millisecond is by chance.
    const nanos = BigInt(nowMs + VALID_MS) * 1_000_000n + BigInt(randomInt(1_000_000));
    const { txRaw, hash } = signUnorderedTx({ ...draft, chainId, accountNumber, timeoutNanos: nanos }, signer);
    const record: JournalledTx = {
      purpose: draft.purpose,
      hash,
      tx: Buffer.from(txRaw).toString("base64"),
      timeoutMs: nowMs + VALID_MS,
      atMs: nowMs,
      note: draft.note,
    };
    await append({ kind: "tx", ...record });
    return { record, isNew: true };
  });
  return succeeded(await awaitTransaction(made.record, options, made.isNew));
}

/**
 * Goes on with a transaction that was begun: broadcasts it again, waits for its block. Throws `transaction_unclear` when
 * there is none yet.
 *
 * @param isNew nobody has seen it yet, so a refusal is the end of it
 */
export async function awaitTransaction(
  record: JournalledTx,
  options: SendOptions,
  isNew = false,
): Promise<JournalledTx> {
  const { chain, clock, signal, waitMs = WAIT_MS } = options;
  const untilMs = clock.nowMs() + waitMs;
  const ended = (end: TxEnd) => noteEnd(options, record, end);
  for (let attempt = 0; ; attempt += 1) {
    const found = await chain.transaction(record.hash, signal).catch(unlessAborted(signal));
    if (found !== undefined && found !== "failed") return ended(included(found));
    const isOver = clock.nowMs() > record.timeoutMs + EXPIRY_MARGIN_MS;
    if (isOver && found === undefined) return ended({ kind: "expired" });
    if (!isOver && attempt % 5 === 0) {
      const taken = await chain.broadcast(Buffer.from(record.tx, "base64"), signal).catch(unlessAborted(signal));
      const isRefused = taken !== "failed" && taken.code !== 0 && taken.code !== TX_IN_MEMPOOL;
      if (isNew && attempt === 0 && isRefused) {
        return ended({ kind: "refused", code: taken.code, log: taken.log });
      }
    }
    if (clock.nowMs() >= untilMs) {
      throw new ZephError("transaction_unclear", {
        detail: `${record.hash}, which no block has yet; it is valid until ${new Date(record.timeoutMs).toISOString()}`,
      });
    }
    await clock.sleep(attempt === 0 ? POLL_MS / 10 : POLL_MS, signal);
  }
}

/** All transactions of a journal, oldest first, each with its end where it is known. */
export async function readTransactions(folder: string): Promise<readonly JournalledTx[]> {
  const text = await readRegularText(transactionsPath(folder), { maxBytes: 64 * 1024 * 1024 });
  const byHash = new Map<string, JournalledTx>();
  for (const line of (text ?? "").split("\n")) {
    const entry = parseLine(line);
    if (entry?.kind === "tx") byHash.set(entry.hash, entry);
    const known = entry?.kind === "end" ? byHash.get(entry.hash) : undefined;
    if (entry?.kind === "end" && known !== undefined) byHash.set(entry.hash, { ...known, end: entry.end });
  }
  return [...byHash.values()];
}

function transactionsPath(folder: string): string {
  return join(folder, "transactions.jsonl");
}

function isUnfinished(purpose: string) {
  return (each: JournalledTx) => each.purpose === purpose && each.end === undefined;
}

function included({ code, log, attributes }: TxOutcome): TxEnd {
  return { kind: "included", code, log, escrowId: attributes.get("devshard_escrow_created.escrow_id") };
}

function succeeded(record: JournalledTx): JournalledTx {
  const { end, hash } = record;
  if (end?.kind === "included" && end.code === 0) return record;
  if (end?.kind === "expired")
    throw new ZephError("transaction_unclear", { detail: `${hash} came into no block in time` });
  throw new ZephError("transaction_refused", { detail: end?.log === undefined || end.log === "" ? hash : end.log });
}

async function noteEnd(options: SendOptions, record: JournalledTx, end: TxEnd): Promise<JournalledTx> {
  await change(options, (append) => append({ kind: "end", hash: record.hash, end }));
  return { ...record, end };
}

type Append = (line: object) => Promise<void>;

async function change<T>({ folder, clock }: SendOptions, work: (append: Append) => Promise<T>): Promise<T> {
  const path = transactionsPath(folder);
  const busy = (detail: string) => new ZephError("devshard_busy", { detail });
  return withLockFile(`${path}.lock`, { clock, busy }, async (lock) =>
    work(async (line) => {
      try {
        await lock.assertHeld();
        // A line break in front ends a line that was torn.
        await appendRegularFile(path, `\n${JSON.stringify(line)}\n`, { isDurable: true });
      } catch (error) {
        throw unwritable(path, error);
      }
    }),
  );
}

type JournalLine =
  | ({ readonly kind: "tx" } & JournalledTx)
  | { readonly kind: "end"; readonly hash: string; readonly end: TxEnd };

function parseLine(text: string): JournalLine | undefined {
  try {
    const line = JSON.parse(text);
    return typeof line?.hash === "string" && ["tx", "end"].includes(line.kind) ? line : undefined;
  } catch {
    // Torn: nothing of it was sent.
    return undefined;
  }
}

/** A node that does not answer says nothing about the transaction. */
function unlessAborted(signal: AbortSignal | undefined) {
  return (error: unknown): "failed" => {
    signal?.throwIfAborted();
    if (!ZephError.is(error) || error.code === "internal") throw error;
    return "failed";
  };
}
