import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { manualClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import type { Discovery } from "../network/discovery.ts";
import { RequestSigner } from "../signer/signer.ts";
import type { Endpoint } from "../wire/endpoint.ts";
import type { NativeConnection } from "./connection.ts";
import { errorBehind } from "./exchange.ts";
import { gonkaFetch } from "./gonka-fetch.ts";
import { type CachedEndpoints, endpointSource } from "./native.ts";
import type { TransportEvent } from "./policy.ts";

const KEY = `${"0".repeat(63)}1`;
const ADDRESS = "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6";
const NODES = ["a", "b", "c"].map((name): Endpoint & { address: string } => ({
  baseURL: `https://${name}.example/v1`,
  address: ADDRESS,
}));

/** What nodes answer, by host and path; a path that is not listed is answered with 404. */
type Answers = Readonly<Record<string, (request: Request) => Response | Promise<Response>>>;

function connect(answers: Answers, changes: object = {}) {
  const clock = manualClock();
  const requests: Request[] = [];
  const events: TransportEvent[] = [];
  const connection = {
    kind: "native",
    privateKey: KEY,
    endpoints: NODES,
    clock,
    random: () => 0,
    onEvent: (event: TransportEvent) => events.push(event),
    fetch: async (input: string | URL | Request, init?: RequestInit) => {
      const request = new Request(input, init);
      requests.push(request);
      const { host, pathname } = new URL(request.url);
      const answer = answers[`${host}${pathname}`] ?? answers[pathname];
      return answer === undefined ? new Response("{}", { status: 404 }) : answer(request);
    },
    ...changes,
  };
  const gonka = gonkaFetch(connection as NativeConnection);
  const chat = () => gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body: "{}" });
  const posts = () => requests.filter(({ method }) => method === "POST").map(({ url }) => new URL(url).host[0]);
  return { gonka, chat, clock, requests, posts, events };
}

const CHAT = "/v1/chat/completions";
const json = (body: unknown, init: ResponseInit = {}) => Response.json(body, init);
const version = (api: string) => () => json({ api_version: { version: api } });
const rejection = (work: Promise<unknown>) => work.then(() => undefined).catch((error: ZephError) => error);

describe("a connection that lives long", () => {
  it("reads a list of nodes once, and a new one again", async () => {
    let read = 0;
    const counted = (nodes: readonly Endpoint[]) =>
      new Proxy(nodes, {
        get(target, key) {
          if (key === "map") read += 1;
          return Reflect.get(target, key);
        },
      });
    let list = counted(NODES);
    const { chat } = connect(
      { "/v1/versions": version("0.2.13"), [CHAT]: () => json({}) },
      { endpoints: undefined, discover: async () => list },
    );
    for (let i = 0; i < 5; i += 1) expect((await chat()).status).toBe(200);
    expect(read).toBe(1);
    list = counted(NODES.slice(1));
    for (let i = 0; i < 5; i += 1) expect((await chat()).status).toBe(200);
    expect(read).toBe(2);
  });
});

describe("a pool in which some nodes take no signed requests", () => {
  it("goes on to the others, and leaves the closed node alone from then on", async () => {
    const { chat, posts, requests, gonka } = connect({
      "a.example/v1/versions": version("0.2.14"),
      "/v1/versions": version("0.2.13"),
      [CHAT]: () => json({}),
    });
    for (let i = 0; i < 6; i += 1) expect((await chat()).status).toBe(200);
    expect(posts()).toEqual(["b", "c", "b", "c", "b", "c"]);
    expect(requests.filter(({ url }) => url.startsWith("https://a.example"))).toHaveLength(1);
    expect(gonka.endpoints()[0]).toMatchObject({ lastOutcome: "native_closed", coolsUntilMs: expect.any(Number) });
  });

  it("waits for the open node rather than call the network closed", async () => {
    let asked = 0;
    const busy = () => {
      asked += 1;
      return asked === 1 ? json({ error: "Transfer Agent capacity reached" }, { status: 429 }) : json({});
    };
    const { chat, posts } = connect(
      { "a.example/v1/versions": version("0.2.14"), "/v1/versions": version("0.2.13"), [CHAT]: busy },
      { endpoints: NODES.slice(0, 2) },
    );
    expect((await chat()).status).toBe(200);
    expect(posts()).toEqual(["b", "b"]);
  });

  it("is closed when all of them are, and no prompt leaves", async () => {
    const { chat, posts } = connect({ "/v1/versions": version("0.2.14") });
    expect(await rejection(chat())).toMatchObject({ code: "native_closed", hint: expect.stringMatching(/broker/) });
    expect(posts()).toEqual([]);
  });

  it("a 410 ends its own request, as every upgraded host answers the same, but not the next one", async () => {
    const gone = () => json({ error: "deprecated", message: "classic inference is deprecated" }, { status: 410 });
    const { chat, posts } = connect({ [`a.example${CHAT}`]: gone, [CHAT]: () => json({}) });
    expect(errorBehind(await chat())).toMatchObject({ code: "native_closed" });
    for (let i = 0; i < 3; i += 1) expect((await chat()).status).toBe(200);
    expect(posts()).toEqual(["a", "b", "c", "b"]);
  });
});

