import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/base/time.ts";
import { ZephError } from "../../src/errors.ts";
import { chainClient } from "../../src/network/chain.ts";
import { readTransactions } from "../../src/network/chain-transaction.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import { auditDevshard } from "../../src/transport/devshard-audit.ts";
import { devshardChat } from "../../src/transport/devshard-chat.ts";
import { claimTimeouts, finalizeDevshard } from "../../src/transport/devshard-close.ts";
import { chainFolder, escrowFolder } from "../../src/transport/devshard-index.ts";
import { createEscrow, openSession, resumeOpening, settleEscrow } from "../../src/transport/devshard-open.ts";
import { rescueJournal } from "../../src/transport/devshard-rescue.ts";
import type { DevshardSession } from "../../src/transport/devshard-session.ts";
import { canonicalJson, promptHash } from "../../src/wire/devshard/canonical-json.ts";
import { STATUS } from "../../src/wire/devshard/ledger.ts";
import { fromDiffJson } from "../../src/wire/devshard/messages.ts";
import { devshardSigner } from "../../src/wire/devshard/signing.ts";

const AMOUNT = 6_000_000_000n;
const folders: string[] = [];
let network: DevshardNetwork;
let model: string;
let aheadMs = 0;
/** Time that a test can move on, and pauses that take none. */
const clock: Clock = {
  ...systemClock,
  nowMs: () => Date.now() + aheadMs,
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 20), signal),
};

