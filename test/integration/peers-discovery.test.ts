import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FetchFunction } from "../../src/base/world.ts";
import { type DiscoverOptions, discoverEndpoints } from "../../src/network/discovery.ts";
import { connectionFromEnvironment } from "../../src/openai/options.ts";
import { ATTACKER_URL, type Tampering } from "../../src/sandbox/blocks.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch, listModels } from "../../src/transport/gonka-fetch.ts";
import { endpointSource } from "../../src/transport/native.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { chatBody, MODEL } from "./sandbox-network-client.ts";

/** Whom clients trust, and where they go when discovery fails (signed-transport, section 5; numbers are its items). */

let world: NativeWorld;
let asked: string[];
beforeEach(async () => {
  world = await startNativeWorld();
  asked = [];
});
afterEach(() => world.stop());

const fetchAndNote: FetchFunction = (input, init) => {
  asked.push(input instanceof Request ? input.url : String(input));
  return fetch(input, init);
};
const discover = (options: Partial<DiscoverOptions> = {}) =>
  discoverEndpoints({ sourceUrl: world.network.sourceUrl, clock: world.clock, fetch: fetchAndNote, ...options });
const discovering = (options: Partial<DiscoverOptions> = {}) =>
  endpointSource({ clock: world.clock, discover: () => discover(options) });
const addresses = () => world.network.nodes.map(({ address }) => address).sort();
const found = async (options?: Partial<DiscoverOptions>) =>
  (await discover(options)).endpoints.map(({ address }) => address).sort();
const trusted = () => ({ chainId: world.network.chain.chainId, validatorsHash: world.network.chain.validatorsHash });
/** Every host that was asked for anything is a node of this network. */
const expectOnlyNodesAsked = () => {
  const origins = new Set(world.network.nodes.map(({ origin }) => origin));
  expect(asked.filter((url) => !origins.has(new URL(url).origin))).toEqual([]);
};

