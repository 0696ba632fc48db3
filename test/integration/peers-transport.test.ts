import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent, fetch as undiciFetch } from "undici";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FetchFunction } from "../../src/base/world.ts";
import { discoverEndpoints } from "../../src/network/discovery.ts";
import { endpointSource } from "../../src/transport/native.ts";
import { fastClock } from "../support/fast-clock.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";

/** Where requests go, by which way, and how they end (signed-transport, section 5; numbers are its items). */

let world: NativeWorld;
beforeEach(async () => {
  world = await startNativeWorld();
});
afterEach(() => world.stop());

const post = { method: "POST", body: "{}" } as const;

describe("reads", () => {
  it("are never signed, whatever the caller puts into the headers", async () => {
    const { gonka } = world.client();
    const headers = {
      authorization: "Bearer mine",
      "x-api-key": "mine",
      cookie: "a=b",
      "x-requester-address": "gonka1mine",
      "x-timestamp": "1",
    };
    for (const method of ["GET", "HEAD"]) await gonka(`${gonka.baseURL}/models?limit=2`, { method, headers });
    expect(world.network.requests.map(({ method }) => method)).toEqual(["GET", "HEAD"]);
    for (const request of world.network.requests) {
      expect(request).toMatchObject({ path: "/v1/models", query: "limit=2" });
      for (const name of Object.keys(headers)) expect(request.headers).not.toHaveProperty(name);
    }
    expect(world.network.violations).toEqual([]);
  });
});

describe("signed requests (6, 28, 30)", () => {
  it("carry four headers of ours and none of the node-to-node ones, whatever the caller sets", async () => {
    const forbidden = {
      "x-transfer-address": "gonka1other",
      "x-inference-id": "1",
      "x-seed": "2",
      "x-ta-signature": "3",
      "x-prompt-hash": "4",
      "x-validator-address": "5",
      "x-epoch-id": "6",
    };
    const headers = {
      ...forbidden,
      authorization: "Bearer mine",
      "x-stainless-lang": "js",
      "content-encoding": "gzip",
    };
    expect((await world.client().chat({}, { headers })).status).toBe(200);
    const [received] = world.posts();
    const ownOfFetch = /^(?:host|connection|accept.*|user-agent|content-length|sec-fetch-mode)$/;
    const ours = Object.keys(received!.headers).filter((name) => !ownOfFetch.test(name));
    expect(ours.sort()).toEqual(["authorization", "content-type", "x-requester-address", "x-timestamp"]);
    expect(world.network.violations).toEqual([]);
  });

  it("go to no foreign origin", async () => {
    const { gonka } = world.client();
    const [node] = world.network.nodes;
    const port = Number(new URL(node!.origin).port);
    for (const url of [
      "https://evil.example/v1/chat/completions",
      "https://gonka.invalid.evil.example/v1/chat/completions",
      "https://gonka.invalid@evil.example/v1/chat/completions",
      "http://gonka.invalid/v1/chat/completions",
      "https://gonka.invalid/v1x/chat/completions",
      "https://gonka.invalid/v1/../admin",
      "https://gonka.invalid:444/v1/chat/completions",
      `http://127.0.0.1:${Math.floor(port / 10)}/v1/chat/completions`,
      `https://127.0.0.1:${port}/v1/chat/completions`,
      `http://localhost:${port}/v1/chat/completions`,
      "/v1/chat/completions",
      "file:///v1/chat/completions",
    ]) {
      await expect(gonka(url, post)).rejects.toMatchObject({ code: "foreign_origin" });
      await expect(gonka(new URL(url, "https://evil.example"), post)).rejects.toMatchObject({ code: "foreign_origin" });
    }
    expect(world.network.requests).toEqual([]);
  });

  it("may name a node, and are still signed for the one they go to", async () => {
    const { gonka, chat } = world.client();
    await chat();
    const url = `${world.network.nodes[0]!.baseURL}/chat/completions`;
    const answer = await gonka(url, { method: "POST", body: world.posts()[0]!.body });
    expect(answer.status).toBe(200);
    expect(world.posts()[1]!.node).toBe("node-2");
    expect(world.network.violations).toEqual([]);
  });

  it.each([301, 302, 303, 307, 308])("are not carried along by a %i", async (status) => {
    const heard: string[] = [];
    const elsewhere = createServer((request, response) => {
      heard.push(`${request.method} ${request.headers.authorization}`);
      response.end("{}");
    }).listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    const { port } = elsewhere.address() as AddressInfo;
    const moved = createServer((_request, response) => {
      response.writeHead(status, { location: `http://127.0.0.1:${port}/v1/chat/completions` }).end();
    }).listen(0, "127.0.0.1");
    await once(moved, "listening");
    try {
      const baseURL = `http://127.0.0.1:${(moved.address() as AddressInfo).port}/v1`;
      const client = world.client({ endpoints: [{ ...endpointsOf(world.network)[0]!, baseURL }], maxAttempts: 1 });
      const response = await client.chat();
      expect(response.headers.get("x-zeph-error-code")).toBe("endpoint_moved");
      expect(response.headers.get("location")).toBeNull();
      expect(heard).toEqual([]);
    } finally {
      for (const server of [elsewhere, moved]) {
        server.close();
        server.closeAllConnections();
      }
    }
  });

  it("leave the caller's fetch and the global one as they are, and use only the one given (14)", async () => {
    const asked: string[] = [];
    const own: FetchFunction = (input, init) => {
      asked.push(`${init?.method ?? "GET"} ${new URL(String(input)).pathname}`);
      return undiciFetch(String(input), init as Parameters<typeof undiciFetch>[1]) as unknown as Promise<Response>;
    };
    const globalFetch = globalThis.fetch;
    const stub = vi.fn(() => Promise.reject(new Error("the global fetch was used")));
    vi.stubGlobal("fetch", stub);
    try {
      const discover = endpointSource({
        clock: world.clock,
        discover: () => discoverEndpoints({ sourceUrl: world.network.sourceUrl, fetch: own, clock: world.clock }),
      });
      const client = world.client({ discover, fetch: own });
      expect((await client.chat()).status).toBe(200);
      expect(stub).not.toHaveBeenCalled();
      expect(asked.slice(0, 2)).toEqual(["GET /v1/versions", "GET /v1/epochs/current/participants"]);
      expect(asked.at(-1)).toBe("POST /v1/chat/completions");
    } finally {
      vi.unstubAllGlobals();
    }
    expect(globalThis.fetch).toBe(globalFetch);
  });
});

