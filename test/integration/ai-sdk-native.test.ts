import { generateText, streamText } from "ai";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createGonka, toZephError } from "../../src/ai-sdk/index.ts";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch, listModels } from "../../src/transport/gonka-fetch.ts";

let network: SandboxNetwork;

beforeEach(async () => {
  network = await startNetwork();
});
afterEach(() => network.stop());

const endpoints = () => network.nodes.map(({ baseURL, address }) => ({ baseURL, address }));

async function modelId(signer: RequestSigner): Promise<string> {
  const [model] = await listModels(gonkaFetch({ kind: "native", signer, endpoints: endpoints() }));
  return model?.id ?? "";
}

it("signed requests: text and streams from nodes that verify every signature, given a key or a signer", async () => {
  const { privateKeyHex } = network.createAccount();
  const signer = RequestSigner.fromHex(privateKeyHex);
  const model = await modelId(signer);
  for (const native of [
    { privateKey: privateKeyHex, endpoints: endpoints() },
    { signer, endpoints: endpoints() },
    { signer, discover: async () => endpoints() },
  ]) {
    const gonka = createGonka({ native });
    const whole = await generateText({ model: gonka(model), prompt: "say hello", maxOutputTokens: 64 });
    expect(whole.text.toLowerCase()).toContain("hello");
    const stream = streamText({ model: gonka(model), prompt: "say hello", maxOutputTokens: 64 });
    expect(await stream.text).toBe(whole.text);
    expect((await stream.usage).totalTokens).toBeGreaterThan(0);
  }
  expect(network.violations).toEqual([]);
  expect(network.chain.ledger.entries).toHaveLength(6);
});

it("a key that is none: invalid_private_key, and nothing is sent", async () => {
  const gonka = createGonka({ native: { privateKey: "not a key", endpoints: endpoints() } });
  const thrown = await generateText({ model: gonka("m"), prompt: "Hi" }).catch(toZephError);
  expect(thrown).toMatchObject({ code: "invalid_private_key" });
  expect(network.requests).toEqual([]);
});

it("refusals of nodes have their names, and are not asked for again by the SDK", async () => {
  const stranger = RequestSigner.fromHex("11".repeat(32));
  const gonka = createGonka({ native: { signer: stranger, endpoints: endpoints() } });
  const thrown: unknown = await generateText({ model: gonka(await modelId(stranger)), prompt: "Hi" }).catch(
    (error) => error,
  );
  expect(toZephError(thrown).code).toBe("account_not_found");
  expect(network.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
});
