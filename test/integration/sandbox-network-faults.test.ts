import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import { type NodeFault, type NodeFaultKind, randomFaults } from "../../src/sandbox/classic/faults.ts";

import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { type CallOptions, chatBody, echoEngine, signedCall } from "./sandbox-network-client.ts";

const clock = manualClock();
let network: SandboxNetwork;
let account: SandboxAccount;
let tick = 0n;

function call(changes: Partial<CallOptions> = {}): Promise<Response> {
  tick += 1n;
  const timestampNanos = BigInt(clock.nowMs()) * 1_000_000n + tick;
  return signedCall({ account, node: network.nodes[0]!, body: chatBody(), timestampNanos, ...changes });
}

const say = "grüezi 👋 wohl";
const streamed = (fault: NodeFault | NodeFaultKind, changes: Partial<CallOptions> = {}) => {
  network.nodes[0]!.faults.next(fault);
  return call({ body: chatBody({ stream: true, messages: [{ role: "user", content: say }] }), ...changes });
};

function saidIn(text: string): string {
  const lines = text.split(/\r?\n/).filter((line) => line.startsWith("data: {"));
  const chunks = lines.map((line) => JSON.parse(line.slice("data: ".length)));
  return chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
}

beforeEach(async () => {
  network = await startNetwork({ engine: echoEngine, clock });
  account = network.createAccount();
});
afterEach(() => network.stop());

describe("faults of a connection", () => {
  it("drop: no answer at all", async () => {
    network.nodes[0]!.faults.next("drop");
    await expect(call()).rejects.toThrow("fetch failed");
    expect(network.requests[0]).toMatchObject({ fault: "drop" });
    expect(network.chain.ledger.entries).toEqual([]);
  });

  it("hang: no headers until the client gives up", async () => {
    network.nodes[0]!.faults.next("hang");
    const leaving = new AbortController();
    const hanging = call({ signal: leaving.signal });
    await expect.poll(() => network.requests.length).toBe(1);
    leaving.abort();
    await expect(hanging).rejects.toThrow("aborted");
    expect((await call()).status).toBe(200);
  });

  it("slow: waits by the clock, then answers", async () => {
    network.nodes[0]!.faults.next({ kind: "slow", delayMs: 700 });
    const before = clock.nowMs();
    expect((await call()).status).toBe(200);
    expect(clock.nowMs() - before).toBe(700);
  });

  it("redirect: 307 to wherever the test says; following it with the same signature is noted", async () => {
    network.nodes[0]!.faults.next({ kind: "redirect", location: `${network.nodes[1]!.baseURL}/chat/completions` });
    // Plain fetch drops Authorization on the way to another origin, and keeps it on the way to the same one.
    expect(await (await call()).json()).toEqual({ error: "Authorization is required" });
    network.nodes[0]!.faults.next({ kind: "redirect", location: "/v1/completions" });
    await call();
    expect(network.violations).toEqual(["POST /v1/completions at node-1 repeats an earlier signature"]);
  });

  it("going down refuses connections; coming back listens on the same port", async () => {
    const node = network.nodes[0]!;
    await node.goDown();
    await expect(call()).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
    await node.comeBack();
    expect((await call()).status).toBe(200);
  });
});