describe("failover (12, 24, 35)", () => {
  it("every request may take another node, and a node that failed is left alone until it has cooled", async () => {
    const { chat, gonka } = world.client();
    await world.network.nodes[1]!.goDown();
    const answers = [];
    for (let i = 0; i < 6; i += 1) answers.push((await chat()).status);
    expect(answers).toEqual(Array(6).fill(200));
    expect(new Set(world.posts().map(({ node }) => node))).toEqual(new Set(["node-1", "node-3"]));
    expect(gonka.endpoints()[1]).toMatchObject({ failures: 1, successes: 0, lastOutcome: "unreachable" });

    await world.network.nodes[1]!.comeBack();
    await world.clock.advance(30_001);
    for (let i = 0; i < 3; i += 1) await chat();
    expect(gonka.endpoints()[1]).toMatchObject({ failures: 1, successes: 1, coolsUntilMs: undefined });
    expect(world.network.chain.ledger.entries).toHaveLength(9);
    expect(world.network.violations).toEqual([]);
  });

  it("with all nodes away: asked as often as allowed, with waits, and told in one error", async () => {
    for (const node of world.network.nodes) await node.goDown();
    const client = world.client({ maxAttempts: 5 });
    await expect(client.chat()).rejects.toMatchObject({
      code: "unreachable",
      charged: "no",
      attempts: Array(5).fill(expect.objectContaining({ code: "unreachable", detail: "connection refused" })),
    });
    expect(world.clock.sleepsMs).toHaveLength(2);
  });
});