describe("proofs (4, 20)", () => {
  const LIES: readonly Tampering[] = [
    "fabricated",
    "wrong-store",
    "wrong-key",
    "flipped-proof",
    "loose-spec",
    "few-signatures",
    "forged-signatures",
    "other-chain",
    "other-validators",
    "no-proof",
    "previous-epoch",
  ];
  beforeEach(async () => world.network.startEpoch(await world.network.participants()));

  it.each(LIES)("with a pinned validator set, %s is refused and nobody on the list is asked", async (lie) => {
    world.network.chain.tampering = lie;
    await expect(discover({ trust: trusted() })).rejects.toMatchObject({
      code: "proof_invalid",
      hint: expect.stringContaining("Do not trust this source"),
    });
    expectOnlyNodesAsked();
    expect(asked.filter((url) => url.includes("/identity"))).toEqual([]);
  });

  it("the invented list that other clients take is refused also when nothing is pinned", async () => {
    world.network.chain.tampering = "fabricated";
    const client = world.client({ discover: discovering() });
    await expect(client.chat()).rejects.toMatchObject({ code: "proof_invalid" });
    expectOnlyNodesAsked();
    expect(world.posts()).toEqual([]);
  });

  it("the readable copy is not what is used", async () => {
    world.network.chain.tampering = "attacker-json";
    const { endpoints, label, reasons } = await discover({ trust: trusted() });
    expect(label).toBe("verified");
    expect(endpoints.map(({ address }) => address).sort()).toEqual(addresses());
    expect(JSON.stringify(endpoints)).not.toContain(ATTACKER_URL);
    expect(reasons.join()).toMatch(/readable copy .* differs/);
  });

  it("the user sees how far a list is proven", async () => {
    expect((await discover({ trust: trusted() })).label).toBe("verified");
    expect(await discover()).toMatchObject({ label: "self-consistent", reasons: [expect.stringContaining("pinned")] });
    world.network.chain.tampering = "no-proof";
    expect(await discover()).toMatchObject({ label: "unverified", reasons: [expect.stringContaining("no proof")] });
  });

  it("the good list of the epoch before is refused also when nothing is pinned, and a known newer one is used on", async () => {
    const stale: string[] = [];
    const source = endpointSource({
      clock: world.clock,
      ttlMs: 1_000,
      discover: () => discover(),
      onStale: (_ageMs, error) => stale.push(error.detail ?? ""),
    });
    const { signal } = new AbortController();
    const before = await source(signal);
    world.network.chain.tampering = "previous-epoch";
    await expect(discover()).rejects.toMatchObject({
      code: "proof_invalid",
      detail: "the list is of epoch 42, and the source names 43 as the latest",
    });
    // A source that lies about the latest epoch as well.
    for (const node of world.network.nodes) {
      node.readFaults.plan(({ path }) => (path === "/v1/epochs/latest" ? "drop" : undefined));
    }
    await world.clock.advance(2_000);
    expect(await source(signal)).toEqual(before);
    expect(stale).toEqual(["the list is of epoch 42, and epoch 43 is known already"]);
  });

  it("a pinned chain id is not passed over because the proof is gone", async () => {
    const trust = { chainId: world.network.chain.chainId };
    expect((await discover({ trust })).label).toBe("self-consistent");
    world.network.chain.tampering = "no-proof";
    await expect(discover({ trust })).rejects.toMatchObject({
      code: "proof_invalid",
      detail: expect.stringContaining("gonka-sandbox-1"),
    });
    const { reasons } = await discover({ trust: { ...trust, proof: "none" } });
    expect(reasons.join(" ")).toContain("Whether it is of the chain gonka-sandbox-1 was not checked");
  });

  it.each(["drop", "hang", "nginx-502", "wallet-page"] as const)(
    "without the optional commit (%s) the label is a lesser one, as with a 404",
    async (fault) => {
      for (const node of world.network.nodes) {
        node.readFaults.plan(({ path }) => (path.startsWith("/chain-") ? fault : undefined));
      }
      const found = discover();
      if (fault === "hang") {
        await vi.waitFor(() => expect(asked.filter((url) => url.includes("/chain-")).length).toBeGreaterThan(2));
        await world.clock.advance(10_000);
      }
      const { label, reasons, endpoints } = await found;
      expect([label, endpoints.length]).toEqual(["self-consistent", 3]);
      expect(reasons.join(" ")).toMatch(/signatures|commit/i);
      if (fault !== "hang")
        await expect(discover({ trust: trusted() })).rejects.toMatchObject({ code: "proof_invalid" });
    },
  );

  it("the user may insist on a proof, or do without one and spare the reading", async () => {
    expect((await discover({ trust: { proof: "required" } })).label).toBe("self-consistent");
    expect(asked.some((url) => url.includes("/chain-rpc/commit"))).toBe(true);
    asked = [];
    expect(await discover({ trust: { proof: "none" } })).toMatchObject({ label: "unverified" });
    expect(asked.filter((url) => url.includes("/chain-rpc/"))).toEqual([]);
    await expect(discover({ trust: { ...trusted(), proof: "none" } })).rejects.toMatchObject({ code: "proof_invalid" });
    world.network.chain.tampering = "no-proof";
    await expect(discover({ trust: { proof: "required" } })).rejects.toMatchObject({ code: "proof_invalid" });
  });

  it("another address than the proven one, said by the node itself, takes it off the list", async () => {
    world.network.state.identityAddress = world.account.address;
    const { endpoints, skipped } = await discover({ trust: trusted() });
    expect(endpoints).toEqual([]);
    expect(skipped.map(({ reason }) => reason)).toEqual(Array(3).fill(`says its address is ${world.account.address}`));
  });

  it("delegate_ta of a node leads nowhere", async () => {
    world.network.state.delegateTa = { [ATTACKER_URL]: world.network.nodes[0]!.address };
    const client = world.client({ discover: discovering(), fetch: fetchAndNote });
    expect((await client.chat()).status).toBe(200);
    expectOnlyNodesAsked();
  });
});