beforeAll(async () => {
  network = await startDevshard({ hosts: 4, clock, validationRate: 0 });
  model = network.chain.models[0] ?? "";
});
afterEach(() => {
  for (const { faults } of network.hosts) faults.clear();
  expect(network.violations).toEqual([]);
});
afterAll(async () => {
  await network.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newWorld() {
  const stateFolder = mkdtempSync(join(tmpdir(), "zeph-devshard-"));
  folders.push(stateFolder);
  const signer = devshardSigner(Buffer.from(network.createUser().privateKeyHex, "hex"));
  return { chain: chainClient(network.sourceUrl, { fetch, clock }), signer, stateFolder, fetch, clock };
}

async function opened(more: Partial<ReturnType<typeof newWorld>> = {}) {
  const world = { ...newWorld(), ...more };
  const escrow = await createEscrow(world, { model, amount: AMOUNT, params: await world.chain.params() });
  return { world, escrow, session: await openSession(world, escrow) };
}

function ask(session: DevshardSession, text: string, more: object = {}): Promise<Response> {
  const body = { model, messages: [{ role: "user", content: text }], max_tokens: 50, ...more };
  return devshardChat(Buffer.from(JSON.stringify(body)), { session, model, maxTokens: 4096 });
}

/** The host whose turn the next order is. */
function next(session: DevshardSession, after = 1) {
  const address = session.addressOfNonce(session.ledger.nonce + after);
  const found = network.hosts.find((host) => host.address === address);
  if (found === undefined) throw new Error(`no host ${address}`);
  return found;
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

describe("a chat over a devshard", () => {
  it.each([
    ["is dead", { dead: true }],
    ["loses its reply", { loseReply: true }],
    ["fails behind its receipt", { afterReceipt: "fail" }],
    ["closes before the mempool", { cutBeforeMeta: true }],
    ["withholds its signature", { stateSignature: "withheld" }],
    ["signs something else", { stateSignature: "wrong" }],
    ["reports another state", { stateRoot: "wrong" }],
    ["is starting up", { refuse: { status: 503, message: "not yet", error: "initializing" } }],
    ["is at its limit", { refuse: { status: 429, message: "rate limit exceeded" } }],
    ["writes long lines", { longLineBytes: 2 * 1024 * 1024 }],
    ["writes CRLF, comments, and characters in pieces", { crlf: true, comments: true, splitUtf8: true }],
  ] as const)("is answered once when its host %s", async (_what, faults) => {
    const { world, session } = await opened();
    await (await ask(session, "first")).text();
    next(session).faults.set(faults);
    const stream = await (await ask(session, "täglich 🙂", { stream: true })).text();
    const pieces = stream.split("\n").filter((line) => line.startsWith("data: {"));
    const text = pieces.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? "").join("");
    expect(text.split("täglich 🙂")).toHaveLength(2);
    expect(stream.endsWith("data: [DONE]\n\n")).toBe(true);
    for (const host of network.hosts) host.faults.clear();
    await settleEscrow(world, await finalizeDevshard(session), session.journal);
    expect(network.payments.at(-1)?.why).toBe("settled");
    const txs = (await session.journal.diffs(1, session.ledger.nonce)).flatMap((diff) => fromDiffJson(diff).txs);
    expect(txs.filter(({ kind }) => kind === "finish")).toHaveLength(2);
    await session.journal.close();
  });

  it("stops before more is ordered when too few hosts compute the same state", async () => {
    const { session } = await opened();
    await (await ask(session, "first")).text();
    for (const { faults } of network.hosts) faults.set({ stateRoot: "wrong" });
    expect(await codeOf(ask(session, "second"))).toBe("devshard_diverged");
    const { nonce } = session.ledger;
    expect(await codeOf(ask(session, "third"))).toBe("devshard_diverged");
    expect(session.ledger.nonce).toBe(nonce);
    await session.journal.close();
  });

  it("hears the host to its end when the caller leaves, so that the answer can be ordered as finished", async () => {
    const { session } = await opened();
    next(session).faults.set({ chunkDelayMs: 5 });
    const response = await ask(session, "leave", { stream: true });
    await response.body?.cancel();
    while (session.inFlight.size > 0) await systemClock.sleep(10);
    await session.order();
    expect(session.ledger.inference(1n)?.status).toBe(STATUS.finished);
    await session.journal.close();
  });

  it("that was killed is answered by the same host when it is asked again, and is paid once", async () => {
    const { world, escrow, session } = await opened();
    const body = { max_tokens: 50, messages: [{ role: "user", content: "again" }], model };
    const prompt = canonicalJson(JSON.stringify(body));
    const { id, payload } = await session.start({ prompt, promptHash: promptHash(prompt), maxTokens: 50 }, model);
    for await (const _part of session.courier.deliver(id, payload)) {
      // The host finishes; this process ends before it told anybody.
    }
    await session.persistPending();
    await session.journal.close();

    const later = await openSession(world, escrow);
    const answer = (await (await ask(later, "again")).json()) as { choices: { message: { content: string } }[] };
    expect(answer.choices[0]?.message.content).toContain("again");
    expect(later.ledger.nonce).toBe(id);
    const settlement = await finalizeDevshard(later);
    expect(settlement.hostStats.filter(({ cost }) => cost > 0n)).toHaveLength(1);
    await later.journal.close();
  });

  it("that its caller gave up on before the first word is there for whoever asks the same again", async () => {
    const caller = new AbortController();
    let openGate = () => {};
    const gate = new Promise<void>((resolve) => {
      openGate = resolve;
    });
    // The caller leaves while the request is on its way; the host gets it afterwards.
    const held: typeof fetch = async (input, init) => {
      if (String(input instanceof Request ? input.url : input).endsWith("/chat/completions")) {
        caller.abort();
        await gate;
      }
      return fetch(input, init);
    };
    const { session } = await opened({ fetch: held });
    const body = Buffer.from(
      JSON.stringify({ model, messages: [{ role: "user", content: "patience" }], max_tokens: 50 }),
    );
    const left = devshardChat(body, { session, model, maxTokens: 50, signal: caller.signal });
    await expect(left).rejects.toMatchObject({ name: "AbortError" });
    openGate();
    while (session.takeInterrupted(promptHash(canonicalJson(body))) === undefined) await systemClock.sleep(10);
    session.keepInterrupted(1, (await session.journal.payload(1))?.payload ?? expect.fail("the payload is gone"));
    const text = await (await devshardChat(body, { session, model, maxTokens: 50 })).text();
    expect(text).toContain("patience");
    expect(session.ledger.nonce).toBe(1);
    await session.journal.close();
  });

  it("is refused in plain words while the network takes none, and costs one order to find out", async () => {
    const { session } = await opened();
    network.chain.params.requestsEnabled = false;
    try {
      expect(await codeOf(ask(session, "first"))).toBe("devshard_paused");
      expect(await codeOf(ask(session, "second"))).toBe("devshard_paused");
      expect(session.ledger.nonce).toBe(1);
    } finally {
      network.chain.params.requestsEnabled = true;
    }
    expect((await ask(session, "third")).status).toBe(200);
    await session.journal.close();
  });

  it("says so when this computer's clock is off", async () => {
    const { session } = await opened();
    for (const { faults } of network.hosts) faults.set({ clockSkewMs: 45_000 });
    expect(await codeOf(ask(session, "late"))).toBe("clock_skew");
    await session.journal.close();
  });

  it("whose host never took it is claimed back with the votes of the others", async () => {
    const { session } = await opened();
    const host = next(session);
    host.faults.set({ dead: true });
    await (await ask(session, "elsewhere")).text();
    expect(session.ledger.inference(1n)?.status).toBe(STATUS.pending);
    expect(await claimTimeouts(session)).toBe(0);
    aheadMs += 66_000;
    expect(await claimTimeouts(session)).toBe(1);
    expect(session.ledger.inference(1n)?.status).toBe(STATUS.timedOut);
    expect(session.ledger.hostStats.find(({ missed }) => missed === 1)?.slotId).toBe(1);
    await session.journal.close();
  });

  it("is refused before anything is ordered when the escrow has no room for it", async () => {
    const { session } = await opened();
    expect(await codeOf(ask(session, "much", { max_tokens: 6_000_000_000 }))).toBe("devshard_exhausted");
    expect(await codeOf(ask(session, "other", { model: "another" }))).toBe("model_not_found");
    expect(await codeOf(ask(session, "odd", { max_tokens: 0.5 }))).toBe("invalid_request");
    expect(session.ledger.nonce).toBe(0);
    await session.journal.close();
  });
});

describe("an escrow's end", () => {
  it("is reached without the hosts that are dead, as long as the others are enough", async () => {
    const { world, session } = await opened();
    await (await ask(session, "hello")).text();
    network.hosts[2]?.faults.set({ dead: true });
    const settlement = await finalizeDevshard(session);
    expect(settlement.signatures.size).toBe(3);
    await settleEscrow(world, settlement, session.journal);
    await session.journal.close();
  });

  it("is waited for when too few hosts sign, and goes on where it stopped", async () => {
    const { world, escrow, session } = await opened();
    await (await ask(session, "hello")).text();
    for (const { faults } of network.hosts.slice(0, 2)) faults.set({ dead: true });
    expect(await codeOf(finalizeDevshard(session))).toBe("devshard_no_quorum");
    const { nonce } = session.ledger;
    await session.journal.close();
    for (const { faults } of network.hosts) faults.clear();
    const later = await openSession(world, escrow);
    const settlement = await finalizeDevshard(later);
    expect(settlement.nonce).toBe(nonce);
    await settleEscrow(world, settlement, later.journal);
    await later.journal.close();
  });

  it("is reached from the hosts when the journal is lost", async () => {
    const { world, escrow, session } = await opened();
    for (let each = 0; each < 6; each += 1) await (await ask(session, `number ${each}`)).text();
    const { nonce } = session.ledger;
    await session.journal.close();
    rmSync(escrowFolder(world.stateFolder, escrow.chainId, escrow.escrowId), { recursive: true });
    const rescued = await rescueJournal(world, escrow.escrowId);
    expect(rescued).toMatchObject({ fromJournal: 0, fromHosts: nonce, unasked: [] });
    const later = await openSession(world, rescued.escrow);
    await settleEscrow(world, await finalizeDevshard(later), later.journal);
    expect(network.payments.at(-1)).toMatchObject({ escrowId: escrow.escrowId, why: "settled" });
    await later.journal.close();
  });
});

describe("the money of an opening", () => {
  it("is spent once, whenever the run before was killed", async () => {
    const world = newWorld();
    const params = await world.chain.params();
    // A node that takes the transaction and whose answer is lost, and a process that ends right after.
    const cut = { ...world, chain: { ...world.chain, broadcast: lost(world.chain), transaction: nothing } };
    expect(await codeOf(createEscrow(cut, { model, amount: AMOUNT, params }))).toBe("transaction_unclear");
    const escrow = await createEscrow(world, { model, amount: AMOUNT, params });
    expect(await resumeOpening(world)).toBeUndefined();
    expect(network.chain.escrows().filter(({ creator }) => creator === world.signer.address)).toHaveLength(1);
    const folder = chainFolder(world.stateFolder, escrow.chainId);
    expect(await readTransactions(folder)).toMatchObject([{ end: { kind: "included", code: 0 } }]);
  });

  it("is found again when only its journal is missing", async () => {
    const { world, escrow, session } = await opened();
    await session.journal.close();
    rmSync(join(world.stateFolder, "devshard", "open.json"));
    expect(await resumeOpening(world)).toMatchObject({ escrowId: escrow.escrowId });
  });

  it("stays where it is when the chain refuses", async () => {
    const world = newWorld();
    const params = await world.chain.params();
    expect(await codeOf(createEscrow(world, { model, amount: 1n, params }))).toBe("transaction_refused");
    expect(network.chain.escrows().some(({ creator }) => creator === world.signer.address)).toBe(false);
  });
});

describe("an audit", () => {
  it("needs no key, agrees with the client, and names who does not answer", async () => {
    const { world, escrow, session } = await opened();
    for (let each = 0; each < 5; each += 1) await (await ask(session, `number ${each}`)).text();
    network.hosts[3]?.faults.set({ dead: true });
    const audit = await auditDevshard({ chain: world.chain, escrowId: escrow.escrowId, fetch, clock });
    expect(audit.findings).toEqual([]);
    expect(audit.ledger.root().root).toEqual(session.ledger.root().root);
    expect(audit.hosts.filter(({ state }) => state === "unreachable")).toHaveLength(1);
    expect(await codeOf(auditDevshard({ chain: world.chain, escrowId: "999999", fetch, clock }))).toBe(
      "devshard_not_found",
    );
    await session.journal.close();
  });
});

function lost(chain: ReturnType<typeof chainClient>): typeof chain.broadcast {
  return async (txRaw) => {
    await chain.broadcast(txRaw);
    throw new ZephError("unreachable");
  };
}

async function nothing(): Promise<undefined> {
  // What a node says of a transaction that no block has: here, for ever.
  aheadMs += 10_000;
}
