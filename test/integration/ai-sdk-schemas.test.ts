import { generateObject, generateText, jsonSchema, streamObject, type ToolSet, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createGonka, type GonkaProvider } from "../../src/ai-sdk/index.ts";
import { NETWORK_LIMITS } from "../../src/rules/parameters.ts";
import { startNetwork } from "../../src/sandbox/classic/network.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { checkSchema } from "../../src/sandbox/rules.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";

// Schemas with references, as zod writes them for named and for recursive types. The sandbox broker refuses them, as
// the network does.

const CHAT = "sandbox/echo-1";

const Place = z.object({ city: z.string(), country: z.string() }).meta({ id: "Place" });
const Trip = z.object({ from: Place, to: Place });
const Comment = z.object({
  text: z.string(),
  get answer() {
    return Comment.optional();
  },
});

let sandbox: Sandbox;
let gonka: GonkaProvider;

beforeAll(async () => {
  // The SDK would print the warnings that are looked at below.
  globalThis.AI_SDK_LOG_WARNINGS = false;
  sandbox = await startSandbox({ broker: { recordBodies: true } });
  gonka = createGonka({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
});

afterAll(() => sandbox.stop());

const lastBody = () => JSON.stringify(sandbox.broker.requests.at(-1)?.body);
const place = { city: expect.any(String), country: expect.any(String) };

describe("the schema of an answer", () => {
  it("loses its references and nothing else: a named type of zod, whole and as a stream", async () => {
    const call = { model: gonka(CHAT), prompt: "Oslo", schema: Trip };
    const { object, warnings } = await generateObject(call);
    expect(object).toEqual({ from: place, to: place });
    expect(warnings ?? []).toEqual([]);
    expect(lastBody()).not.toMatch(/\$ref|\$defs|definitions/);
    expect(lastBody()).toContain('"city":{"type":"string"},"country":{"type":"string"}}},"to":{"type":"object"');
    const stream = streamObject(call);
    for await (const _partial of stream.partialObjectStream);
    expect(await stream.object).toEqual(object);
  });

  it.each(["draft-7", "draft-2020-12"] as const)("may be written in %s", async (target) => {
    const written = z.toJSONSchema(Trip, { target });
    expect(JSON.stringify(written)).toContain(target === "draft-7" ? '"definitions"' : '"$defs"');
    const schema = jsonSchema<z.infer<typeof Trip>>(written as Parameters<typeof jsonSchema>[0]);
    const { object } = await generateObject({ model: gonka(CHAT), prompt: "Oslo", schema });
    expect(object).toEqual({ from: place, to: place });
  });

  it("is cut where it is recursive, with a warning", async () => {
    const { warnings } = await gonka(CHAT).doGenerate({
      prompt: [{ role: "user", content: [{ type: "text", text: "Oslo" }] }],
      responseFormat: { type: "json", schema: z.toJSONSchema(Comment, { target: "draft-7" }) as object },
    });
    expect(warnings).toEqual([expect.objectContaining({ type: "compatibility", feature: "schema of the answer" })]);
    expect(warnings[0]).toMatchObject({ details: expect.stringContaining("recursion") });
    expect(lastBody()).toContain('"answer":{"type":"object"}');
  });
});

describe("the parameters of a tool", () => {
  it.each<[string, ToolSet, readonly { feature: string; details: RegExp }[]]>([
    ["a named type", { note: tool({ inputSchema: Trip }) }, []],
    [
      "a recursive type",
      { note: tool({ inputSchema: Comment }) },
      [{ feature: "inputSchema of the tool note", details: /recursion/ }],
    ],
  ])("lose their references: %s", async (_, tools, expected) => {
    const { warnings } = await generateText({ model: gonka(CHAT), prompt: "note: Oslo", tools });
    expect(lastBody()).not.toMatch(/\$ref|\$defs|definitions/);
    expect(warnings ?? []).toHaveLength(expected.length);
    for (const [index, { feature, details }] of expected.entries()) {
      expect(warnings?.[index]).toMatchObject({ feature, details: expect.stringMatching(details) });
    }
  });

  it("say what else was left out", async () => {
    const inputSchema = jsonSchema<{ id?: string }>({
      type: "object",
      properties: { id: { type: "string", pattern: "^(?=x)" } },
    });
    const tools: ToolSet = { note: tool({ inputSchema }) };
    const { warnings } = await generateText({ model: gonka(CHAT), prompt: "note: Oslo", tools });
    expect(warnings).toMatchObject([{ details: expect.stringContaining("pattern") }]);
  });
});

interface ChatBody {
  readonly response_format: { readonly json_schema: { readonly schema: object } };
}

it("natively the same is signed and sent", async () => {
  const network = await startNetwork();
  try {
    const bodies: ChatBody[] = [];
    const connection = gonkaFetch({
      kind: "native",
      privateKey: network.createAccount().privateKeyHex,
      endpoints: network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
      fetch: async (input, init) => {
        if (init?.method === "POST") bodies.push((await new Response(init.body).json()) as ChatBody);
        return fetch(input, init);
      },
    });
    const model = createGonka({ connection })(CHAT);
    const { object } = await generateObject({ model, prompt: "Oslo", schema: Trip });
    expect(object).toEqual({ from: place, to: place });
    const sent = bodies.map((body) => body.response_format.json_schema.schema);
    expect(sent).toHaveLength(1);
    expect(checkSchema(sent[0], NETWORK_LIMITS.responseSchema)).toBeUndefined();
    expect(network.violations).toEqual([]);
  } finally {
    await network.stop();
  }
});
