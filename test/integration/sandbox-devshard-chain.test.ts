import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import { createEscrowMessage, settleEscrowMessage } from "../../src/wire/devshard/chain-tx.ts";
import { payoutOf, settlementOf } from "../../src/wire/devshard/settlement.ts";
import { type DevshardSigner, devshardSigner } from "../../src/wire/devshard/signing.ts";
import {
  broadcast,
  broadcastBytes,
  readJson,
  SmallClient,
  signTx,
  type TxResponse,
} from "../support/devshard-client.ts";

const clock = manualClock();
let network: DevshardNetwork;
let signer: DevshardSigner;
let model: string;

beforeAll(async () => {
  // Five slots of three hosts; one of them owns slots 0, 2 and 4.
  network = await startDevshard({ clock, slots: [0, 1, 0, 2, 0], validationRate: 0, isOnePort: true });
  signer = devshardSigner(Buffer.from(network.createUser().privateKeyHex, "hex"));
  model = network.chain.models[0] ?? "";
});
afterAll(() => network.stop());
beforeEach(() => {
  network.chain.inclusionDelayMs = 0;
  network.chainFaults.clear();
});

const create = (amount = 1_000_000n) => createEscrowMessage(signer.address, amount, model);

async function included(hash: string): Promise<{ readonly status: number; readonly tx: TxResponse | undefined }> {
  const answer = await fetch(`${network.chainUrl}/cosmos/tx/v1beta1/txs/${hash}`);
  const { tx_response: tx } = (await answer.json()) as { tx_response?: TxResponse };
  return { status: answer.status, tx };
}