describe("deadlines and abort (13, 35)", () => {
  /** Slow enough for a busy computer to answer within the deadlines below. */
  const FAST = 10;

  it("a node that hangs ends in time, is told as maybe charged, and is not asked again", async () => {
    const slow = await startNativeWorld({ clock: fastClock(FAST) });
    try {
      slow.network.nodes[0]!.faults.next("hang");
      const client = slow.client({ clock: fastClock(FAST), deadlines: { headersMs: 8_000 } });
      await expect(client.chat()).rejects.toMatchObject({
        code: "timeout_headers",
        charged: "maybe",
        detail: "node-1: after 8 s",
        hint: expect.stringContaining("second charge"),
      });
      expect(slow.posts()).toHaveLength(1);
    } finally {
      await slow.stop();
    }
  });

  it("a node that hangs when asked for its version is asked by the request itself, whose deadline begins then", async () => {
    // Shorter than the 3 s that the version is waited for.
    const slow = await startNativeWorld({ clock: fastClock(3) });
    try {
      slow.network.nodes[0]!.readFaults.always("hang");
      const client = slow.client({ clock: fastClock(3), deadlines: { headersMs: 2_000 } });
      expect((await client.chat()).status).toBe(200);
      expect(slow.posts().map(({ node }) => node)).toEqual(["node-1"]);
    } finally {
      await slow.stop();
    }
  });

  it("an answer that stops arriving ends with an error in the body, attempts and charge told", async () => {
    const slow = await startNativeWorld({ clock: fastClock(FAST) });
    try {
      slow.network.nodes[0]!.faults.next({ kind: "stall", afterEvents: 1 });
      const client = slow.client({ clock: fastClock(FAST), deadlines: { headersMs: 10_000, idleMs: 5_000 } });
      const response = await client.chat({ stream: true });
      expect(response.status).toBe(200);
      await expect(response.text()).rejects.toMatchObject({
        code: "timeout_idle",
        charged: "yes",
        attempts: [{ endpoint: "node-1", status: 200 }],
      });
      expect(client.error()).toMatchObject({ code: "timeout_idle", charged: "yes" });
      expect(slow.posts()).toHaveLength(1);
    } finally {
      await slow.stop();
    }
  });

  it("the total deadline in the middle of an attempt: told with the attempt, and that it may be charged", async () => {
    const slow = await startNativeWorld({ clock: fastClock(FAST) });
    try {
      slow.network.nodes[0]!.faults.next("capacity");
      slow.network.nodes[1]!.faults.next("hang");
      const client = slow.client({ clock: fastClock(FAST), deadlines: { totalMs: 10_000 } });
      await expect(client.chat()).rejects.toMatchObject({
        code: "timeout_total",
        charged: "maybe",
        attempts: [
          { endpoint: "node-1", code: "capacity_reached" },
          { endpoint: "node-2", code: "timeout_total", charged: "maybe" },
        ],
      });
    } finally {
      await slow.stop();
    }
  });

  it.each([
    ["cut", "stream_cut"],
    ["no-done", "stream_cut"],
    ["text-line", "stream_error"],
  ] as const)("a stream broken by %s is an error (%s), not an end, and not asked for again", async (kind, code) => {
    world.network.nodes[0]!.faults.next({ kind, afterEvents: 1 });
    const response = await world.client({ retryCharged: true }).chat({ stream: true });
    const error: unknown = await response.text().catch((thrown) => thrown);
    expect(error).toMatchObject({ code, charged: "yes" });
    expect(world.posts()).toHaveLength(1);
    expect(world.network.chain.ledger.entries).toHaveLength(1);
  });

  it("the caller's abort ends it with the caller's reason, before and while waiting, and is not retried", async () => {
    world.network.nodes[0]!.faults.always("hang");
    const reason = new Error("changed my mind");
    await expect(world.client().chat({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(world.posts()).toEqual([]);
    const controller = new AbortController();
    const client = world.client({
      onEvent: ({ type }) => {
        if (type === "attempt-started") setTimeout(() => controller.abort(reason), 100);
      },
    });
    await expect(client.chat({}, { signal: controller.signal })).rejects.toBe(reason);
    expect(world.posts()).toHaveLength(1);
  });
});

describe("TLS", () => {
  it("a certificate that signs itself is named, and trusted only through the caller's own fetch", async () => {
    const tls = await startNativeWorld({ transport: "https" });
    try {
      const client = tls.client();
      await expect(client.chat()).rejects.toMatchObject({
        code: "unreachable",
        charged: "no",
        detail: expect.stringContaining("its TLS certificate is self-signed"),
      });
      expect(tls.network.requests).toEqual([]);
      const dispatcher = new Agent({ connect: { ca: tls.network.certificatePem! } });
      const trusting: FetchFunction = (input, init) =>
        undiciFetch(String(input), {
          ...(init as Parameters<typeof undiciFetch>[1]),
          dispatcher,
        }) as unknown as Promise<Response>;
      expect((await tls.client({ fetch: trusting }).chat()).status).toBe(200);
      await dispatcher.close();
    } finally {
      await tls.stop();
    }
  });
});
