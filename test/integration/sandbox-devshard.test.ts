import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import { STATUS } from "../../src/wire/devshard/ledger.ts";
import { decodeTx, devshardTx } from "../../src/wire/devshard/messages.ts";
import { PROMPT, readJson, SmallClient } from "../support/devshard-client.ts";

const clock = manualClock();
let network: DevshardNetwork;
/** Chance of the hosts: below it everybody validates. */
let chance = 0.99;

beforeAll(async () => {
  network = await startDevshard({ clock, random: () => chance });
});
afterAll(() => network.stop());
beforeEach(() => {
  chance = 0.99;
  for (const { host, faults } of network.hosts) {
    faults.clear();
    host.useOwnKey();
  }
});

const faultsOf = (index: number) => {
  const host = network.hosts[index];
  if (host === undefined) throw new RangeError(`there is no host ${index}`);
  return host.faults;
};

describe("a host of the sandbox's devshard", () => {
  it("forgets nothing of a lost reply: the same request is served again", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).next({ loseReply: true });
    client.compose([client.start()]);
    await expect(client.post(1)).rejects.toThrow("fetch failed");
    expect(network.hosts[1]?.host.session(client.ledger.config.escrowId)?.ledger.nonce).toBe(1);
    const reply = await client.post(1);
    expect(reply.events.at(-2)).toBe("[DONE]");
    expect(reply.mempool.map(({ kind }) => kind).sort()).toEqual(["confirm", "finish"]);
  });

  it("keeps its receipt and no finish when the client leaves, and executes anew when it is asked again", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).next({ afterReceipt: "hang" });
    const leaving = new AbortController();
    client.compose([client.start()]);
    const chat = { nonce: 1, ...client.diffsWith(1, PROMPT) };
    const hanging = await client.request("chat/completions", chat, 1, leaving.signal);
    await hanging.body?.getReader().read();
    leaving.abort();
    expect(await mempoolOf(client, 1)).toEqual(["confirm"]);
    await clock.advance(1000);
    const reply = await client.post(1);
    expect(reply.mempool.map(({ kind }) => kind).sort()).toEqual(["confirm", "confirm", "finish"]);
  });

  it("has the shapes of a served, a failing and a cut execution", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).next(
      { afterReceipt: "fail" },
      { afterReceipt: "break" },
      { afterReceipt: "cut" },
      { cutBeforeMeta: true },
    );
    client.compose([client.start()]);
    const failed = await client.post(1);
    expect(failed.events).toHaveLength(1);
    expect(failed.receipt?.receipt).toBeDefined();
    const broken = await client.post(1);
    expect(broken.events).toHaveLength(2);
    expect(broken.text).toMatch(/\n\nFailed to process inference node response\n$/);
    expect(await client.post(1)).toMatchObject({ text: "", mempool: [] });
    expect(await mempoolOf(client, 1)).toEqual(["confirm"]);
    const cut = await client.post(1);
    expect(cut).toMatchObject({ text: "", mempool: [] });
    const served = await client.post(1);
    expect(served.events).toHaveLength(4);
    expect(served.events[1]).toContain("chat.completion");
  });

  it("withholds its state signature, gives a wrong one, or lies about its state", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).next({ stateSignature: "withheld" });
    expect((await client.send()).receipt).toEqual({ nonce: 1 });
    faultsOf(1).next({ stateSignature: "wrong" }, { stateRoot: "wrong" });
    const wrong = (await client.post(1, undefined, 1)).receipt;
    const other = (await client.post(1, undefined, 1)).receipt;
    const right = (await client.post(1, undefined, 1)).receipt;
    expect(wrong).toMatchObject({ nonce: 1, state_hash: (right as { state_hash?: string }).state_hash });
    expect(wrong?.state_sig).not.toBe(right?.state_sig);
    expect(other).toMatchObject({ nonce: 1, state_hash: Buffer.alloc(32, 1).toString("base64") });
  });

  it.each([
    [{ status: 429, message: "rate limit exceeded" }, null],
    [{ status: 503, message: "starting", error: "initializing" }, "initializing"],
    [{ status: 503, message: "no backend" }, null],
  ])("refuses with %j, and has done nothing", async (refuse, error) => {
    const client = await SmallClient.open(network);
    faultsOf(1).next({ refuse });
    client.compose();
    const answer = await client.request("chat/completions", { nonce: 1, ...client.diffsWith(1, undefined) }, 1);
    expect(answer.status).toBe(refuse.status);
    expect(answer.headers.get("x-devshard-error")).toBe(error);
    expect(await answer.json()).toEqual({ message: refuse.message });
    expect(network.hosts[1]?.host.session(client.ledger.config.escrowId)).toBeUndefined();
  });

  it("limits the requests of one sender, when told to", async () => {
    const client = await SmallClient.open(network);
    client.compose();
    faultsOf(1).set({ rateLimit: { perSecond: 1, burst: 2 } });
    const status = async () => (await client.post(1, undefined, 1)).status;
    expect([await status(), await status(), await status()]).toEqual([200, 200, 429]);
    await clock.advance(1000);
    expect([await status(), await status()]).toEqual([200, 429]);
  });

  it("judges a request by its own clock", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).set({ clockSkewMs: -45_000 });
    const reply = await client.send();
    expect(reply).toMatchObject({ status: 401, text: '{"message":"timestamp drift 45s exceeds maximum 30s"}\n' });
  });

  it("starts again with its state, or asks for every diff", async () => {
    const client = await SmallClient.open(network);
    await client.send();
    network.hosts[1]?.host.restart();
    expect((await client.post(1, undefined, 1)).receipt?.nonce).toBe(1);
    network.hosts[1]?.host.restart({ keepState: false });
    client.compose();
    const [, second] = (client.diffsWith(2, undefined) as { diffs: object[] }).diffs;
    const answer = await client.request("chat/completions", { nonce: 2, diffs: [second] }, 1);
    expect(await answer.json()).toEqual({
      message: "apply diff nonce 2: invalid nonce: must be sequential: expected 1, got 2",
    });
    expect((await client.post(2, undefined, 1)).receipt?.nonce).toBe(2);
  });

  it("remembers for 30 s that an escrow was not there", async () => {
    const client = await SmallClient.open(network);
    const path = `${network.hosts[0]?.url}/devshard/v4/sessions/7777/mempool`;
    const read = async () => (await fetch(path)).status;
    expect(await read()).toBe(500);
    network.chain.addEscrow(client.signer.address, 1_000_000n, "m", { id: "7777" });
    await clock.advance(29_000);
    expect(await read()).toBe(500);
    await clock.advance(2_000);
    expect(await read()).toBe(200);
  });

  it("writes odd streams: long lines, notices, comments, CRLF, characters in pieces", async () => {
    const client = await SmallClient.open(network);
    const prompt = { messages: [{ role: "user", content: "say héllo wörld" }], stream: true };
    faultsOf(1).next({ longLineBytes: 1_100_000, textLine: true, comments: true, crlf: true, splitUtf8: true });
    const reply = await client.send([client.start(prompt)], prompt);
    expect(reply.text).toContain("\r\n\r\ndata: ");
    expect(reply.text).toMatch(/^: keep-alive$/m);
    expect(reply.events).toContain("upstream notice, no JSON");
    expect(reply.events.some(({ length }) => length >= 1_100_000)).toBe(true);
    expect(reply.text).toContain("héllo");
    expect(reply.mempool).toHaveLength(2);
  });
});

