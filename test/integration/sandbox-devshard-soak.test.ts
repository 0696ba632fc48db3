import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import type { HostFaults } from "../../src/sandbox/devshard/host-request.ts";
import { settleEscrowMessage } from "../../src/wire/devshard/chain-tx.ts";
import { STATUS } from "../../src/wire/devshard/ledger.ts";
import { devshardTx, TIMEOUT_REASON } from "../../src/wire/devshard/messages.ts";
import { payoutOf, settlementOf } from "../../src/wire/devshard/settlement.ts";
import { broadcast, PROMPT, SmallClient } from "../support/devshard-client.ts";
import { seededRandom } from "../support/seeded-random.ts";

const clock = manualClock();
const random = seededRandom(20_261_128);
/** Of the hosts: their jobs run beside the requests, so that the order of their draws is nobody's. */
const chance = seededRandom(7);
let network: DevshardNetwork;

beforeAll(async () => {
  // Seven slots of five hosts: two own two each. One signs with a warm key, a third has something wrong now and then.
  const slots = [0, 1, 2, 0, 3, 4, 1];
  network = await startDevshard({ hosts: 5, slots, clock, random: chance, validationRate: 5000 });
  network.hosts[3]?.host.useWarmKey();
  network.hosts[2]?.faults.set({ verdict: "invalid" });
});
afterAll(() => network.stop());

const FAULTS: readonly Partial<HostFaults>[] = [
  { afterReceipt: "fail" },
  { afterReceipt: "cut" },
  { cutBeforeMeta: true },
  { loseReply: true },
  { refuse: { status: 503, message: "starting" } },
];

const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

/** One chat; whatever goes wrong with its answer, its diff stands. */
async function chat(client: SmallClient): Promise<void> {
  const to = client.hostOf((client.nonce + 1) % client.ledger.slots);
  if (random() < 0.35) network.hosts[to]?.faults.next(pick(FAULTS));
  if (random() < 0.05) network.hosts[to]?.host.restart({ keepState: random() < 0.5 });
  await client.send([client.start()]).catch(() => undefined);
}

/** A visit to every host, as nobody else carries what they offer. */
async function visitAll(client: SmallClient): Promise<void> {
  for (const host of network.hosts.keys()) await client.post(client.nonce, undefined, host);
}

/** Times out what is still open, with the votes of all who are not the executor. */
async function timeOutOpen(client: SmallClient): Promise<void> {
  const open = client.ledger.live.filter(({ status }) => status <= STATUS.started);
  for (const { inferenceId, executorSlot, status } of open) {
    const reason = status === STATUS.pending ? "refused" : "execution";
    const executor = client.hostOf(executorSlot);
    const votes = [];
    for (const host of network.hosts.keys()) {
      if (host === executor) continue;
      const { payload } = client.diffsWith(Number(inferenceId), PROMPT) as { payload: object };
      const claim = {
        inference_id: Number(inferenceId),
        reason,
        ...client.diffsWith(client.nonce, undefined),
        payload,
      };
      const verdict = await (await client.request("verify-timeout", claim, host)).json();
      const { accept, signature, voter_slot } = verdict as { accept: boolean; signature: string; voter_slot: number };
      if (accept) votes.push({ voterSlot: voter_slot, accept, signature: Buffer.from(signature, "base64") });
    }
    await client.send([devshardTx("timeout", { inferenceId, reason: TIMEOUT_REASON[reason], votes })]);
  }
}

describe("a long session over faulty hosts", () => {
  it("ends with one state everywhere, and the chain pays what it says", async () => {
    const client = await SmallClient.open(network, 20_000_000n);
    for (let turn = 0; turn < 60; turn++) {
      await chat(client);
      if (turn % 10 === 9) await visitAll(client);
    }
    for (const { faults } of network.hosts) faults.clear();
    await clock.advance(1_300_000);
    for (let round = 0; round < 3; round++) {
      await visitAll(client);
      await client.send();
    }
    await timeOutOpen(client);
    expect(client.ledger.live.filter(({ status }) => status <= STATUS.started)).toEqual([]);
    const statuses = new Set(client.ledger.live.map(({ status }) => status));
    for (const status of [STATUS.finished, STATUS.validated, STATUS.timedOut]) expect(statuses).toContain(status);

    await client.finalize();
    const { root } = client.ledger.root();
    for (const { host } of network.hosts) {
      expect(Buffer.from(host.session(client.ledger.config.escrowId)?.ledger.root().root ?? [])).toEqual(
        Buffer.from(root),
      );
    }
    const settlement = settlementOf(client.ledger, client.signatures);
    await broadcast(network, client.signer, settleEscrowMessage(client.signer.address, settlement));
    network.chain.transactions();
    expect(network.payments).toMatchObject([{ why: "settled", ...payoutAsPaid(settlement) }]);
    expect(network.violations).toEqual([]);
  });
});

function payoutAsPaid(settlement: Parameters<typeof payoutOf>[0]): object {
  const { perSlot, refund } = payoutOf(settlement, 20_000_000n);
  return { refund, perSlot: perSlot.map((amount, slot) => ({ slot, amount })) };
}
