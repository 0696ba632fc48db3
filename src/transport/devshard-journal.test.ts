import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { composeDiff, signDiff } from "../wire/devshard/compose.ts";
import type { DevshardTx } from "../wire/devshard/messages.ts";
import { devshardSigner } from "../wire/devshard/signing.ts";
import { DevshardJournal, journalPath } from "./devshard-journal.ts";

const user = devshardSigner(Buffer.alloc(32, 7));
const group = [1, 2, 3].map((each) => devshardSigner(Buffer.alloc(32, each)).address);
const facts = {
  chainId: "test-1",
  model: "model-a",
  epochIndex: 7n,
  openedAtMs: 1_000,
  config: {
    escrowId: "42",
    version: "v4",
    group,
    user: user.address,
    amount: 1_000_000_000n,
    tokenPrice: 1n,
    createDevshardFee: 10_000n,
    feePerNonce: 1_000n,
    voteThreshold: 1,
    sealGraceNonces: 20,
    sealGraceSeconds: 3600,
    autoSealEvery: 150,
  },
};

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "zeph-journal-")), "42");
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

function order(journal: DevshardJournal, txs: readonly DevshardTx[] = []): Promise<void> {
  return journal.exclusive(async (writer) => {
    const composed = composeDiff(journal.ledger, txs, { isGranted: () => false });
    await writer.appendDiff(signDiff(composed, "42", user), composed.warmKeys);
  });
}

const linesOf = () => readFileSync(journalPath(folder), "utf8").split("\n");

describe("the journal of an escrow", () => {
  it("gives back the state it was left in, each root compared, and can be read by nobody else", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    for (let each = 0; each < 3; each += 1) await order(journal);
    const { root } = journal.ledger.root();
    await journal.close();
    const again = await DevshardJournal.open(folder, systemClock);
    expect(again.ledger.nonce).toBe(3);
    expect(again.ledger.root().root).toEqual(root);
    expect(again.facts).toEqual(facts);
    expect(statSync(journalPath(folder)).mode & 0o777).toBe(0o600);
    await again.close();
  });

  it("is not begun anew where there is one", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    await order(journal);
    await journal.close();
    const again = await DevshardJournal.create(folder, { ...facts, openedAtMs: 2_000 }, systemClock);
    expect(again.ledger.nonce).toBe(1);
    await again.close();
  });

  it("survives a last line that is torn at any byte, and gives its nonce to the next order", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    await order(journal);
    const kept = statSync(journalPath(folder)).size;
    await order(journal);
    await journal.close();
    const whole = readFileSync(journalPath(folder));
    for (let length = kept + 1; length < whole.length - 2; length += 37) {
      writeFileSync(journalPath(folder), whole);
      truncateSync(journalPath(folder), length);
      const torn = await DevshardJournal.open(folder, systemClock);
      expect(torn.ledger.nonce).toBe(1);
      await order(torn);
      expect(torn.ledger.nonce).toBe(2);
      await torn.close();
      const again = await DevshardJournal.open(folder, systemClock);
      expect(again.ledger.nonce).toBe(2);
      await again.close();
    }
  });

  it("takes a last line that only lacks its end for written", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    await order(journal);
    await journal.close();
    truncateSync(journalPath(folder), statSync(journalPath(folder)).size - 1);
    const again = await DevshardJournal.open(folder, systemClock);
    await order(again);
    expect(again.ledger.nonce).toBe(2);
    expect(linesOf().filter((line) => line.includes('"diff"'))).toHaveLength(2);
    await again.close();
  });

  it("lets two users of one escrow order in turns, and no nonce twice", async () => {
    const one = await DevshardJournal.create(folder, facts, systemClock);
    const two = await DevshardJournal.open(folder, systemClock);
    await Promise.all(Array.from({ length: 20 }, (_, index) => order(index % 2 === 0 ? one : two)));
    await Promise.all([one.refresh(), two.refresh()]);
    expect(one.ledger.nonce).toBe(20);
    expect(two.ledger.root().root).toEqual(one.ledger.root().root);
    const nonces = linesOf().flatMap((line) => /"nonce":(\d+)/.exec(line)?.[1] ?? []);
    expect(new Set(nonces).size).toBe(nonces.length);
    await Promise.all([one.close(), two.close()]);
  });

  it("counts the first of two lines for one nonce, and lets the second not be sent", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    const stranger = await DevshardJournal.open(folder, systemClock);
    const failed = journal.exclusive(async (writer) => {
      const composed = composeDiff(journal.ledger, [], { isGranted: () => false });
      // As a process writes that was stopped while it held the lock, and goes on after it was taken over.
      const other = composeDiff(stranger.ledger, [], { isGranted: () => false });
      const line = {
        kind: "diff",
        nonce: 1,
        txs: "CAE=",
        user_sig: "",
        post_state_root: base64(other.parts.root),
        n: 1,
      };
      appendFileSync(journalPath(folder), `${JSON.stringify(line)}\n`);
      await writer.appendDiff(signDiff(composed, "42", user), []);
    });
    expect(await codeOf(failed)).toBe("devshard_busy");
    expect(journal.ledger.nonce).toBe(1);
    await order(journal);
    expect(journal.ledger.nonce).toBe(2);
    await Promise.all([journal.close(), stranger.close()]);
  });

  it("is refused when a line in its middle was changed", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    for (let each = 0; each < 3; each += 1) await order(journal);
    await journal.close();
    const [first = "", , ...rest] = linesOf();
    writeFileSync(journalPath(folder), [first, ...rest].join("\n"));
    expect(await codeOf(DevshardJournal.open(folder, systemClock))).toBe("devshard_journal_damaged");
  });

  it("goes on from a snapshot, and reads older orders from the file for a host that lacks them", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    for (let each = 0; each < 1100; each += 1) void order(journal);
    await journal.refresh();
    await journal.refresh();
    const [third] = await journal.diffs(3, 3);
    const root = await journal.rootAt(3);
    await journal.close();
    expect(statSync(join(folder, "snapshot.json")).size).toBeGreaterThan(0);
    const again = await DevshardJournal.open(folder, systemClock);
    expect(again.ledger.nonce).toBe(1100);
    expect(await again.diffs(3, 3)).toEqual([third]);
    expect(await again.rootAt(3)).toEqual(root);
    expect(third?.nonce).toBe(3);
    await again.close();
  });

  it("is read as a whole when its snapshot is damaged", async () => {
    const journal = await DevshardJournal.create(folder, facts, systemClock);
    await order(journal);
    await journal.close();
    writeFileSync(join(folder, "snapshot.json"), '{"root":"00","offset":10');
    const again = await DevshardJournal.open(folder, systemClock);
    expect(again.ledger.nonce).toBe(1);
    await again.close();
  });
});

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
  } catch (error) {
    if (ZephError.is(error)) return error.code;
    throw error;
  }
  return undefined;
}
