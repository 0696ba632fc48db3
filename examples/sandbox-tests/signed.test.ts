// The same code over signed requests: nodes that verify every signature, and a ledger of what was charged.
import { afterEach, beforeEach, expect, it } from "vitest";
import { gonkaFetch, RequestSigner } from "zeph";
import { type ManualClock, manualClock, type SandboxWithNetwork, startSandbox } from "zeph/testing";
import { summarize } from "./summarize.ts";

const MODEL = "sandbox/echo-1";
let sandbox: SandboxWithNetwork;
let clock: ManualClock;

beforeEach(async () => {
  // One clock for both sides: nodes compare a request's time with their chain's.
  clock = manualClock();
  sandbox = await startSandbox({ network: { nodes: 2 }, clock });
});
afterEach(() => sandbox.stop());

function connect() {
  const { nodes, createAccount } = sandbox.network;
  return gonkaFetch({
    kind: "native",
    signer: RequestSigner.fromHex(createAccount().privateKeyHex),
    endpoints: nodes.map(({ baseURL, address }) => ({ baseURL, address })),
    clock,
  });
}

it("goes to the next node when one is full, and pays once", async () => {
  sandbox.network.nodes[0]?.faults.always("capacity");
  expect(await summarize(connect(), MODEL, "The network grows.")).toContain("The network grows.");
  expect(sandbox.network.chain.ledger.charged).toHaveLength(1);
  expect(sandbox.network.violations).toEqual([]);
});

it("is not paid for twice when a node fails after it took the money", async () => {
  for (const node of sandbox.network.nodes) node.faults.always("no-ml-node");
  await expect(summarize(connect(), MODEL, "The network grows.")).rejects.toThrow("no summary: executor_failed");
  expect(sandbox.network.chain.ledger.charged).toHaveLength(1);
});