describe("the nodes of a connection", () => {
  const chatted = { [CHAT]: () => json({}) };
  const discovery: Discovery = {
    endpoints: NODES,
    skipped: [{ address: "gonka1x", reason: "excluded" }],
    retired: false,
    apiVersionText: "0.2.13",
    label: "self-consistent",
    reasons: [],
    epochId: 1n,
  };

  it("may be written as the config and the official SDK do, and be what a discovery found", async () => {
    const asWritten = NODES.map(({ baseURL, address }) => ({ url: baseURL.slice(0, -"/v1".length), address }));
    for (const changes of [
      { endpoints: asWritten },
      { endpoints: discovery },
      { endpoints: undefined, discover: async () => asWritten },
      { endpoints: undefined, discover: async () => discovery },
    ]) {
      const { chat, posts } = connect(chatted, changes);
      for (let i = 0; i < 3; i += 1) expect((await chat()).status).toBe(200);
      expect(posts()).toEqual(["a", "b", "c"]);
    }
  });

  it("a discovery without nodes says why, when the connection is made", () => {
    const retired = { ...discovery, endpoints: [], retired: true, apiVersionText: "0.2.14" };
    expect(thrownBy(() => connect({}, { endpoints: retired }))).toMatchObject({ code: "native_closed" });
    const none = { ...discovery, endpoints: [] };
    expect(thrownBy(() => connect({}, { endpoints: none }))).toMatchObject({
      code: "no_endpoints",
      detail: "gonka1x: excluded",
    });
  });

  it.each([
    ["wrong in one character", ADDRESS.replace("w508", "w509"), {}, /^node a\.example: its checksum is wrong/],
    ["of another network", ADDRESS, { prefix: "cosmos" }, /begin with cosmos1/],
    ["missing", undefined, {}, /^node a\.example: it is empty/],
  ])("an address that is %s is refused when the connection is made", (_what, address, changes, detail) => {
    const endpoints = [{ baseURL: "https://a.example/v1", address }];
    expect(thrownBy(() => connect({}, { endpoints, ...changes }))).toMatchObject({
      code: "invalid_address",
      detail: expect.stringMatching(detail),
    });
  });

  it("a prefix that is none, and an address that is no text, are refused then as well", () => {
    expect(thrownBy(() => connect({}, { prefix: "Gonka" })).code).toBe("invalid_prefix");
    expect(thrownBy(() => connect({}, { endpoints: ["https://a.example"] })).code).toBe("wrong_url");
  });

  it("a signer's own prefix counts, for named nodes and for those of a source", async () => {
    const signer = RequestSigner.fromHex(KEY, { prefix: "cosmos" });
    const named = [{ baseURL: "https://a.example/v1", address: signer.address }];
    expect((await connect(chatted, { privateKey: undefined, signer, endpoints: named }).chat()).status).toBe(200);

    const participants = [{ index: signer.address, inference_url: "https://a.example", models: [] }];
    const answers = {
      ...chatted,
      "/v1/versions": version("0.2.13"),
      "/v1/epochs/current/participants": () => json({ active_participants: { participants, epoch_id: 7 } }),
    };
    const sourceUrl = "https://source.example";
    const { chat, posts } = connect(answers, { privateKey: undefined, signer, endpoints: undefined, sourceUrl });
    expect((await chat()).status).toBe(200);
    expect(posts()).toEqual(["a"]);
  });
});