describe("the watch over all hosts", () => {
  it("sees a nonce that was signed twice, and a key that got out", async () => {
    const client = await SmallClient.open(network);
    await client.send();
    const before = network.violations.length;
    const [first] = client.diffs.splice(0);
    client.ledger.takeBack();
    await client.send([client.start()]);
    expect(first).toBeDefined();
    const { escrowId } = client.ledger.config;
    expect(network.violations.slice(before)).toEqual([`two diffs were signed for nonce 1 of escrow ${escrowId}`]);
    const { privateKeyHex } = network.createUser();
    await fetch(`${network.sourceUrl}/${privateKeyHex}`);
    expect(network.violations.slice(before + 1)).toEqual(["a GET to chain holds part of a private key"]);
    expect(network.requests.at(-1)).toMatchObject({ to: "chain", path: "[key material]" });
  });
});

describe("hosts without a courier", () => {
  it("know only what the client brought them", async () => {
    const client = await SmallClient.open(network);
    await client.send([client.start()]);
    expect(network.hosts.map(({ host }) => host.session(client.ledger.config.escrowId)?.ledger.nonce)).toEqual([
      undefined,
      1,
      undefined,
    ]);
  });

  it("validate by chance, and vote until an answer is invalid and paid back", async () => {
    chance = 0;
    const client = await SmallClient.open(network);
    faultsOf(2).set({ verdict: "invalid" });
    faultsOf(0).set({ verdict: "invalid" });
    await client.send([client.start()]);
    await client.send();
    expect(client.ledger.inference(1n)?.status).toBe(STATUS.finished);
    const complaints = await settleOf(client, 2);
    expect(complaints.map(({ kind }) => kind)).toEqual(["validation"]);
    await client.send();
    expect(client.ledger.inference(1n)?.status).toBe(STATUS.challenged);
    const votes = await settleOf(client, 0);
    expect(votes.map(({ kind }) => kind)).toContain("vote");
    await client.send();
    expect(client.ledger.inference(1n)?.status).toBe(STATUS.invalidated);
    expect(client.ledger.hostStats[1]).toMatchObject({ invalid: 1, cost: 0n });
  });

  it("vote on a refusal when their clock says so, and not before", async () => {
    const client = await SmallClient.open(network);
    faultsOf(1).set({ dead: true });
    client.compose([client.start()]);
    await expect(client.post(1)).rejects.toThrow("fetch failed");
    const ask = async (to: number, reason: string) =>
      (await client.request("verify-timeout", { inference_id: 1, reason, ...client.diffsWith(1, PROMPT) }, to)).json();
    expect(await ask(2, "refused")).toEqual({ accept: false, voter_slot: 0 });
    await clock.advance(60_000);
    faultsOf(0).set({ timeoutVotes: "never" });
    expect(await ask(0, "refused")).toEqual({ accept: false, voter_slot: 0 });
    faultsOf(0).clear();
    const votes = [];
    for (const slot of [0, 2]) {
      const vote = (await ask(slot, "refused")) as { voter_slot: number; signature: string; accept: boolean };
      expect(vote).toMatchObject({ accept: true, voter_slot: slot });
      votes.push({ voterSlot: slot, accept: true, signature: Buffer.from(vote.signature, "base64") });
    }
    const reply = await client.send([devshardTx("timeout", { inferenceId: 1n, reason: 1, votes })]);
    expect(reply.status).toBe(200);
    expect(client.ledger.hostStats[1]?.missed).toBe(1);
  });

  it("sign with a warm key that the chain knows a grant for, and are refused without one", async () => {
    const client = await SmallClient.open(network);
    const warm = network.hosts[1]?.host.useWarmKey();
    await client.send([client.start()]);
    await client.send();
    expect(client.ledger.warmKeys.get(1)).toBe(warm?.address);
    expect(client.ledger.inference(1n)?.status).toBe(STATUS.finished);
    network.hosts[0]?.host.useWarmKey({ isGranted: false });
    await client.send([client.start()]);
    await client.send();
    expect(client.ledger.inference(3n)?.status).toBe(STATUS.pending);
  });
});

async function mempoolOf(client: SmallClient, index: number): Promise<string[]> {
  const url = `${network.hosts[index]?.url}/devshard/v4/sessions/${client.ledger.config.escrowId}/mempool`;
  const { txs } = await readJson<{ txs: string[] }>(url);
  return txs.map((tx) => decodeTx(Buffer.from(tx, "base64")).kind);
}

/** What a host offers once the jobs after its last request are done. */
async function settleOf(client: SmallClient, index: number) {
  await client.post(client.nonce, undefined, index);
  return (await client.post(client.nonce, undefined, index)).mempool.filter(({ kind }) => kind !== "confirm");
}
