import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pid } from "node:process";
import { fileErrorCode, readRegularText, regular, unwritable, writeFileAtomic } from "../base/files.ts";
import { type HeldLock, withLockFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { type ComposedDiff, replayDiff } from "../wire/devshard/compose.ts";
import { Ledger, type LedgerSnapshot } from "../wire/devshard/ledger.ts";
import {
  type DevshardTx,
  type DiffJson,
  decodeTx,
  fromDiffJson,
  type SignedDiff,
  toDiffJson,
} from "../wire/devshard/messages.ts";
import { DEVSHARD_VERSIONS, type DevshardConfig, DevshardRefusal, devshardRules } from "../wire/devshard/rules.ts";
import type { InferencePayload } from "./devshard-host.ts";

/** What is known of an escrow when its journal begins; none of it changes. */
interface DevshardFacts {
  readonly chainId: string;
  readonly model: string;
  /** Epoch of its creation. */
  readonly epochIndex: bigint;
  readonly openedAtMs: number;
  readonly config: DevshardConfig;
}

/** One change to a journal; made while no other process can make one. */
export interface JournalWriter {
  /**
   * Writes a signed diff so that it outlives a power cut; only then may it be sent. Throws and has then undone the diff in
   * the ledger, so that the nonce is free again.
   */
  appendDiff(diff: SignedDiff, warmKeys: ComposedDiff["warmKeys"]): Promise<void>;
  /** Notes transactions of hosts that no diff holds yet. */
  appendPending(txs: readonly DevshardTx[]): Promise<void>;
  /** Notes something about the escrow's end. */
  appendNote(note: JournalNote): Promise<void>;
}

/** What is noted besides diffs and transactions. */
interface JournalNote {
  readonly kind: "settled";
  readonly atMs: number;
  readonly txHash: string | undefined;
}

interface DiffLine extends DiffJson {
  readonly kind: "diff";
  readonly warm?: readonly (readonly [slot: number, address: string])[] | undefined;
}

interface Snapshot {
  readonly root: string;
  /** Where the line after the last diff of it begins. */
  readonly offset: number;
  readonly ledger: LedgerSnapshot;
  /** Base64. */
  readonly pending: readonly string[];
}

const SNAPSHOT_EVERY_NONCES = 500;

/** Diffs kept in memory; older ones are read from the file when a host lacks them. */
const RECENT_DIFFS = 1024;

/** A lock may be taken over after a minute; a queue of changes gives it up long before. */
const HOLD_LOCK_MS = 5_000;
const READ_BYTES = 256 * 1024;

/**
 * The journal of one escrow: a folder with an append-only file of lines, and the state that follows from it. Every process
 * that uses the escrow appends to the same file: one at a time, each after reading what the others wrote. So no nonce is
 * ever signed twice with different content and sent, whatever is killed when.
 */
export class DevshardJournal {
  readonly folder: string;
  readonly facts: DevshardFacts;
  ledger: Ledger;
  /** Transactions of hosts that no diff holds yet, oldest first; whoever composes a diff takes out what was applied. */
  readonly pending = new Map<string, DevshardTx>();
  settled: JournalNote | undefined;
  readonly #file: FileHandle;
  readonly #inode: number;
  readonly #clock: Clock;
  readonly #recent = new Map<number, DiffJson>();
  /** Where the line of each diff begins, by nonce − 1; holes before the snapshot until they are asked for. */
  readonly #offsets: number[] = [];
  #firstLineEnd = 0;
  /** Everything before it was read, and is whole lines. */
  #offset = 0;
  #lastSnapshotNonce = 0;
  readonly #queue: { readonly run: (lock: HeldLock) => Promise<void>; readonly fail: (error: unknown) => void }[] = [];
  #draining: Promise<void> | undefined;

  private constructor(folder: string, facts: DevshardFacts, file: FileHandle, inode: number, clock: Clock) {
    this.folder = folder;
    this.facts = facts;
    this.ledger = new Ledger(facts.config, devshardRules(facts.config.version));
    this.#file = file;
    this.#inode = inode;
    this.#clock = clock;
  }

  /** Begins a journal; one that is there already is opened instead. Throws `file_unwritable`. */
  static async create(folder: string, facts: DevshardFacts, clock: Clock): Promise<DevshardJournal> {
    const path = journalPath(folder);
    try {
      await mkdir(join(folder, "payloads"), { recursive: true, mode: 0o700 });
      if (await isThere(path)) return await DevshardJournal.open(folder, clock);
      await writeFileAtomic(path, `${JSON.stringify({ kind: "escrow", format: 1, ...toJson(facts) })}\n`);
    } catch (error) {
      throw unwritable(path, error);
    }
    return DevshardJournal.open(folder, clock);
  }

  /** Reads a journal, each root compared. Throws `devshard_journal_damaged`, `devshard_none_open` where there is none. */
  static async open(folder: string, clock: Clock): Promise<DevshardJournal> {
    const path = journalPath(folder);
    let file: FileHandle;
    try {
      // Before it is opened: a named pipe would wait for its other end.
      regular(path, await stat(path));
      file = await open(path, constants.O_RDWR | constants.O_APPEND, 0o600);
    } catch (error) {
      if (fileErrorCode(error) === "ENOENT")
        throw new ZephError("devshard_none_open", { detail: `no journal at ${path}` });
      throw unwritable(path, error);
    }
    try {
      const { ino } = await file.stat();
      const first = await firstLine(file);
      const facts = readFacts(path, first);
      const journal = new DevshardJournal(folder, facts, file, ino, clock);
      journal.#firstLineEnd = Buffer.byteLength(first) + 1;
      journal.#offset = journal.#firstLineEnd;
      await journal.#restoreSnapshot();
      await journal.#readNew();
      return journal;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** What was begun is ended before. */
  async close(): Promise<void> {
    await this.#draining;
    await this.#file.close();
  }

  /** Takes in what other processes have written. */
  refresh(): Promise<void> {
    return this.exclusive(async () => {});
  }

  /**
   * Runs `work` while no other process writes, after taking in what they wrote. Calls are served in their order. Throws
   * `devshard_busy`, `file_unwritable`, and what `work` throws.
   */
  exclusive<T>(work: (writer: JournalWriter) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({
        run: async (lock) => {
          try {
            resolve(await work(this.#writer(lock)));
          } catch (error) {
            reject(error);
          }
        },
        fail: reject,
      });
      this.#draining ??= this.#drain();
    });
  }

  /** Diffs `from` to `to`, as they are sent. */
  async diffs(from: number, to: number): Promise<readonly DiffJson[]> {
    const found: DiffJson[] = [];
    for (let nonce = from; nonce <= to; nonce += 1) found.push(await this.#diff(nonce));
    return found;
  }

  /** The state root after a diff, 32 bytes; that of nonce 0 is the initial one. `undefined` for a nonce not ordered yet. */
  async rootAt(nonce: number): Promise<Uint8Array | undefined> {
    if (nonce > this.ledger.nonce || nonce < 0) return undefined;
    if (nonce === this.ledger.nonce) return this.ledger.root().root;
    if (nonce === 0) return new Ledger(this.facts.config).root().root;
    return Buffer.from((await this.#diff(nonce)).post_state_root, "base64");
  }

  /** Keeps what an executor needs, until the inference is over: for asking again, and for claiming a refusal. */
  async keepPayload(id: number, payload: InferencePayload): Promise<void> {
    const text = JSON.stringify({ owner: pid, payload });
    await writeFile(this.#payloadPath(id), text, { mode: 0o600, flush: true });
  }

  async payload(id: number): Promise<{ readonly payload: InferencePayload; readonly owner: number } | undefined> {
    try {
      return JSON.parse((await readRegularText(this.#payloadPath(id), { maxBytes: 64 * 1024 * 1024 })) ?? "");
    } catch {
      // Gone with its inference, or torn while it was written: then nothing of it was sent.
      return undefined;
    }
  }

  async dropPayload(id: number): Promise<void> {
    await rm(this.#payloadPath(id), { force: true });
  }

  /** Inferences whose payload is kept. */
  async keptPayloads(): Promise<readonly number[]> {
    const names = await readdir(join(this.folder, "payloads")).catch(() => []);
    return names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])).sort((a, b) => a - b);
  }

  #payloadPath(id: number): string {
    return join(this.folder, "payloads", `${id}.json`);
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const busy = (detail: string) => new ZephError("devshard_busy", { detail });
        await withLockFile(join(this.folder, "lock"), { clock: this.#clock, busy }, async (lock) => {
          await this.#assertSameFile();
          await this.#endTornLine(lock);
          await this.#readNew();
          const untilMs = this.#clock.nowMs() + HOLD_LOCK_MS;
          do await this.#queue.shift()?.run(lock);
          while (this.#queue.length > 0 && this.#clock.nowMs() < untilMs);
          await this.#saveSnapshot();
        });
      }
    } catch (error) {
      for (const { fail } of this.#queue.splice(0)) fail(error);
    } finally {
      // At once: a call that comes in later must find nobody who would have served it.
      this.#draining = undefined;
    }
  }

  #writer(lock: HeldLock): JournalWriter {
    const append = async (line: object, durable: boolean): Promise<void> => {
      try {
        await lock.assertHeld();
        await this.#file.appendFile(`${JSON.stringify(line)}\n`);
        if (durable) await this.#file.datasync();
      } catch (error) {
        throw unwritable(journalPath(this.folder), error);
      }
    };
    return {
      appendDiff: async (diff, warmKeys) => {
        const warm = warmKeys.length === 0 ? undefined : warmKeys;
        const line: DiffLine = { kind: "diff", ...toDiffJson(diff), warm };
        const text = `${JSON.stringify(line)}\n`;
        const before = this.#offset;
        try {
          await append(line, true);
          // Whoever took the lock over from a stopped process may have written before it went on: the first line counts.
          if ((await this.#textAt(before, Buffer.byteLength(text))) !== text)
            throw new ZephError("devshard_busy", { detail: "another zeph was faster" });
        } catch (error) {
          this.ledger.takeBack();
          // What is in the file now counts, whatever became of this line.
          await this.#endTornLine(lock).catch(() => undefined);
          await this.#readNew();
          throw error;
        }
        this.#remember(line, before);
        this.#offset = before + Buffer.byteLength(text);
      },
      appendPending: async (txs) => {
        for (const { bytes } of txs) await append({ kind: "tx", tx: Buffer.from(bytes).toString("base64") }, false);
        await this.#readNew();
      },
      appendNote: async (note) => {
        await append(note, true);
        await this.#readNew();
      },
    };
  }

  /** A journal that was rebuilt under our feet is another one. */
  async #assertSameFile(): Promise<void> {
    const now = await stat(journalPath(this.folder)).catch(() => undefined);
    if (now?.ino === this.#inode) return;
    throw new ZephError("devshard_busy", {
      detail: "the journal was replaced by another zeph",
      hint: "Start zeph again.",
    });
  }

  /** A line without its end was being written when its process ended; nothing of it was sent. What follows must not join it. */
  async #endTornLine(lock: HeldLock): Promise<void> {
    const { size } = await this.#file.stat();
    if (size === 0) return;
    const { buffer } = await this.#file.read(Buffer.alloc(1), 0, 1, size - 1);
    if (buffer[0] === LINE_FEED) return;
    await lock.assertHeld();
    await this.#file.appendFile("\n");
  }

  async #readNew(): Promise<void> {
    if ((await this.#file.stat()).size <= this.#offset) return;
    for await (const { text, start, end } of this.#lines(this.#offset)) {
      this.#take(text, start);
      this.#offset = end;
    }
  }

  async #textAt(offset: number, bytes: number): Promise<string> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(bytes), 0, bytes, offset);
    return buffer.toString("utf8", 0, bytesRead);
  }

  /** Whole lines; what has no end yet is not there yet. */
  async *#lines(from: number): AsyncGenerator<Line> {
    let rest = Buffer.alloc(0);
    let start = from;
    for (;;) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, start + rest.length);
      if (bytesRead === 0) return;
      let bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED)) {
        const end = start + at + 1;
        yield { text: bytes.toString("utf8", 0, at), start, end };
        bytes = bytes.subarray(at + 1);
        start = end;
      }
      rest = bytes;
    }
  }

  #take(text: string, start: number): void {
    const line = parseLine(text);
    if (line === undefined) return;
    if (line.kind === "settled") this.settled = line;
    if (line.kind === "tx") {
      const tx = decodeTx(Buffer.from(line.tx, "base64"));
      this.pending.set(line.tx, tx);
    }
    if (line.kind !== "diff") return;
    const { nonce } = this.ledger;
    // Of two lines for one nonce the first was sent, if any.
    if (line.nonce <= nonce) return;
    try {
      replayDiff(this.ledger, fromDiffJson(line), line.warm ?? []);
    } catch (error) {
      if (!(error instanceof DevshardRefusal)) throw error;
      throw new ZephError("devshard_journal_damaged", {
        detail: `${journalPath(this.folder)}: diff ${line.nonce} after ${nonce}: ${error.message}`,
      });
    }
    this.#remember(line, start);
  }

  #remember(line: DiffLine, start: number): void {
    const { nonce, txs, user_sig, post_state_root } = line;
    this.#offsets[nonce - 1] = start;
    this.#recent.set(nonce, { nonce, txs, user_sig, post_state_root });
    this.#recent.delete(nonce - RECENT_DIFFS);
  }

  async #diff(nonce: number): Promise<DiffJson> {
    const recent = this.#recent.get(nonce);
    if (recent !== undefined) return recent;
    if (this.#offsets[nonce - 1] === undefined) await this.#indexAll();
    const offset = this.#offsets[nonce - 1];
    if (offset !== undefined) {
      for await (const { text } of this.#lines(offset)) {
        const line = parseLine(text);
        if (line?.kind !== "diff") break;
        const { txs, user_sig, post_state_root } = line;
        return { nonce, txs, user_sig, post_state_root };
      }
    }
    throw new ZephError("devshard_journal_damaged", { detail: `${journalPath(this.folder)} lacks diff ${nonce}` });
  }

  /** For a host that lacks diffs from before the snapshot: finds all lines once. */
  async #indexAll(): Promise<void> {
    let next = 1;
    for await (const { text, start } of this.#lines(this.#firstLineEnd)) {
      const line = parseLine(text);
      if (line?.kind !== "diff" || line.nonce !== next) continue;
      this.#offsets[next - 1] = start;
      next += 1;
      if (next > this.ledger.nonce) return;
    }
  }

  async #saveSnapshot(): Promise<void> {
    const { nonce } = this.ledger;
    if (nonce - this.#lastSnapshotNonce < SNAPSHOT_EVERY_NONCES) return;
    const snapshot: Snapshot = {
      root: Buffer.from(this.ledger.root().root).toString("hex"),
      offset: this.#offset,
      ledger: this.ledger.snapshot(),
      pending: [...this.pending.keys()],
    };
    // It only saves time: the lines are all there.
    await writeFileAtomic(join(this.folder, "snapshot.json"), JSON.stringify(snapshot)).catch(() => undefined);
    this.#lastSnapshotNonce = nonce;
  }

  /** One that does not fit the journal is as good as none. */
  async #restoreSnapshot(): Promise<void> {
    try {
      const text = await readRegularText(join(this.folder, "snapshot.json"), { maxBytes: 256 * 1024 * 1024 });
      const { root, offset, ledger: saved, pending }: Snapshot = JSON.parse(text ?? "");
      const { config } = this.facts;
      const ledger = Ledger.restore(config, saved, devshardRules(config.version));
      const { buffer } = await this.#file.read(Buffer.alloc(1), 0, 1, offset - 1);
      const isSame = Buffer.from(ledger.root().root).toString("hex") === root && buffer[0] === LINE_FEED;
      if (!isSame || !(await this.#endsWith(offset, saved.nonce, root))) return;
      this.ledger = ledger;
      this.#offset = offset;
      this.#lastSnapshotNonce = saved.nonce;
      for (const tx of pending) this.pending.set(tx, decodeTx(Buffer.from(tx, "base64")));
    } catch {
      // None, or a damaged one: everything is read from the beginning.
    }
  }

  /** Whether the last diff before `offset` is the one that a snapshot was taken after. */
  async #endsWith(offset: number, nonce: number, root: string): Promise<boolean> {
    const length = Math.min(offset, READ_BYTES);
    const { buffer } = await this.#file.read(Buffer.alloc(length), 0, length, offset - length);
    for (const text of buffer.toString("utf8").split("\n").toReversed()) {
      const line = parseLine(text);
      if (line?.kind !== "diff") continue;
      return line.nonce === nonce && Buffer.from(line.post_state_root, "base64").toString("hex") === root;
    }
    return false;
  }
}