describe("the chain of a sandbox devshard", () => {
  it("creates an escrow, serves it, and pays to the last unit what the client computes", async () => {
    const client = await SmallClient.open(network);
    const before = network.hosts.map(({ address }) => network.chain.account(address)?.balance ?? 0n);
    for (let turn = 0; turn < 6; turn++) expect((await client.send([client.start()])).status).toBe(200);
    await client.finalize();
    const settlement = settlementOf(client.ledger, client.signatures);
    const payout = payoutOf(settlement, client.ledger.config.amount);
    const hash = await broadcast(network, client.signer, settleEscrowMessage(client.signer.address, settlement));
    const { tx } = await included(hash);
    expect(tx).toMatchObject({ code: 0, events: [{ type: "devshard_escrow_settled" }] });
    const payment = network.payments.at(-1);
    expect(payment?.perSlot.map(({ amount }) => amount)).toEqual(payout.perSlot);
    expect(payment?.refund).toBe(payout.refund);
    const paid = network.hosts.map(
      ({ address }, index) => (network.chain.account(address)?.balance ?? 0n) - (before[index] ?? 0n),
    );
    expect(paid.reduce((sum, each) => sum + each, 0n) + payout.refund).toBe(5_000_000n);
    const again = await signTx(network, client.signer, settleEscrowMessage(client.signer.address, settlement), {
      fee: 0n,
    });
    await broadcastBytes(network, again.txRaw);
    expect((await included(again.hash)).tx).toMatchObject({
      code: 1140,
      raw_log: expect.stringContaining("already settled"),
    });
    expect(network.payments.at(-1)).toBe(payment);
  });

  it("answers a broadcast first, and has the transaction in a block later", async () => {
    network.chain.inclusionDelayMs = 5_000;
    const hash = await broadcast(network, signer, create());
    expect((await included(hash)).status).toBe(404);
    await clock.advance(5_000);
    const { tx } = await included(hash.toLowerCase());
    expect(tx).toMatchObject({ code: 0, txhash: hash });
    expect(Number(tx?.height)).toBeGreaterThan(0);
  });

  it("never has one in a block whose time ran out, and may have the events in the logs", async () => {
    network.chain.inclusionDelayMs = 5_000;
    const timeoutNanos = BigInt(clock.nowMs() + 4_000) * 1_000_000n;
    const late = await signTx(network, signer, create(), { timeoutNanos });
    expect((await broadcastBytes(network, late.txRaw)).tx_response.code).toBe(0);
    const hash = await broadcast(network, signer, create());
    await clock.advance(60_000);
    expect((await included(late.hash)).status).toBe(404);
    network.chain.eventsIn = "logs";
    expect((await included(hash)).tx).toMatchObject({
      events: [],
      logs: [{ events: [{ type: "devshard_escrow_created" }] }],
    });
    network.chain.eventsIn = "events";
  });

  it("takes no transaction twice, and none that its rules forbid", async () => {
    const first = await signTx(network, signer, create());
    await broadcastBytes(network, first.txRaw);
    const refusalOf = async (changes: Parameters<typeof signTx>[3], by = signer, message = create()) => {
      const { tx_response } = await broadcastBytes(network, (await signTx(network, by, message, changes)).txRaw);
      return [tx_response.code, tx_response.raw_log];
    };
    expect((await broadcastBytes(network, first.txRaw)).tx_response).toMatchObject({ code: 19, txhash: first.hash });
    const timeoutNanos = BigInt(clock.nowMs() + 1_000) * 1_000_000n;
    expect(await refusalOf({ timeoutNanos })).toEqual([0, ""]);
    expect(await refusalOf({ timeoutNanos, gasLimit: 400_000n })).toEqual([
      18,
      expect.stringContaining("already used timeout"),
    ]);
    expect(await refusalOf({ timeoutNanos: BigInt(clock.nowMs()) * 1_000_000n })).toEqual([
      18,
      expect.stringContaining("already passed"),
    ]);
    expect(await refusalOf({ timeoutNanos: BigInt(clock.nowMs() + 601_000) * 1_000_000n })).toEqual([
      18,
      expect.stringContaining("exceeds 10m0s"),
    ]);
    expect(await refusalOf({ fee: 499_999n })).toEqual([13, expect.stringContaining("required: 500000ngonka")]);
    expect(await refusalOf({ chainId: "other" })).toEqual([
      4,
      expect.stringContaining("signature verification failed"),
    ]);
    expect(await refusalOf({}, signer, createEscrowMessage(network.hosts[0]?.address ?? "", 1n, model))).toEqual([
      8,
      expect.any(String),
    ]);
  });

  it.each([
    ["an amount below the minimum", () => create(1n), "amount 1 is not in"],
    [
      "a model without a group",
      () => createEscrowMessage(signer.address, 1_000_000n, "none"),
      "epoch group data not found",
    ],
  ])("executes %s to a failure that costs its fee and creates nothing", async (_, message, words) => {
    const before = network.chain.account(signer.address)?.balance ?? 0n;
    const hash = await broadcast(network, signer, message());
    expect((await included(hash)).tx).toMatchObject({
      code: 1139,
      events: [],
      raw_log: expect.stringContaining(words),
    });
    expect(network.chain.account(signer.address)?.balance).toBe(before - 1_000_000n);
  });

  it("refuses who is not on the list, when it creates and when it settles", async () => {
    const stranger = devshardSigner(Buffer.from(network.createUser({ isAllowed: false }).privateKeyHex, "hex"));
    const hash = await broadcast(network, stranger, createEscrowMessage(stranger.address, 1_000_000n, model));
    expect((await included(hash)).tx).toMatchObject({ code: 1139, raw_log: expect.stringContaining("not allowed") });

    const client = await SmallClient.open(network);
    await client.finalize();
    const { params } = network.chain;
    params.allowedCreators = params.allowedCreators.filter((address) => address !== client.signer.address);
    const settlement = settleEscrowMessage(client.signer.address, settlementOf(client.ledger, client.signatures));
    const refused = await broadcast(network, client.signer, settlement);
    expect((await included(refused)).tx).toMatchObject({ code: 1140, raw_log: expect.stringContaining("not allowed") });
  });

  it("settles in the epoch after, prunes in the one behind, and then knows the escrow no more", async () => {
    const kept = await SmallClient.open(network);
    const lost = await SmallClient.open(network);
    await kept.finalize();
    await lost.finalize();
    network.epoch.next();
    const settle = async (client: SmallClient) => {
      const message = settleEscrowMessage(client.signer.address, settlementOf(client.ledger, client.signatures));
      return (await included(await broadcast(network, client.signer, message))).tx;
    };
    expect(await settle(kept)).toMatchObject({ code: 0 });
    network.epoch.next({ prune: false });
    expect(await settle(lost)).toMatchObject({ code: 1140, raw_log: expect.stringContaining("window has passed") });
    network.epoch.prune();
    const { escrowId } = lost.ledger.config;
    expect(network.payments.find((payment) => payment.escrowId === escrowId)).toMatchObject({
      why: "pruned",
      refund: 0n,
      perSlot: Array.from({ length: 5 }, () => expect.objectContaining({ amount: 1_000_000n })),
    });
    const read = `${network.chainUrl}/productscience/inference/inference/devshard_escrow/${escrowId}`;
    expect(await readJson(read)).toEqual({ escrow: null, found: false });
    network.chain.missingEscrowAs = "404";
    expect((await fetch(read)).status).toBe(404);
    network.chain.missingEscrowAs = "found-false";
  });

  it("counts a signature for each slot, and takes a warm key while its grant stands", async () => {
    const client = await SmallClient.open(network);
    const warm = network.hosts[0]?.host.useWarmKey();
    await client.finalize();
    network.hosts[0]?.host.useOwnKey();
    const settlement = settlementOf(client.ledger, client.signatures);
    expect([...settlement.signatures.keys()]).toEqual([0, 1, 2, 3, 4]);
    const owner = network.hosts[0]?.address ?? "";
    const message = settleEscrowMessage(client.signer.address, settlement);
    network.chain.grant(owner, warm?.address ?? "", false);
    const refused = await included(await broadcast(network, client.signer, message));
    expect(refused.tx).toMatchObject({ code: 1140, raw_log: expect.stringContaining("signature of slot 0") });
    network.chain.grant(owner, warm?.address ?? "");
    expect((await included(await broadcast(network, client.signer, message))).tx).toMatchObject({ code: 0 });
  });

  it("loses answers, transactions and patience, when told to", async () => {
    const tx = await signTx(network, signer, create());
    network.chainFaults.nextBroadcast("dead", "lose-reply", "unavailable", "too-many");
    await expect(broadcastBytes(network, tx.txRaw)).rejects.toThrow("fetch failed");
    expect((await included(tx.hash)).status).toBe(404);
    await expect(broadcastBytes(network, tx.txRaw)).rejects.toThrow("fetch failed");
    expect((await included(tx.hash)).tx).toMatchObject({ code: 0 });
    for (const status of [503, 429]) {
      const answer = await fetch(`${network.chainUrl}/cosmos/tx/v1beta1/txs`, { method: "POST", body: "{}" });
      expect(answer.status).toBe(status);
    }
    const forgotten = await signTx(network, signer, create());
    network.chainFaults.nextBroadcast("forget-tx");
    expect((await broadcastBytes(network, forgotten.txRaw)).tx_response).toMatchObject({
      code: 0,
      txhash: forgotten.hash,
    });
    expect((await included(forgotten.hash)).status).toBe(404);
    expect((await broadcastBytes(network, forgotten.txRaw)).tx_response.code).toBe(0);
    expect((await included(forgotten.hash)).tx).toMatchObject({ code: 0 });
  });
});