describe("lists (11, 22, 29, 33, 35)", () => {
  it.each(["restored", "v0.2.15"] as const)("the %s shape is read and proven", async (shape) => {
    world.network.state.shape = shape;
    expect(await found({ trust: trusted() })).toEqual(addresses());
    expect((await discover({ trust: trusted() })).epochId).toBe(42n);
  });

  it.each(["list", "absent", "disabled"] as const)("an empty allow-list (%s) allows everybody", async (form) => {
    world.network.chain.params.allowListForm = form;
    expect(await found()).toEqual(addresses());
  });

  it("an allow-list comes from the chain and is kept to", async () => {
    const [, second, third] = world.network.nodes;
    world.network.chain.params.allowedTransferAgents = [second!.address];
    expect(await found()).toEqual([second!.address]);
    world.network.chain.params.allowedTransferAgents = [third!.address];
    expect(await found()).toEqual([third!.address]);
  });

  it("excluded participants, other models, unusable addresses and unreachable nodes are left out, with the reason", async () => {
    const [first, second, third] = await world.network.participants();
    world.network.startEpoch([
      first!,
      second!,
      third!,
      { ...third!, address: world.newAccount().address, models: ["another/model"] },
      { ...third!, address: world.newAccount().address, inferenceUrl: "ftp://127.0.0.1" },
    ]);
    await world.network.nodes[2]!.goDown();
    world.network.chain.epochs.excluded = [{ address: first!.address, reason: "invalidated", atHeight: 1 }];
    const { endpoints, skipped } = await discover({ model: MODEL });
    expect(endpoints.map(({ address }) => address)).toEqual([second!.address]);
    expect(skipped.map(({ reason }) => reason).sort()).toEqual([
      expect.stringContaining("connection refused"),
      "does not serve the model",
      "excluded from this epoch (invalidated)",
      "has no http(s) URL",
    ]);
  });

  it("slashes at the end of a node's URL change nothing", async () => {
    const list = await world.network.participants();
    world.network.startEpoch(list.map((one) => ({ ...one, inferenceUrl: `${one.inferenceUrl}//` })));
    const { endpoints } = await discover();
    expect(endpoints.map(({ baseURL }) => baseURL).sort()).toEqual(
      world.network.nodes.map(({ baseURL }) => baseURL).sort(),
    );
  });

  it("a network without participants is an error, not a crash and not another network", async () => {
    world.network.startEpoch([]);
    const client = world.client({ discover: discovering(), fetch: fetchAndNote });
    await expect(client.chat()).rejects.toMatchObject({ code: "no_endpoints", detail: "the network lists none" });
    expectOnlyNodesAsked();
  });

  it.each(["list", "units"] as const)("models are those of the network, in the %s shape", async (modelsShape) => {
    world.network.state.modelsShape = modelsShape;
    expect((await listModels(world.client().gonka)).map(({ id }) => id)).toEqual([MODEL]);
  });
});

