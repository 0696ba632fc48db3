import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock, nanosClock } from "../../src/base/time.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { compileSources } from "../support/compile-sources.ts";
import { endpointsOf, type NativeClient, type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { chatBody } from "./sandbox-network-client.ts";

/** Nodes take timestamps from 60 s before to 30 s after the latest block, which is 1 to 6 s behind real time. */

let world: NativeWorld;
beforeEach(async () => {
  world = await startNativeWorld();
});
afterEach(() => world.stop());

const corrections = ({ events }: NativeClient) => events.filter(({ type }) => type === "clock-corrected");
/** Puts the client's clock this much ahead of the network's. */
const setClientAhead = (aheadMs: number) => world.network.chain.blocks.setSkew(-aheadMs);

describe("a computer whose clock is wrong", () => {
  it.each([-45_000, -20_000, -5_000, 5_000, 20_000])("by %i ms is still within the window", async (aheadMs) => {
    setClientAhead(aheadMs);
    const client = world.client();
    expect((await client.chat()).status).toBe(200);
    expect(world.posts()).toHaveLength(1);
    expect(corrections(client)).toEqual([]);
    // Told once, and only where it is more than the seconds that `Date` and the way take.
    await client.chat();
    const told = client.events.filter(({ type }) => type === "clock-off");
    expect(told).toEqual(
      Math.abs(aheadMs) > 10_000 ? [{ type: "clock-off", offsetMs: expect.closeTo(-aheadMs, -4) }] : [],
    );
  });

  it.each([-90_000, -70_000, 45_000, 90_000])("by %i ms is corrected from Date, once and for good", async (aheadMs) => {
    setClientAhead(aheadMs);
    const client = world.client();
    expect((await client.chat()).status).toBe(200);
    expect(world.posts().map(({ status }) => status)).toEqual([400, 200]);
    expect(world.network.chain.ledger.entries).toHaveLength(1);
    const [corrected] = corrections(client);
    expect(corrected).toMatchObject({ offsetMs: expect.closeTo(-aheadMs, -4) });

    for (let i = 0; i < 3; i += 1) expect((await client.chat()).status).toBe(200);
    expect(world.posts()).toHaveLength(5);
    expect(corrections(client)).toHaveLength(1);
    expect(client.events.filter(({ type }) => type === "clock-off")).toEqual([]);
    expect(world.network.violations).toEqual([]);
  });

  it.each([-90_000, 90_000])(
    "by %i ms: requests sent at once are all answered, after one correction",
    async (aheadMs) => {
      setClientAhead(aheadMs);
      const client = world.client();
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.chat()));
      expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
      expect(world.posts().length).toBeLessThanOrEqual(40);
      expect(corrections(client)).toHaveLength(1);
      expect(world.network.chain.ledger.entries).toHaveLength(20);
      expect(world.network.violations).toEqual([]);
    },
  );

  it("a node that would not believe the corrected clock either: one correction, then the truth", async () => {
    setClientAhead(90_000);
    for (const node of world.network.nodes) node.faults.always("request-too-old");
    const client = world.client();
    await client.chat();
    expect(client.error()).toMatchObject({ code: "clock_skew", hint: expect.stringContaining("Set the clock") });
    expect(world.posts()).toHaveLength(2);
  });
});

describe("a chain that stands still", () => {
  it("is told apart from a wrong clock, and asked once", async () => {
    world.network.chain.blocks.stall();
    world.clock.set(world.clock.nowMs() + 40_000);
    const client = world.client();
    const response = await client.chat();
    expect(response.status).toBe(503);
    expect(client.error()).toMatchObject({
      code: "chain_stalled",
      charged: "no",
      hint: expect.stringMatching(/not your clock.*zeph gonka status/),
    });
    expect(corrections(client)).toEqual([]);
    expect(world.posts()).toHaveLength(1);

    world.network.chain.blocks.resume();
    expect((await client.chat()).status).toBe(200);
  });

  it("is named also when the clock is wrong as well", async () => {
    setClientAhead(90_000);
    world.network.chain.blocks.stall();
    world.clock.set(world.clock.nowMs() + 40_000);
    const client = world.client();
    await client.chat();
    expect(client.error()).toMatchObject({ code: "chain_stalled" });
    expect(corrections(client)).toHaveLength(1);
    expect(world.posts()).toHaveLength(2);
    expect(world.network.chain.ledger.entries).toEqual([]);
  });

  it("is named also after another node had refused for a reason of its own", async () => {
    world.network.nodes[0]!.faults.next("not-allowed");
    world.network.chain.blocks.stall();
    world.clock.set(world.clock.nowMs() + 40_000);
    const client = world.client();
    await client.chat();
    expect(client.error()).toMatchObject({ code: "chain_stalled" });
    expect(world.posts()).toHaveLength(2);
  });

  it("a request that was long under way is signed anew: nothing is wrong with clock or chain", async () => {
    world.network.nodes[0]!.faults.next("request-too-old");
    const client = world.client();
    expect((await client.chat()).status).toBe(200);
    expect(world.posts()).toHaveLength(2);
    expect(corrections(client)).toEqual([]);
  });
});

