import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { nodeClient, type ReadNodeOptions } from "./node.ts";

const clock = manualClock();
const answering = (body: ConstructorParameters<typeof Response>[0], init?: ResponseInit) => async () =>
  new Response(body, init);

const read = (reading: ReadNodeOptions) => nodeClient("https://node.example/v1", reading).read("/v1/versions");

describe("a document of a node", () => {
  it("keeps every digit of a balance above 2^53", async () => {
    const body = `{"pubkey":"${Buffer.alloc(33, 2).toString("base64")}","balance":12345678901234567891,"denom":"ngonka"}`;
    const node = nodeClient("https://node.example/v1", { clock, fetch: answering(body) });
    const state = await node.account("gonka1any");
    expect(state).toMatchObject({ kind: "ready", account: { balanceNgonka: 12_345_678_901_234_567_891n } });
  });

  it.each(["https://n.example", "https://n.example/v1/", " https://n.example/v1/v1 ", "https://n.example/chain-api"])(
    "is found below %j",
    async (url) => {
      let asked = "";
      const fetch = async (input: unknown) => {
        asked = String(input);
        return new Response("{}");
      };
      await nodeClient(url, { clock, fetch }).identity();
      expect(asked).toBe("https://n.example/v1/identity");
    },
  );

  it("sends no header, follows no redirect, and tells the node's time", async () => {
    const date = "Wed, 01 Jul 2026 10:00:00 GMT";
    let sent: RequestInit | undefined;
    const { json, serverDateMs } = await read({
      clock,
      fetch: async (_url, init) => {
        sent = init;
        return new Response("{}", { headers: { date } });
      },
    });
    expect(sent).toMatchObject({ redirect: "manual" });
    expect(sent).not.toHaveProperty("headers");
    expect({ json, serverDateMs }).toEqual({ json: {}, serverDateMs: Date.parse(date) });
  });

  it.each([
    ["<html>", { status: 200 }, { detail: "https://node.example/v1/versions is not JSON", status: 200 }],
    [
      '{"error":"Not Found"}',
      { status: 404 },
      { detail: "https://node.example/v1/versions answers 404 Not Found", status: 404 },
    ],
    ["", { status: 307, headers: { location: "https://evil.example" } }, { status: 307 }],
  ])("%j with %j is bad_response", async (body, init, expected) => {
    await expect(read({ clock, fetch: answering(body, init) })).rejects.toMatchObject({
      code: "bad_response",
      ...expected,
    });
  });

  it("stops reading a document without end", async () => {
    const piece = new Uint8Array(1024 * 1024);
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(piece);
      },
    });
    await expect(read({ clock, fetch: answering(endless) })).rejects.toMatchObject({
      code: "response_too_large",
    });
    expect(pulled).toBeLessThan(40);
  });

  it("gives up after its own deadline, and at once when the caller does", async () => {
    const manual = manualClock(0, "manual");
    const fetch = (_url: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    const late = expect(read({ clock: manual, fetch, timeoutMs: 50 })).rejects.toMatchObject({
      code: "timeout_headers",
    });
    await manual.advance(50);
    await late;
    const reason = new Error("changed my mind");
    const controller = new AbortController();
    const aborted = expect(read({ clock: manual, fetch, signal: controller.signal })).rejects.toBe(reason);
    controller.abort(reason);
    await aborted;
    expect(manual.pendingTimers).toBe(0);
  });
});