interface Line {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const LINE_FEED = 0x0a;

export function journalPath(folder: string): string {
  return join(folder, "journal.jsonl");
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

type KnownLine = DiffLine | { readonly kind: "tx"; readonly tx: string } | JournalNote;

/** Lines that nobody can read were torn while they were written; if one of them had counted, the next nonce would tell. */
function parseLine(text: string): KnownLine | undefined {
  try {
    const line = JSON.parse(text);
    if (typeof line !== "object" || line === null) return undefined;
    return ["diff", "tx", "settled"].includes(line.kind) ? line : undefined;
  } catch {
    return undefined;
  }
}

async function firstLine(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, 0);
  const text = buffer.toString("utf8", 0, bytesRead);
  return text.slice(0, Math.max(text.indexOf("\n"), 0));
}

function toJson({ epochIndex, config, ...facts }: DevshardFacts): object {
  const { amount, tokenPrice, createDevshardFee, feePerNonce, ...rest } = config;
  const decimal = (value: bigint) => value.toString();
  return {
    ...facts,
    epochIndex: decimal(epochIndex),
    config: {
      ...rest,
      amount: decimal(amount),
      tokenPrice: decimal(tokenPrice),
      createDevshardFee: decimal(createDevshardFee),
      feePerNonce: decimal(feePerNonce),
    },
  };
}

function readFacts(path: string, text: string): DevshardFacts {
  try {
    const { chainId, model, epochIndex, openedAtMs, config, kind, format } = JSON.parse(text);
    if (kind !== "escrow" || format !== 1) throw new RangeError("another kind of file");
    if (!DEVSHARD_VERSIONS.includes(config.version)) {
      throw new ZephError("devshard_version_unknown", { detail: `${path} is of ${config.version}` });
    }
    return {
      chainId,
      model,
      epochIndex: BigInt(epochIndex),
      openedAtMs,
      config: {
        ...config,
        amount: BigInt(config.amount),
        tokenPrice: BigInt(config.tokenPrice),
        createDevshardFee: BigInt(config.createDevshardFee),
        feePerNonce: BigInt(config.feePerNonce),
      },
    };
  } catch (error) {
    if (ZephError.is(error)) throw error;
    throw new ZephError("devshard_journal_damaged", { detail: `${path} does not begin as a journal`, cause: error });
  }
}
