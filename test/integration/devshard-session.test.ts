import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/base/time.ts";
import { chainClient } from "../../src/network/chain.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import { auditDevshard } from "../../src/transport/devshard-audit.ts";
import { devshardChat } from "../../src/transport/devshard-chat.ts";
import { finalizeDevshard } from "../../src/transport/devshard-close.ts";
import { openEscrows } from "../../src/transport/devshard-index.ts";
import { createEscrow, openSession, provePlace, settleEscrow } from "../../src/transport/devshard-open.ts";
import type { DevshardSession } from "../../src/transport/devshard-session.ts";
import { payoutOf } from "../../src/wire/devshard/settlement.ts";
import { devshardSigner } from "../../src/wire/devshard/signing.ts";

const AMOUNT = 6_000_000_000n;
const folders: string[] = [];
/** Pauses take hardly any time. */
const clock: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 20), signal),
};
let network: DevshardNetwork;
let model: string;

beforeAll(async () => {
  network = await startDevshard({ hosts: 4, inclusionDelayMs: 20 });
  model = network.chain.models[0] ?? "";
});
afterAll(async () => {
  await network.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function worldOf(user: { readonly privateKeyHex: string }, on = network) {
  const stateFolder = mkdtempSync(join(tmpdir(), "zeph-devshard-"));
  folders.push(stateFolder);
  // A host's machine is a node of the chain as well.
  const chain = chainClient([on.sourceUrl, on.hosts[0]?.url ?? ""], { fetch, clock });
  const signer = devshardSigner(Buffer.from(user.privateKeyHex, "hex"), { prefix: on.chain.prefix });
  return { chain, signer, stateFolder, fetch, clock };
}

async function opened(on = network) {
  const world = worldOf(on.createUser(), on);
  const params = await world.chain.params();
  const escrow = await createEscrow(world, { model, amount: AMOUNT, params });
  return { world, escrow, session: await openSession(world, escrow) };
}

function ask(session: DevshardSession, text: string, more: object = {}): Promise<Response> {
  const body = { model, messages: [{ role: "user", content: text }], max_tokens: 50, ...more };
  return devshardChat(Buffer.from(JSON.stringify(body)), { session, model, maxTokens: 4096 });
}

describe("a devshard from opening to settlement", () => {
  it("answers, and the chain pays what the client's own account says", async () => {
    const { world, escrow, session } = await opened();
    expect(openEscrows(world.stateFolder)).toHaveLength(1);
    expect(await provePlace(session)).toBe(true);

    const whole = (await (await ask(session, "hello")).json()) as { choices: { message: { content: string } }[] };
    expect(whole.choices[0]?.message.content).not.toBe("");
    expect(JSON.stringify(whole)).not.toContain("logprobs");
    const text = await (await ask(session, "a stream", { stream: true })).text();
    expect(text).toMatch(/^data: \{/);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(text).not.toContain("devshard_");
    await Promise.all(Array.from({ length: 12 }, async (_, index) => (await ask(session, `number ${index}`)).json()));

    const audit = await auditDevshard({ chain: world.chain, escrowId: escrow.escrowId, fetch, clock });
    expect(audit.findings).toEqual([]);
    expect(audit.ledger.nonce).toBe(session.ledger.nonce);

    const settlement = await finalizeDevshard(session);
    await settleEscrow(world, settlement, session.journal);
    const payout = payoutOf(settlement, AMOUNT);
    const paid = network.payments.find((each) => each.escrowId === escrow.escrowId);
    expect(paid).toMatchObject({
      why: "settled",
      refund: payout.refund,
      perSlot: payout.perSlot.map((amount) => ({ amount })),
    });
    expect(session.ledger.hostStats.reduce((sum, { cost }) => sum + cost, 0n)).toBeGreaterThan(0n);
    expect(openEscrows(world.stateFolder)).toEqual([]);
    await session.journal.close();
  });

  it("is the same on a network whose addresses begin otherwise", async () => {
    const other = await startDevshard({ hosts: 3, prefix: "cosmos" });
    try {
      other.hosts[1]?.host.useWarmKey();
      const { world, escrow, session } = await opened(other);
      expect(world.signer.address).toMatch(/^cosmos1/);
      for (const text of ["one", "two", "three"]) expect((await ask(session, text)).status).toBe(200);
      const audit = await auditDevshard({ chain: world.chain, escrowId: escrow.escrowId, fetch, clock });
      expect(audit.findings).toEqual([]);
      await settleEscrow(world, await finalizeDevshard(session), session.journal);
      expect([other.payments.map(({ why }) => why), other.violations]).toEqual([["settled"], []]);
      await session.journal.close();
    } finally {
      await other.stop();
    }
  });
});

describe("the chain, while its first node fails", () => {
  it("is read from the next one, and from none of another chain", async () => {
    const other = await startDevshard({ hosts: 1, chainId: "another-1" });
    try {
      const urls = [network.sourceUrl, other.sourceUrl, network.hosts[1]?.url ?? ""];
      const chain = chainClient(urls, { fetch, clock });
      const { address } = network.createUser();
      const number = await chain.accountNumber(address);
      network.chainFaults.set("dead");
      expect(await chain.accountNumber(address)).toBe(number);
      expect(other.requests.filter(({ path }) => path.includes(address))).toEqual([]);
      network.hosts[1]?.faults.set({ dead: true });
      await expect(chain.balance(address)).rejects.toMatchObject({ code: "unreachable" });
    } finally {
      network.chainFaults.clear();
      network.hosts[1]?.faults.clear();
      await other.stop();
    }
  });

  it.each(["lose-reply", "forget-tx", "dead"] as const)("takes a transaction once (%s)", async (fault) => {
    const before = network.chain.escrows().length;
    network.chainFaults.nextBroadcast(fault);
    const { session } = await opened();
    expect(network.chain.escrows()).toHaveLength(before + 1);
    await session.journal.close();
  });
});
