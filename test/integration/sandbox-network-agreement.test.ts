import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { ATTACKER_URL, type Tampering } from "../../src/sandbox/blocks.ts";
import { CHECK_FAULTS, EXECUTOR_FAULTS, type NodeFaultKind } from "../../src/sandbox/classic/faults.ts";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { FRONT_ANSWERS } from "../../src/sandbox/classic/node.ts";
import { verifyParticipants } from "../../src/wire/participants.ts";
import { readNativeRefusal } from "../../src/wire/refusals.ts";
import { chatBody, echoEngine, signedCall } from "./sandbox-network-client.ts";

/** Two readings of the same reference, written apart: what the sandbox plays and what the protocol layer understands. */

const clock = manualClock();
let network: SandboxNetwork;

beforeEach(async () => {
  network = await startNetwork({ engine: echoEngine, clock });
});
afterEach(() => network.stop());

const get = async (path: string): Promise<unknown> => (await fetch(network.sourceUrl + path)).json();

async function verify(trusted: "trusted" | "untrusted") {
  const response = await get("/v1/epochs/current/participants");
  const height = network.chain.epochs.current()!.createdAtBlockHeight + 1;
  const commit = await get(`/chain-rpc/commit?height=${height}`);
  const validators = await get(`/chain-rpc/validators?height=${height}&page=1&per_page=100`);
  return verifyParticipants({
    response,
    commit,
    validators: [validators],
    chainId: network.chain.chainId,
    epochId: BigInt(network.chain.epochs.current()!.epochId),
    ...(trusted === "trusted" ? { trust: { validatorsHash: network.chain.validatorsHash } } : {}),
  });
}

describe.each(["restored", "v0.2.15"] as const)("participants in the %s shape", (shape) => {
  beforeEach(async () => {
    network.state.shape = shape;
    network.startEpoch(await network.participants());
  });

  it("are verified with the honest validators pinned, self-consistent without", async () => {
    const verified = await verify("trusted");
    expect(verified.label).toBe("verified");
    const urls = verified.participants.map(({ address, inferenceUrl }) => [address, inferenceUrl]);
    expect(urls).toEqual(network.nodes.map(({ address, origin }) => [address, origin]));
    expect((await verify("untrusted")).label).toBe("self-consistent");
  });

  const lies: readonly [Tampering, step: number][] = [
    ["fabricated", 1],
    ["wrong-store", 2],
    ["wrong-key", 1],
    ["previous-epoch", 3],
    ["flipped-proof", 2],
    ["loose-spec", 1],
    ["other-chain", 4],
    ["few-signatures", 5],
    ["forged-signatures", 5],
    ["other-validators", 6],
    ["no-proof", 6],
  ];
  it.each(lies)("are refused when the network lies: %s, at step %i", async (tampering, step) => {
    network.chain.tampering = tampering;
    await expect(verify("trusted")).rejects.toMatchObject({
      code: "proof_invalid",
      detail: expect.stringMatching(`^step ${step},`),
    });
  });

  it("come from the proven bytes when the readable copy names an attacker", async () => {
    network.chain.tampering = "attacker-json";
    const { label, participants, reasons } = await verify("trusted");
    expect(label).toBe("verified");
    expect(JSON.stringify(participants.map(({ inferenceUrl }) => inferenceUrl))).not.toContain(ATTACKER_URL);
    expect(reasons.join()).toContain("differs");
  });
});

describe("refusals", () => {
  const kinds = [FRONT_ANSWERS, CHECK_FAULTS, EXECUTOR_FAULTS].flatMap(
    (table) => Object.keys(table) as NodeFaultKind[],
  );
  const refusing = kinds.filter((kind) => kind !== "wallet-page");

  it.each(refusing)("%s: what the ledger took is never read as free", async (kind) => {
    const node = network.nodes[0]!;
    node.faults.next(kind);
    const timestampNanos = BigInt(clock.nowMs()) * 1_000_000n;
    const response = await signedCall({ account: network.createAccount(), node, body: chatBody(), timestampNanos });
    const read = readNativeRefusal({
      status: response.status,
      contentType: response.headers.get("content-type") ?? "",
      bodyText: await response.text(),
      path: "/chat/completions",
    });
    if (network.chain.ledger.charged.length > 0) expect(read.charged).not.toBe("no");
    // A finished inference is paid for good; an unfinished one may yet be refunded.
    if (network.chain.ledger.entries[0]?.state === "finished") expect(read.charged).toBe("yes");
  });
});
