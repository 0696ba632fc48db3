import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { TestDevshard, testSigner } from "../../../test/support/devshard-session.ts";
import { ProtobufWriter } from "../protobuf.ts";
import { applyDiff, composeDiff, signDiff } from "./compose.ts";
import { Ledger, LiveSet } from "./ledger.ts";
import { decodeTx, devshardTx, INFERENCE_RECORD, type InferenceRecord } from "./messages.ts";
import { devshardRules } from "./rules.ts";
import { payoutOf, settlementOf, verifySettlement } from "./settlement.ts";
import { recoverAddress } from "./signing.ts";

const rules = { isGranted: () => false };

test("the live set hashes what it holds, whatever was put in and taken out", () => {
  const step = fc.record({ id: fc.nat(300), votes: fc.nat(9), isDelete: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), fc.nat(20), (steps, every) => {
      const set = new LiveSet();
      const model = new Map<number, InferenceRecord>();
      steps.forEach(({ id, votes, isDelete }, index) => {
        if (isDelete && index % 3 === 0) {
          set.delete(BigInt(id));
          model.delete(id);
        } else {
          const record = { ...INFERENCE_RECORD.decode(new Uint8Array()), inferenceId: BigInt(id), votesValid: votes };
          set.set(record);
          model.set(id, record);
        }
        if (index % (every + 1) === 0) expect(set.digest()).toEqual(plainDigest(model));
      });
      expect(set.digest()).toEqual(plainDigest(model));
      expect(set.size).toBe(model.size);
    }),
    { numRuns: 20 },
  );
});

function plainDigest(records: ReadonlyMap<number, InferenceRecord>): Buffer {
  const map = new ProtobufWriter();
  for (const [, record] of [...records].sort(([a], [b]) => a - b)) map.messageField(1, INFERENCE_RECORD.encode(record));
  return createHash("sha256").update(map.finish()).digest();
}

describe("a host", () => {
  const devshard = new TestDevshard([0, 1, 2]);
  const compose = (ledger: Ledger, txs: Parameters<typeof composeDiff>[1]) =>
    signDiff(composeDiff(ledger, txs, rules), "42", devshard.user);

  it("keeps nothing of a diff that fails at its end", () => {
    const client = new Ledger(devshard.config);
    const host = new Ledger(devshard.config);
    const diff = compose(client, [devshard.start(1)]);
    const before = host.snapshot();
    expect(() => applyDiff(host, { ...diff, postStateRoot: new Uint8Array(32) }, rules)).toThrow(
      /^invalid user signature/,
    );
    const wrong = { ...diff, postStateRoot: new Uint8Array(32).fill(1) };
    const composed = { nonce: 1, txs: diff.txs, parts: { ...client.root(), root: wrong.postStateRoot } };
    const signed = signDiff(composed, "42", devshard.user);
    expect(() => applyDiff(host, signed, rules)).toThrow(
      `post_state_root does not match computed state root: diff ${"01".repeat(32)}, computed ${Buffer.from(diff.postStateRoot).toString("hex")}`,
    );
    expect(host.snapshot()).toEqual(before);
    applyDiff(host, diff, rules);
    expect(() => applyDiff(host, diff, rules)).toThrow("invalid nonce: must be sequential: expected 2, got 1");
  });

  it("takes a diff from nobody but the escrow's creator", () => {
    const client = new Ledger(devshard.config);
    const diff = signDiff(composeDiff(client, [], rules), "42", testSigner(0x77));
    expect(() => applyDiff(new Ledger(devshard.config), diff, rules)).toThrow(
      `expected ${devshard.user.address}, got ${testSigner(0x77).address}`,
    );
    const cut = { ...diff, userSig: diff.userSig.subarray(0, 64) };
    expect(() => applyDiff(new Ledger(devshard.config), cut, rules)).toThrow("invalid signature length: 64");
  });

  it("signs a settlement that adds up to the last unit", () => {
    const client = new Ledger(devshard.config);
    compose(client, [devshard.start(1)]);
    compose(client, [devshard.confirm(1), devshard.finish(1), devshard.start(2)]);
    compose(client, [devshardTx("finalize", {})]);
    for (let left = 3; left > 0; left--) compose(client, []);
    const content = settlementOf(client, new Map());
    const signatures = new Map(devshard.hosts.map(({ sign }, slot) => [slot, sign(stateOf(client))]));
    const settlement = { ...content, signatures };
    expect(verifySettlement(settlement, devshard.config, new Map())).toEqual({ holds: true, weight: 3, needed: 3 });
    const { perSlot, refund } = payoutOf(settlement, devshard.config.amount);
    // 12,000 of fees between three, and 90 for the one that answered; what was started and not finished comes back.
    expect(perSlot).toEqual([4000n, 4090n, 4000n]);
    expect(refund).toBe(1_000_000n - 12_090n);
  });

  function stateOf(ledger: Ledger): Uint8Array {
    const { root } = ledger.root();
    return new ProtobufWriter()
      .bytesField(1, root)
      .bytesField(2, Buffer.from("42"))
      .integerField(3, ledger.nonce)
      .finish();
  }
});

describe("what comes from elsewhere", () => {
  it("has rules for v3 and v4 and refuses to guess others", () => {
    const { config } = new TestDevshard([0]);
    expect(new Ledger({ ...config, version: "v3" }).root().root).not.toEqual(new Ledger(config).root().root);
    expect(() => new Ledger({ ...config, version: "v5" })).toThrow(/there are no rules for devshard v5/);
    expect(devshardRules("v4").thresholdFactorFrom).toBe("escrow");
  });

  it("keeps a transaction of a newer version byte for byte, and applies nothing of it", () => {
    // v5: a finish with observed_height 8 and served_hash 10, and a message of a kind that does not exist here.
    const finish = new TestDevshard([0]).finish(1);
    if (finish.kind !== "finish") throw new Error("a finish is a finish");
    const body = Buffer.concat([finish.bytes.subarray(finish.bytes.indexOf(0x08)), Buffer.from("40e807520101", "hex")]);
    const encoded = new ProtobufWriter().messageField(3, body).finish();
    expect(decodeTx(encoded)).toMatchObject({ kind: "finish" });
    expect(Buffer.from(decodeTx(encoded).bytes)).toEqual(Buffer.from(encoded));
    const heartbeat = Buffer.from("52020801", "hex");
    expect(decodeTx(heartbeat)).toEqual({ kind: "none", bytes: heartbeat });
  });

  it("a signature over something else recovers to somebody else", () => {
    const signer = testSigner(0x21);
    const signature = signer.sign(Buffer.from("one"));
    expect(recoverAddress(Buffer.from("one"), signature)).toBe(signer.address);
    expect(recoverAddress(Buffer.from("two"), signature)).not.toBe(signer.address);
    expect(JSON.stringify(signer)).not.toContain("21".padStart(64, "0"));
  });
});