describe("a clock that was corrected", () => {
  const tooOld = (headers: Record<string, string>) =>
    json({ error: "signature is in the future" }, { status: 400, headers });

  it("is known to a new connection of the same key before its first request is judged", async () => {
    const clock = manualClock();
    // The network's clock is 90 s behind; it refuses what is not signed near its own time.
    const node = (request: Request) => {
      const serverNowMs = clock.nowMs() - 90_000;
      const signedMs = Number(request.headers.get("x-timestamp")?.slice(0, -6));
      const date = { date: new Date(serverNowMs).toUTCString() };
      return Math.abs(signedMs - serverNowMs) > 30_000 ? tooOld(date) : json({});
    };
    expect((await connect({ [CHAT]: node }, { clock }).chat()).status).toBe(200);
    // A chain that stands still refuses a right time: told apart by the offset that the first connection found.
    const stalled = () => tooOld({ date: new Date(clock.nowMs() - 90_000).toUTCString() });
    const second = connect({ [CHAT]: stalled }, { clock });
    expect(errorBehind(await second.chat())).toMatchObject({ code: "chain_stalled" });
    expect(second.posts()).toHaveLength(1);
  });

  it("without a Date header takes the time of the node's latest block, once", async () => {
    let blockMs = 0;
    const status = () =>
      json({
        result: {
          node_info: { network: "n" },
          sync_info: { latest_block_time: new Date(blockMs).toISOString(), latest_block_height: "7" },
        },
      });
    const node = (request: Request) => {
      const signedMs = Number(request.headers.get("x-timestamp")?.slice(0, -6));
      return Math.abs(signedMs - blockMs) > 30_000 ? tooOld({}) : json({});
    };
    const { chat, clock, posts, requests, events } = connect({ [CHAT]: node, "/chain-rpc/status": status });
    blockMs = clock.nowMs() - 90_000;
    expect((await chat()).status).toBe(200);
    expect(posts()).toHaveLength(2);
    expect(events.filter(({ type }) => type === "clock-corrected")).toMatchObject([{ offsetMs: -90_000 }]);
    expect((await chat()).status).toBe(200);
    expect(requests.filter(({ url }) => url.endsWith("/chain-rpc/status"))).toHaveLength(1);
  });

  it("with neither, the refusal is told as it came", async () => {
    const { chat, posts } = connect({ [CHAT]: () => tooOld({}) });
    expect(errorBehind(await chat())).toMatchObject({ code: "clock_skew" });
    expect(posts()).toHaveLength(1);
  });
});

describe("what a connection tells of an attempt", () => {
  it("is whether it was signed", async () => {
    const { gonka, chat, events } = connect({ [CHAT]: () => json({}), "/v1/models": () => json({ data: [] }) });
    await gonka(`${gonka.baseURL}/models`);
    await chat();
    const started = events.filter((event) => event.type === "attempt-started");
    expect(started.map(({ signed }) => signed)).toEqual([false, true]);
  });
});

describe("a fault that is not the network's", () => {
  it.each([
    ["a number", 12],
    ["an object", {}],
    ["bytes", Buffer.from(KEY, "hex")],
  ])("a private key that is no text is refused: %s", async (_what, privateKey) => {
    const { chat, posts } = connect({}, { privateKey });
    expect(await rejection(chat())).toMatchObject({ code: "invalid_private_key", detail: "it is not text" });
    expect(posts()).toEqual([]);
  });

  it("no key at all is a missing secret", async () => {
    expect(await rejection(connect({}, { privateKey: undefined }).chat())).toMatchObject({ code: "secret_missing" });
  });

  it("an error of our own code is not called unreachable, nor repeated", async () => {
    const signer = RequestSigner.fromHex(KEY);
    const broken = Object.assign(Object.create(signer), { address: ADDRESS, prefix: "gonka", sign: undefined });
    const { chat, requests, events } = connect({}, { privateKey: undefined, signer: broken });
    expect(await rejection(chat())).toMatchObject({ code: "internal", cause: expect.any(TypeError) });
    expect(requests.filter(({ method }) => method === "POST")).toEqual([]);
    expect(events.filter(({ type }) => type === "attempt-started")).toHaveLength(1);
  });
});

