import { afterEach, describe, expect, it } from "vitest";
import { discoverEndpoints } from "../../src/network/discovery.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch, listModels } from "../../src/transport/gonka-fetch.ts";
import { endpointSource } from "../../src/transport/native.ts";
import type { TransportEvent } from "../../src/transport/policy.ts";

let network: SandboxNetwork;
afterEach(() => network.stop());

async function connect(options: NetworkOptions = {}, connection: { retryCharged?: boolean } = {}) {
  network = await startNetwork(options);
  const account = network.createAccount();
  const events: TransportEvent[] = [];
  const gonka = gonkaFetch({
    kind: "native",
    signer: RequestSigner.fromHex(account.privateKeyHex),
    endpoints: network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
    onEvent: (event) => events.push(event),
    random: () => 0,
    ...connection,
  });
  const [model] = await listModels(gonka);
  const ask = (text: string, more: object = {}) =>
    gonka(`${gonka.baseURL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: model?.id, messages: [{ role: "user", content: text }], max_tokens: 64, ...more }),
    });
  return { gonka, account, ask, events };
}

describe("a native connection", () => {
  it("gets replies, as JSON and as a stream, from nodes that verify every signature", async () => {
    const { ask } = await connect();
    const reply = await ask("hello ünï \u2028 <&>");
    expect(reply.status).toBe(200);
    const body = (await reply.json()) as { choices: { message: { content: string } }[] };
    expect(body.choices[0]?.message.content).not.toBe("");
    const stream = await (await ask("hello", { stream: true })).text();
    expect(stream).toContain("data: [DONE]");
    expect(network.violations).toEqual([]);
    expect(network.chain.ledger.entries.map(({ state }) => state)).toEqual(["finished", "finished"]);
  });

  it("uses the nodes in turn, signs every request anew and sends four headers only", async () => {
    const { ask } = await connect();
    for (let i = 0; i < 6; i += 1) expect((await ask("hi")).status).toBe(200);
    const posts = network.requests.filter(({ method }) => method === "POST");
    expect(new Set(posts.map(({ node }) => node)).size).toBe(3);
    expect(network.violations).toEqual([]);
  });

  it("says before sending anything that a network has retired signed requests", async () => {
    const { ask } = await connect({ version: "0.2.14" });
    await expect(ask("a secret prompt")).rejects.toMatchObject({ code: "native_closed" });
    expect(network.requests.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("needs no more than a private key and a source", async () => {
    await connect();
    const { privateKeyHex: privateKey } = network.createAccount();
    const gonka = gonkaFetch({ kind: "native", privateKey, sourceUrl: network.sourceUrl });
    const [model] = await listModels(gonka);
    const body = JSON.stringify({ model: model?.id, messages: [{ role: "user", content: "hi" }], max_tokens: 16 });
    const response = await gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body });
    expect(response.status).toBe(200);
    expect(network.violations).toEqual([]);
  });

  it("discovers the nodes from a source and leaves out what may not serve", async () => {
    await connect();
    const found = await discoverEndpoints({ sourceUrl: network.sourceUrl });
    expect(found.endpoints.map(({ address }) => address).sort()).toEqual(
      network.nodes.map(({ address }) => address).sort(),
    );
    expect(found.retired).toBe(false);
    const account = network.createAccount();
    const gonka = gonkaFetch({
      kind: "native",
      signer: RequestSigner.fromHex(account.privateKeyHex),
      discover: endpointSource({ discover: () => discoverEndpoints({ sourceUrl: network.sourceUrl }) }),
    });
    expect((await listModels(gonka)).length).toBeGreaterThan(0);
  });
});
