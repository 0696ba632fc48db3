import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { systemClock } from "../../src/base/time.ts";
import { usageBuckets } from "../../src/journal/ledger.ts";
import { parseStoreAddress, redisStore } from "../../src/journal/redis-store.ts";
import { type CompiledSources, compileSources } from "../support/compile-sources.ts";
import { COPY_KEY, eventually, type ServeCopy, startCopy } from "../support/serve-copy.ts";
import { type ScriptedEndpoint, scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";

const REDIS = "/usr/bin/redis-server";
const isInstalled = existsSync(REDIS);
const PASSWORD = "planted-password-of-the-store";

const ANSWER = JSON.stringify({
  ...{ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "owner/model" },
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 100, total_tokens: 105 },
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

describe.skipIf(!isInstalled)(
  `two copies of zeph serve and one store (needs ${REDIS}, of Debian's redis-server)`,
  () => {
    let sources: CompiledSources;
    let folder: string;
    let upstream: ScriptedEndpoint;
    let redis: ChildProcess;
    let port: number;
    let waiting: ServerResponse[] = [];
    let isGateOpen = true;
    const copies: ServeCopy[] = [];

    async function startRedis(): Promise<void> {
      redis = spawn(REDIS, ["-"], { cwd: folder, stdio: ["pipe", "pipe", "inherit"] });
      redis.stdin?.end(`port ${port}\nbind 127.0.0.1\nsave ""\nappendonly no\nrequirepass ${PASSWORD}\n`);
      let said = "";
      redis.stdout?.setEncoding("utf8").on("data", (text) => {
        said += text;
      });
      await eventually(() => said.includes("Ready to accept connections"));
    }
    async function killRedis(): Promise<void> {
      redis.kill("SIGKILL");
      await once(redis, "exit");
    }
    const openGate = () => {
      isGateOpen = true;
      for (const response of waiting.splice(0)) sendJson(response, 200, ANSWER);
    };
    const closeGate = () => {
      isGateOpen = false;
    };
    async function copy(dailyCents: number, ...args: string[]): Promise<ServeCopy> {
      const started = await startCopy({
        ...{ program: join(sources.folder, "cli/main.js"), upstream: upstream.baseURL, dailyCents },
        home: join(folder, `copy-${copies.length}`),
        args: ["--store", `redis://127.0.0.1:${port}`, ...args],
        env: { ZEPH_STORE_PASSWORD: PASSWORD },
      });
      copies.push(started);
      return started;
    }
    /** Looks into the store past the code under test. */
    async function ofStore<T>(look: (client: ReturnType<typeof createClient>) => Promise<T>): Promise<T> {
      const client = createClient({ url: `redis://127.0.0.1:${port}`, password: PASSWORD, RESP: 2 });
      await client.connect();
      try {
        return await look(client as ReturnType<typeof createClient>);
      } finally {
        client.destroy();
      }
    }
    const spentNano = () =>
      ofStore(async (client) => Number((await client.get(`zeph:spent:${new Date().toISOString().slice(0, 10)}`)) ?? 0));

    beforeAll(async () => {
      sources = await compileSources(["cli/main.ts"]);
      folder = await mkdtemp(join(tmpdir(), "zeph-store-"));
      port = await freePort();
      upstream = await scriptedEndpoint((_, response) => {
        if (isGateOpen) sendJson(response, 200, ANSWER);
        else waiting.push(response);
      });
    }, 60_000);
    afterAll(async () => {
      await upstream?.[Symbol.asyncDispose]();
      await sources?.remove();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(startRedis);
    afterEach(async () => {
      for (const each of copies.splice(0)) {
        await each.end("SIGKILL");
        expect(each.stdout() + each.stderr()).not.toMatch(/planted/);
      }
      openGate();
      if (redis.exitCode === null && redis.signalCode === null) await killRedis();
    });

    it("find what the other answered, hold one limit to the cent under load behind a proxy, and note each answer once", async () => {
      const [first, second] = await Promise.all([copy(3), copy(3, "--workers", "2")]);
      const model = "owner/model";
      const mine = { input: "My name is Ada.", model, max_output_tokens: 100 };
      const answer = (await (await first.post("/responses", mine)).json()) as { id: string };
      await eventually(async () => (await second.get(`/v1/responses/${answer.id}`)).status === 200);
      const referring = { input: "And?", model, max_output_tokens: 100, previous_response_id: answer.id };
      expect((await second.post("/responses", referring)).status).toBe(200);
      expect(JSON.stringify(upstream.seen.at(-1)?.body.messages)).toContain("My name is Ada.");
      const headers = { "x-api-key": COPY_KEY };
      expect((await fetch(`${second.baseURL}/responses/${answer.id}`, { method: "DELETE", headers })).status).toBe(200);
      expect((await first.get(`/v1/responses/${answer.id}`)).status).toBe(404);

      await using proxy = await roundRobin([first, second]);
      closeGate();
      const seenBefore = upstream.seen.length;
      let refused = 0;
      const asked = Array.from({ length: 80 }, async () => {
        const response = await proxy.chat();
        if (response.status === 402) refused += 1;
        return response.status;
      });
      // Three cents are thirty answers, of which two were given.
      await eventually(() => refused === 52 && waiting.length === 28);
      openGate();
      const statuses = await Promise.all(asked);
      expect(statuses.filter((status) => status === 200)).toHaveLength(28);
      expect(upstream.seen.length - seenBefore).toBe(28);
      await eventually(async () => (await spentNano()) === 30_000_000);
      expect((await first.chat()).status).toBe(402);
      expect(await (await second.chat()).text()).toContain("3.0 of 3 cents are spent today");
      expect(await first.end("SIGTERM")).toBe(0);
      expect(await second.end("SIGTERM")).toBe(0);
      // What the store keeps, read by a third.
      const tell = () => {};
      const address = parseStoreAddress(`redis://127.0.0.1:${port}`);
      const common = { maxDailyCents: 3, whenLost: "refuse", clock: systemClock, copy: "reader", tell } as const;
      const reader = await redisStore({ address, password: new Secret(PASSWORD), ...common });
      const [all] = usageBuckets(await reader.lines(), { by: "all", split: ["provider", "model", "client"] });
      await reader.close();
      expect(all).toMatchObject({
        ...{ provider: "box", model: "owner/model", client: "node" },
        ...{ requests: 84, errors: 54, outputTokens: 3_000, inputTokens: 150, answersOfUnknownCost: 0 },
        ...{ usd: expect.closeTo(0.03, 9), p50Ms: expect.any(Number) },
      });
      expect(await ofStore((client) => client.hGetAll("zeph:held"))).toEqual({});
    });

    it("survive the loss of one of them: what it held is free when it gives no sign of life", async () => {
      const [first, second] = await Promise.all([copy(1), copy(1)]);
      closeGate();
      // It holds everything, and dies.
      const lost = Array.from({ length: 10 }, () => first.chat().catch(() => undefined));
      await eventually(() => waiting.length === 10);
      await first.end("SIGKILL");
      await Promise.all(lost);
      waiting = [];
      const refusal = await second.chat();
      expect([refusal.status, await refusal.text()]).toEqual([402, expect.stringContaining("1.0 are held")]);
      // Half a minute later.
      await ofStore(async (client) => client.del(await client.keys("zeph:alive:*")));
      openGate();
      expect((await second.chat()).status).toBe(200);
      await eventually(async () => (await spentNano()) === 1_000_000);
    });

    it("survive the loss of the store: nothing passes, or each goes on alone; nothing is counted twice or forgotten", async () => {
      // One begins before there is a store.
      await killRedis();
      const careful = await copy(2);
      expect((await careful.chat()).status).toBe(503);
      expect((await careful.get("/health")).status).toBe(200);
      expect(careful.stderr()).toContain(`The shared store at 127.0.0.1:${port} is lost`);
      await startRedis();
      const free = await copy(2, "--store-lost", "pass");
      await eventually(() => careful.stderr().includes("is there again"));
      for (let count = 0; count < 5; count += 1) expect((await free.chat()).status).toBe(200);
      expect((await careful.chat()).status).toBe(200);
      await eventually(async () => (await spentNano()) === 6_000_000);
      // It learns what the others have spent with its next request.
      expect((await free.chat()).status).toBe(200);
      await eventually(async () => (await spentNano()) === 7_000_000);
      await killRedis();
      const refusal = await careful.chat();
      expect([refusal.status, refusal.headers.get("x-zeph-error-code")]).toEqual([503, "service_unavailable"]);
      const alone: number[] = [];
      for (let count = 0; count < 16; count += 1) alone.push((await free.chat()).status);
      // It knows of seven answers, and the limit is twenty.
      expect(alone).toEqual([...Array<number>(13).fill(200), 402, 402, 402]);
      await eventually(() => careful.stderr().split("is lost").length === 3 && free.stderr().includes("goes on alone"));

      // It comes back empty: those who know what was spent tell it.
      await startRedis();
      await eventually(async () => (await spentNano()) === 20_000_000);
      await eventually(() => careful.stderr().split("is there again").length === 3);
      await eventually(async () => (await careful.chat()).status === 402);
      expect((await free.chat()).status).toBe(402);
      expect(await spentNano()).toBe(20_000_000);
    });

    it("say what is wrong with the way in, and let pass what no limit holds", async () => {
      const told: string[] = [];
      const store = await redisStore({
        ...{ address: parseStoreAddress(`redis://127.0.0.1:${port}`), password: new Secret("planted-wrong-one") },
        ...{
          maxDailyCents: 0,
          whenLost: "refuse",
          clock: systemClock,
          copy: "stranger",
          tell: (words) => told.push(words),
        },
      });
      await store.reserve("1", { usd: 1, isGuess: false });
      await store.close();
      expect(told.join("\n")).toMatch(/lost \(WRONGPASS.*requests pass/);
      expect(told.join("\n")).not.toMatch(/planted/);
    });
  },
);

describe("the address of a store", () => {
  it("is understood", () => {
    const plain = { host: "127.0.0.1", port: 6379, user: undefined, database: 0, isEncrypted: false };
    expect(parseStoreAddress("redis://127.0.0.1")).toEqual(plain);
    expect(parseStoreAddress("rediss://me@[::1]:7000/3")).toEqual({
      ...{ host: "::1", port: 7000, user: "me", database: 3, isEncrypted: true },
    });
  });

  it.each(["redis://u:planted@h", "http://h", "redis://", "redis:", "h:6379", "redis://h/x", "redis://h?a=b", ""])(
    "%s is none",
    (text) => {
      expect(() => parseStoreAddress(text)).toThrow(/--store|password/);
      expect(() => parseStoreAddress(text)).not.toThrow(/planted/);
    },
  );
});

/** A proxy that gives each connection to the next copy. */
async function roundRobin(copies: readonly ServeCopy[]) {
  let turn = 0;
  const server: Server = createServer((socket) => {
    turn += 1;
    const { port } = new URL(copies[turn % copies.length]?.baseURL ?? "");
    const inner = connect(Number(port), "127.0.0.1");
    socket.pipe(inner).pipe(socket);
    for (const each of [socket, inner]) each.on("error", () => each.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    chat: () =>
      fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${COPY_KEY}`, connection: "close" },
        body: JSON.stringify({ messages: [{ role: "user", content: "hi" }], max_tokens: 100 }),
      }),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}