describe("timestamps", () => {
  it("100 000 rise strictly, with the clock set back half-way", () => {
    const clock = manualClock();
    const nanos = nanosClock(clock, () => 0.7);
    let previous = 0n;
    let falls = 0;
    for (let i = 0; i < 100_000; i += 1) {
      if (i % 1_000 === 0) clock.set(clock.nowMs() + 1);
      if (i === 50_000) clock.set(clock.nowMs() - 3_600_000);
      const next = nanos.next();
      if (next <= previous) falls += 1;
      previous = next;
    }
    expect(falls).toBe(0);
  });

  it("requests at once, over several connections with one key, the clock set back between: all distinct", async () => {
    const headers: Headers[] = [];
    const { privateKeyHex } = world.account;
    const connect = () =>
      gonkaFetch({
        kind: "native",
        signer: RequestSigner.fromHex(privateKeyHex),
        endpoints: endpointsOf(world.network).slice(0, 1),
        clock: world.clock,
        random: () => 0,
        fetch: async (_input, init) => {
          if (init?.method === "POST") headers.push(new Headers(init.headers));
          return Response.json({});
        },
      });
    const connections = [connect(), connect(), connect()];
    for (const jumpMs of [0, -60_000, 5]) {
      world.clock.set(world.clock.nowMs() + jumpMs);
      const wave = Array.from({ length: 600 }, (_, index) => connections[index % 3]!);
      await Promise.all(
        wave.map((gonka) => gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body: chatBody() })),
      );
    }
    const timestamps = headers.map((sent) => BigInt(sent.get("x-timestamp")!));
    expect(timestamps).toHaveLength(1_800);
    expect(timestamps.every((value, index) => index === 0 || value > timestamps[index - 1]!)).toBe(true);
    expect(new Set(headers.map((sent) => sent.get("authorization"))).size).toBe(1_800);
  });

  it("several processes that sign one body with one key at the same time never make the same signature", async () => {
    const compiled = await compileSources(["transport/gonka-fetch.ts", "signer/signer.ts"]);
    const { privateKeyHex } = world.account;
    const program = `
      const { gonkaFetch } = await import(${JSON.stringify(join(compiled.folder, "transport/gonka-fetch.js"))});
      const { RequestSigner } = await import(${JSON.stringify(join(compiled.folder, "signer/signer.js"))});
      const gonka = gonkaFetch({
        kind: "native",
        signer: RequestSigner.fromHex(${JSON.stringify(privateKeyHex)}),
        endpoints: ${JSON.stringify(endpointsOf(world.network).slice(0, 1))},
        fetch: async (_url, init) => {
          if (init.method === "POST") console.log(init.headers.get("x-timestamp") + " " + init.headers.get("authorization"));
          return Response.json({});
        },
      });
      const send = () => gonka(gonka.baseURL + "/chat/completions", { method: "POST", body: "{}" });
      // The version of the node is asked once; then all wait for the same instant.
      await send();
      await new Promise((resolve) => setTimeout(resolve, Number(process.argv.at(-1)) - Date.now()));
      await Promise.all(Array.from({ length: 300 }, send));
    `;
    const startAt = String(Date.now() + 2_500);
    try {
      const outputs = await Promise.all(Array.from({ length: 4 }, () => runProgram(program, startAt)));
      const lines = outputs.flatMap((output) => output.trim().split("\n"));
      expect(lines).toHaveLength(4 * 301);
      expect(new Set(lines.map((line) => line.split(" ")[0])).size).toBe(lines.length);
      expect(new Set(lines.map((line) => line.split(" ")[1])).size).toBe(lines.length);
    } finally {
      await compiled.remove();
    }
  });
});

/** Runs a program in a process of its own and gives what it printed. */
function runProgram(program: string, argument: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-", argument], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(printed) : reject(new Error(`the process ended with ${code}`))));
    child.stdin.end(program);
  });
}