const FOUND: Discovery = {
  endpoints: [{ baseURL: "https://a.example/v1", address: "gonka1a" }],
  skipped: [],
  retired: false,
  apiVersionText: "0.2.13",
  label: "self-consistent",
  reasons: [],
  epochId: 1n,
};
const signal = new AbortController().signal;

function source(answers: readonly (Discovery | ZephError)[], cached?: CachedEndpoints) {
  const clock = manualClock();
  const saved: CachedEndpoints[] = [];
  const stale: number[] = [];
  let asked = 0;
  const list = endpointSource({
    clock,
    ttlMs: 60_000,
    onStale: (ageMs) => stale.push(ageMs),
    cache: { load: async () => cached, save: async (value) => void saved.push(value) },
    discover: async () => {
      const answer = answers[asked];
      asked += 1;
      if (answer === undefined) throw new Error("asked more often than expected");
      if (answer instanceof ZephError) throw answer;
      return answer;
    },
  });
  return { list: () => list(signal), clock, saved, stale, asked: () => asked };
}

describe("endpointSource", () => {
  it("asks once for its time to live, and once for requests that come together", async () => {
    const { list, clock, asked, saved } = source([FOUND, FOUND]);
    await Promise.all([list(), list(), list()]);
    await clock.advance(59_999);
    await list();
    expect(asked()).toBe(1);
    await clock.advance(1);
    await list();
    expect(asked()).toBe(2);
    expect(saved).toHaveLength(2);
  });

  it("uses what another process found a moment ago", async () => {
    const readAtMs = manualClock().nowMs() - 1000;
    const { list, asked } = source([], { readAtMs, endpoints: FOUND.endpoints });
    expect(await list()).toEqual(FOUND.endpoints);
    expect(asked()).toBe(0);
  });

  it("goes on with an old list when the source fails, and says how old it is", async () => {
    const { list, clock, stale } = source([FOUND, new ZephError("unreachable")]);
    await list();
    await clock.advance(3_600_000);
    expect(await list()).toEqual(FOUND.endpoints);
    expect(stale).toEqual([3_600_000]);
  });

  it("does not go on with a list of yesterday, nor after a proof that does not hold", async () => {
    const old = source([FOUND, new ZephError("unreachable")]);
    await old.list();
    await old.clock.advance(25 * 3_600_000);
    await expect(old.list()).rejects.toMatchObject({ code: "unreachable" });
    const forged = source([FOUND, new ZephError("proof_invalid")]);
    await forged.list();
    await forged.clock.advance(3_600_000);
    await expect(forged.list()).rejects.toMatchObject({ code: "proof_invalid" });
  });

  it("does not trust a list from the future", async () => {
    const readAtMs = manualClock().nowMs() + 60_000;
    const { list, asked } = source([FOUND], { readAtMs, endpoints: FOUND.endpoints });
    await list();
    expect(asked()).toBe(1);
  });

  it("names a retired network, and a network without usable nodes", async () => {
    await expect(source([{ ...FOUND, retired: true, endpoints: [] }]).list()).rejects.toMatchObject({
      code: "native_closed",
    });
    const skipped = [{ address: "gonka1b", reason: "has no http(s) URL" }];
    await expect(source([{ ...FOUND, endpoints: [], skipped }]).list()).rejects.toMatchObject({
      code: "no_endpoints",
      detail: "gonka1b: has no http(s) URL",
    });
  });

  it("lets a caller leave without ending the discovery for others", async () => {
    const controller = new AbortController();
    let answer = (_found: Discovery) => {};
    const list = endpointSource({ clock: manualClock(), discover: () => new Promise((resolve) => (answer = resolve)) });
    const leaving = list(controller.signal);
    const staying = list(signal);
    controller.abort(new Error("left"));
    await expect(leaving).rejects.toThrow("left");
    answer(FOUND);
    expect(await staying).toEqual(FOUND.endpoints);
  });
});
