// Tests of your own code against the sandbox: real HTTP, no account, no internet, no money.
import { afterEach, beforeEach, expect, it } from "vitest";
import { type GonkaFetch, gonkaFetch } from "zeph";
import { manualClock, type Sandbox, startSandbox } from "zeph/testing";
import { summarize } from "./summarize.ts";

const MODEL = "sandbox/echo-1";
let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await startSandbox({ broker: { recordBodies: true } });
});
afterEach(() => sandbox.stop());

function connect(key: string = sandbox.broker.keys.good): GonkaFetch {
  // Its pauses take no time, so that a retry does not slow the test down.
  const clock = manualClock();
  return gonkaFetch({ kind: "broker", baseURL: sandbox.broker.baseURL, apiKey: key, clock });
}

it("asks for a summary", async () => {
  expect(await summarize(connect(), MODEL, "The network grows.")).toContain("The network grows.");
  expect(sandbox.broker.requests).toMatchObject([
    { path: "/v1/chat/completions", key: "good", status: 200, body: { model: MODEL } },
  ]);
});

it("lives through one bad moment of the server", async () => {
  sandbox.broker.faults.next({ kind: "status", status: 503 });
  await summarize(connect(), MODEL, "The network grows.");
  expect(sandbox.broker.requests.map(({ status }) => status)).toEqual([503, 200]);
});

it("does not ask twice when the account is empty", async () => {
  const asked = summarize(connect(sandbox.broker.keys.outOfMoney), MODEL, "The network grows.");
  await expect(asked).rejects.toThrow("no summary: insufficient_quota");
  expect(sandbox.broker.requests).toHaveLength(1);
});