describe("when discovery fails (5, 10, 13, 35)", () => {
  it.each([
    ["the source is down", async () => world.network.nodes[0]!.goDown(), "unreachable"],
    ["it answers errors", async () => world.network.nodes[0]!.readFaults.always("nginx-502"), "discovery_failed"],
    ["it is a web site", async () => world.network.nodes[0]!.readFaults.always("wallet-page"), "discovery_failed"],
    ["it drops connections", async () => world.network.nodes[0]!.readFaults.always("drop"), "unreachable"],
    ["it redirects", async () => world.network.nodes[0]!.readFaults.always("redirect"), "discovery_failed"],
  ] as const)("%s: an error, and no other host", async (_what, arrange, code) => {
    await arrange();
    const client = world.client({ discover: discovering(), fetch: fetchAndNote });
    await expect(client.chat()).rejects.toMatchObject({ code, hint: expect.stringMatching(/\S/) });
    const source = new URL(world.network.sourceUrl).origin;
    expect(asked.map((url) => new URL(url).origin).filter((origin) => origin !== source)).toEqual([]);
    expect(world.posts()).toEqual([]);
  });

  it("no source, no nodes: an error, and not a single request", async () => {
    const signer = RequestSigner.fromHex(world.account.privateKeyHex);
    const gonka = gonkaFetch({ kind: "native", signer, fetch: fetchAndNote });
    await expect(gonka(`${gonka.baseURL}/models`)).rejects.toMatchObject({ code: "no_endpoints" });
    await expect(world.client({ endpoints: [], fetch: fetchAndNote }).chat()).rejects.toMatchObject({
      code: "no_endpoints",
    });
    expect(asked).toEqual([]);
  });

  it("it is tried again with the next request, and an old list serves while the source is away", async () => {
    const stale: number[] = [];
    const source = endpointSource({
      clock: world.clock,
      ttlMs: 60_000,
      discover: () => discover(),
      onStale: (ageMs) => stale.push(ageMs),
    });
    const client = world.client({ discover: source });
    world.network.nodes[0]!.readFaults.next("nginx-502", "nginx-502", "nginx-502", "nginx-502");
    await expect(client.chat()).rejects.toMatchObject({ code: "discovery_failed" });
    world.network.nodes[0]!.readFaults.clear();
    expect((await client.chat()).status).toBe(200);

    await world.network.nodes[0]!.goDown();
    await world.clock.advance(90_000);
    for (let i = 0; i < 3; i += 1) expect((await client.chat()).status).toBe(200);
    expect(stale).toHaveLength(3);
  });

  it("a retired network is asked for its version and nothing else", async () => {
    world.network.state.version = "v0.2.15";
    const client = world.client({ discover: discovering(), fetch: fetchAndNote });
    await expect(client.chat()).rejects.toMatchObject({
      code: "native_closed",
      detail: expect.stringContaining("v0.2.15"),
    });
    expect(asked.map((url) => new URL(url).pathname)).toEqual(["/v1/versions"]);
  });

  it("a source that hangs is given up after its time, and at once when the caller leaves", async () => {
    world.network.nodes[0]!.readFaults.always("hang");
    const waiting = expect(discover()).rejects.toMatchObject({ code: "timeout_headers" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await world.clock.advance(10_000);
    await waiting;

    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const client = world.client({ discover: discovering() });
    const leaving = expect(client.chat({}, { signal: controller.signal })).rejects.toBe(reason);
    setTimeout(() => controller.abort(reason), 50);
    await leaving;
    expect(world.posts()).toEqual([]);
  });

  it("discovery that the caller may abort stops asking", async () => {
    for (const node of world.network.nodes) {
      node.readFaults.plan(({ path }) => (path === "/v1/identity" ? "hang" : undefined));
    }
    const controller = new AbortController();
    const leaving = expect(discover({ signal: controller.signal })).rejects.toThrow("enough");
    setTimeout(() => controller.abort(new Error("enough")), 200);
    await leaving;
  });

  it("GONKA_SOURCE_URL is read, and leads to the nodes and nowhere else (10)", async () => {
    const connection = await connectionFromEnvironment({
      GONKA_PRIVATE_KEY: world.account.privateKeyHex,
      GONKA_ADDRESS: world.account.address,
      GONKA_SOURCE_URL: world.network.sourceUrl,
    });
    if (connection.kind !== "native") throw new Error("a native connection was expected");
    const gonka = gonkaFetch({ ...connection, clock: world.clock, fetch: fetchAndNote });
    const reply = await gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body: chatBody() });
    expect(reply.status).toBe(200);
    expect(gonka.endpoints()).toHaveLength(endpointsOf(world.network).length);
    expectOnlyNodesAsked();
  });
});
