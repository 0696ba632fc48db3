import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TestDevshard, testSigner } from "../../../test/support/devshard-session.ts";
import { applyDiff, composeDiff, composingOrder, replayDiff, signDiff } from "./compose.ts";
import { Ledger, STATUS } from "./ledger.ts";
import { type DevshardTx, devshardTx, fromDiffJson, toDiffJson } from "./messages.ts";
import { DevshardRefusal } from "./rules.ts";
import { applyTx } from "./transitions.ts";

const OWNERS = fc.constantFrom([0], [0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 3, 1, 4]);
const WARM = testSigner(0x31);
const STRANGER = testSigner(0x77);

/** One thing that may be offered for the next diff: most of it right, some of it not. */
interface Offer {
  readonly what: number;
  readonly back: number;
  readonly slot: number;
  readonly valid: boolean;
  readonly flaw: number;
}

const OFFER: fc.Arbitrary<Offer> = fc.record({
  what: fc.nat(6),
  back: fc.integer({ min: 1, max: 6 }),
  slot: fc.nat(6),
  valid: fc.boolean(),
  flaw: fc.nat(9),
});

function txOf(devshard: TestDevshard, nonce: number, { what, back, slot: number, valid, flaw }: Offer): DevshardTx {
  const id = Math.max(1, nonce - back);
  const slot = number % devshard.hosts.length;
  const escrowId = flaw === 0 || flaw === 1 ? "420" : "42";
  const signer = flaw === 1 || flaw === 2 ? { by: WARM } : flaw === 3 ? { by: STRANGER } : {};
  const made = { escrowId, ...signer };
  if (what === 0) return devshard.confirm(id, made);
  if (what === 1) return devshard.finish(id, { ...made, outputTokens: BigInt(back * 20) });
  if (what === 2) return devshard.validation(id, slot, valid, made);
  if (what === 3) return devshard.vote(id, slot, valid, made);
  if (what === 4) return devshard.confirm(id);
  if (what === 5) return flaw > 7 ? { kind: "none", bytes: new Uint8Array() } : devshard.finish(id);
  const voters = devshard.hosts.map((_, index) => ({ slot: index, ...(index === slot ? signer : {}) }));
  return devshard.timeout(id, valid ? 1 : 2, valid ? voters : voters.slice(1));
}

/** What went in is in one of four places. */
function accounted(ledger: Ledger): bigint {
  const reserved = ledger.live
    .filter(({ status }) => status === STATUS.pending || status === STATUS.started)
    .reduce((sum, { reservedCost }) => sum + reservedCost, 0n);
  return ledger.hostStats.reduce((sum, { cost }) => sum + cost, ledger.balance + ledger.fees + reserved);
}

const rules = { isGranted: (warm: string) => warm === WARM.address };

describe("whatever is offered to a composing client", () => {
  test("hosts that never saw what it skipped compute its root, and so does a journal's replay", () => {
    fc.assert(
      fc.property(
        OWNERS,
        fc.array(fc.array(OFFER, { maxLength: 5 }), { minLength: 4, maxLength: 14 }),
        (owners, offers) => {
          const devshard = new TestDevshard(owners);
          const client = new Ledger(devshard.config);
          const host = new Ledger(devshard.config);
          const replayed = new Ledger(devshard.config);
          for (const offer of offers) {
            const nonce = client.nonce + 1;
            const candidates = offer.map((each) => txOf(devshard, nonce, each));
            if (nonce % 3 !== 0) candidates.push(devshard.start(nonce));
            if (nonce === 12) candidates.push(devshardTx("finalize", {}), ...candidates.splice(-1));
            const before = client.root().root;
            const composed = attempt(() => composeDiff(client, candidates, rules));
            if (composed === undefined) {
              expect(client.root().root).toEqual(before);
              continue;
            }
            const diff = fromDiffJson(toDiffJson(signDiff(composed, "42", devshard.user)));
            expect(composed.txs.length + composed.skipped.length).toBe(candidates.length);
            expect(applyDiff(host, diff, rules).root).toEqual(composed.parts.root);
            replayDiff(replayed, diff, composed.warmKeys);
            expect(accounted(client)).toBe(devshard.config.amount);
            expect(replayed.snapshot()).toEqual(client.snapshot());
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test("taking the last diff back leaves the state of before", () => {
    fc.assert(
      fc.property(
        OWNERS,
        fc.array(fc.array(OFFER, { maxLength: 5 }), { minLength: 3, maxLength: 12 }),
        (owners, offers) => {
          const devshard = new TestDevshard(owners);
          const client = new Ledger(devshard.config);
          for (const offer of offers) {
            const nonce = client.nonce + 1;
            const candidates = [...offer.map((each) => txOf(devshard, nonce, each)), devshard.start(nonce)];
            const before = client.snapshot();
            const first = composeDiff(client, candidates, rules);
            client.takeBack();
            expect(client.snapshot()).toEqual(before);
            expect(composeDiff(client, candidates, rules).parts.root).toEqual(first.parts.root);
            const restored = Ledger.restore(devshard.config, JSON.parse(JSON.stringify(client.snapshot())));
            expect(restored.root()).toEqual(client.root());
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});

test("a refused transaction has changed nothing, even before the composer clears up", () => {
  fc.assert(
    fc.property(OWNERS, fc.array(OFFER, { minLength: 20, maxLength: 40 }), (owners, offers) => {
      const devshard = new TestDevshard(owners);
      const ledger = new Ledger(devshard.config);
      for (let id = 1; id <= 4; id++) composeDiff(ledger, [devshard.start(id)], rules);
      for (const offer of offers) {
        const before = { mark: ledger.mark(), root: ledger.root().root };
        const outcome = attempt(() => applyTx(ledger, txOf(devshard, 5, offer), rules) ?? "applied");
        if (outcome === undefined) expect({ mark: ledger.mark(), root: ledger.root().root }).toEqual(before);
      }
    }),
    { numRuns: 40 },
  );
});

describe("parallel work", () => {
  test("arrives in any order and in any diff, and never forks; who is paid does not depend on it", () => {
    const arrivals = fc.tuple(
      fc.shuffledSubarray([...Array(12).keys()], { minLength: 12 }),
      fc.array(fc.nat(4), { minLength: 24, maxLength: 24 }),
    );
    fc.assert(
      fc.property(OWNERS, arrivals, (owners, [order, sizes]) => {
        const devshard = new TestDevshard(owners, { autoSealEvery: 4, sealGraceSeconds: 3 });
        const client = new Ledger(devshard.config);
        const host = new Ledger(devshard.config);
        const send = (candidates: readonly DevshardTx[]): void => {
          const composed = composeDiff(client, composingOrder(candidates), rules);
          expect(composed.skipped).toEqual([]);
          applyDiff(host, signDiff(composed, "42", devshard.user), rules);
        };
        for (let id = 1; id <= 12; id++) send([devshard.start(id)]);
        // Both results of an inference arrive together or apart, in the order of nobody's choosing.
        let results = order.flatMap((index) => [devshard.finish(index + 1), devshard.confirm(index + 1)]);
        for (const size of sizes) {
          if (results.length === 0) break;
          const batch = results.slice(0, 2 * (size + 1));
          results = results.slice(batch.length);
          send(batch);
        }
        expect(client.snapshot()).toEqual(host.snapshot());
        const paid = client.hostStats.reduce((sum, { cost }) => sum + cost, 0n);
        expect(paid).toBe(12n * 90n);
        expect(accounted(client)).toBe(devshard.config.amount);
      }),
      { numRuns: 30 },
    );
  });
});

function attempt<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof DevshardRefusal) return undefined;
    throw error;
  }
}