describe("faults of a stream", () => {
  it("cut: the connection ends in the middle", async () => {
    const response = await streamed({ kind: "cut", afterEvents: 3 });
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow("terminated");
    expect(network.chain.ledger.charged).toHaveLength(1);
  });

  it("stall: nothing more comes until the client gives up", async () => {
    const leaving = new AbortController();
    const response = await streamed("stall", { signal: leaving.signal });
    const reader = response.body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toMatch(/^data: \{/);
    leaving.abort();
    await expect(reader.read().then(() => reader.read())).rejects.toThrow("aborted");
  });

  it("no-done: everything but the last line", async () => {
    const text = await (await streamed("no-done")).text();
    expect(saidIn(text)).toBe(`You said: ${say}`);
    expect(text).not.toContain("[DONE]");
  });

  it("text-line: a bare line, then the end", async () => {
    const text = await (await streamed({ kind: "text-line", afterEvents: 1 })).text();
    expect(text).toMatch(/^data: \{.*\}\n\nFailed to process inference node response\. inferenceId = \S{88}\n$/);
  });

  it("long-line: one data line above 1 MiB", async () => {
    const text = await (await streamed("long-line")).text();
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBe(1024 * 1024 + 1);
    expect(saidIn(text)).toBe(`You said: ${say}`);
  });

  it("crlf: lines end as on Windows", async () => {
    const text = await (await streamed("crlf")).text();
    expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
    expect(saidIn(text)).toBe(`You said: ${say}`);
  });

  it("utf8-split: pieces end inside characters", async () => {
    const response = await streamed("utf8-split");
    const pieces: Buffer[] = [];
    for await (const piece of response.body!) pieces.push(Buffer.from(piece));
    expect(pieces.some((piece) => piece.toString("utf8").includes("\ufffd"))).toBe(true);
    expect(saidIn(Buffer.concat(pieces).toString("utf8"))).toBe(`You said: ${say}`);
  });

  it("duplicate-headers: copied twice, streaming or not", async () => {
    const stream = await streamed("duplicate-headers");
    expect(stream.headers.get("content-type")).toBe(
      "text/event-stream; charset=utf-8, text/event-stream; charset=utf-8",
    );
    await stream.text();
    network.nodes[0]!.faults.next("duplicate-headers");
    const whole = await call();
    expect(whole.headers.get("content-type")).toBe("application/json, application/json");
    expect((await whole.json()) as object).toHaveProperty("id");
  });

  it("an engine that fails is the model server's error: before the stream a 500, inside it a text line", async () => {
    await network.stop();
    let wordsFirst = 0;
    const failing = {
      ...echoEngine,
      async *complete() {
        for (let word = 0; word < wordsFirst; word += 1) yield { type: "text", text: "word " } as const;
        throw new Error("out of memory");
      },
    };
    network = await startNetwork({ engine: failing, clock });
    account = network.createAccount();
    expect(await (await call()).json()).toEqual({ error: expect.stringMatching(/code = 500.*out of memory/) });
    wordsFirst = 2;
    const text = await (await call({ body: chatBody({ stream: true }) })).text();
    expect(text).toMatch(/\n\nInference node response with an error\. code = 500/);
    expect(network.chain.ledger.entries.map((entry) => entry.state)).toEqual(["started", "started"]);
  });
});

describe("plans", () => {
  it("next comes before plan, plan before always, and clear ends all", async () => {
    const { faults } = network.nodes[0]!;
    faults.always("capacity");
    faults.plan(({ index }) => (index === 1 ? "no-executor" : undefined));
    faults.next("panic");
    expect((await call()).status).toBe(500);
    expect((await call()).status).toBe(503);
    expect((await call()).status).toBe(429);
    faults.clear();
    expect((await call()).status).toBe(200);
  });

  it("leaves reads alone, which have their own", async () => {
    const node = network.nodes[0]!;
    node.faults.always("nginx-503");
    expect((await fetch(`${node.baseURL}/status`)).status).toBe(200);
    node.readFaults.plan(({ path }) => (path.startsWith("/chain-rpc") ? "chain-rpc-disabled" : undefined));
    expect(await (await fetch(`${node.origin}/chain-rpc/status`)).text()).toBe("Chain RPC Disabled");
    expect((await fetch(`${node.baseURL}/status`)).status).toBe(200);
  });

  it("draws faults by weight, the same for the same chance", () => {
    const values = [0.05, 0.15, 0.29, 0.31, 0.99];
    const plan = randomFaults(() => values.shift() ?? 1, { drop: 0.1, capacity: 0.1, cut: 0.1 });
    const occasion = { method: "POST", path: "/", index: 0 };
    expect(Array.from({ length: 5 }, () => plan(occasion))).toEqual(["drop", "capacity", "cut", undefined, undefined]);
  });
});

describe("stopping", () => {
  it("ends hanging requests and gives every port back", async () => {
    network.nodes[0]!.faults.next("hang");
    const hanging = expect(call()).rejects.toThrow("fetch failed");
    await expect.poll(() => network.requests.length).toBe(1);
    await network.stop();
    await hanging;
    for (const node of network.nodes) await expect(fetch(`${node.baseURL}/status`)).rejects.toThrow("fetch failed");
    await network.stop();
  });
});
