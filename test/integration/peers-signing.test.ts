import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RecordedRequest } from "../../src/sandbox/classic/node.ts";
import { signingInput, verifySignature } from "../../src/sandbox/crypto.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { normalizeBaseURL } from "../../src/wire/endpoint.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { chatBody } from "./sandbox-network-client.ts";

/** What the public clients sign wrongly, or not at all (signed-transport, section 5; numbers are its items). */

let world: NativeWorld;
beforeEach(async () => {
  world = await startNativeWorld();
});
afterEach(() => world.stop());

/** Checks with OpenSSL that what a node received was signed for that node, byte for byte. */
function expectSigned({ node, headers, body }: RecordedRequest): void {
  const transferAddress = world.network.nodes.find(({ name }) => name === node)!.address;
  const timestampNanos = BigInt(headers["x-timestamp"]!);
  const input = signingInput({ body, timestampNanos, transferAddress });
  expect(verifySignature(world.account.publicKey, input, headers.authorization!)).toBeUndefined();
}

describe("bodies (7, 22)", () => {
  const json = chatBody({ note: "ünï \u2028 <&> \\u0041 \\/" });
  const bytes = new TextEncoder().encode(json);
  const padded = new Uint8Array([0, 0, ...bytes, 0]);
  type Body = NonNullable<RequestInit["body"]>;
  const BODIES: readonly (readonly [string, Body])[] = [
    ["a string", json],
    ["a Uint8Array", bytes],
    ["a view of a larger buffer", padded.subarray(2, 2 + bytes.length)],
    ["a Buffer", Buffer.from(json)],
    ["an ArrayBuffer", bytes.slice().buffer],
    ["a DataView", new DataView(padded.buffer, 2, bytes.length)],
    ["a Uint16Array", new Uint16Array(new TextEncoder().encode(json.length % 2 === 0 ? json : `${json} `).buffer)],
    ["a Blob", new Blob([json], { type: "application/json" })],
    ["a string with byte order mark and line ends", `\ufeff${json}\r\n`],
  ];

  it.each(BODIES)("%s is sent and signed as it is", async (_what, body) => {
    await world.client().chat("", { body });
    const [post] = world.posts();
    expectSigned(post!);
    const expected = Buffer.from(await new Response(body).arrayBuffer());
    expect(post!.body.equals(expected)).toBe(true);
    expect(post!.headers["content-type"]).toMatch(/^application\/json/);
    expect(world.network.violations).toEqual([]);
  });

  it("URLSearchParams keep their type", async () => {
    const body = new URLSearchParams({ a: "1 2", b: "ü" });
    await world.client().chat("", { body, headers: {} });
    const [post] = world.posts();
    expectSigned(post!);
    expect(post!.body.toString()).toBe("a=1+2&b=%C3%BC");
    expect(post!.headers["content-type"]).toMatch(/^application\/x-www-form-urlencoded/);
  });

  it("Request objects are read, whatever they were made of", async () => {
    const { gonka } = world.client();
    const url = `${gonka.baseURL}/chat/completions`;
    const asStream = { method: "POST", body: new Blob([json]).stream(), duplex: "half" } as RequestInit;
    expect((await gonka(new Request(url, { method: "POST", body: json }))).status).toBe(200);
    expect((await gonka(new Request(url, asStream))).status).toBe(200);
    expect((await gonka(new Request(url, { method: "POST", body: "old" }), { body: json })).status).toBe(200);
    for (const post of world.posts()) {
      expectSigned(post);
      expect(post.body.toString()).toBe(json);
    }
  });

  it("bytes that are no text at all are signed too", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, index) => index);
    await world.client().chat("", { body });
    expectSigned(world.posts()[0]!);
    expect([...world.posts()[0]!.body]).toEqual([...body]);
  });

  it.each<readonly [string, () => Body, RegExp]>([
    ["a stream", () => new Blob([json]).stream(), /a stream/],
    ["a form", () => new FormData(), /multipart form/],
    ["an async generator", () => (async function* () {})() as unknown as Body, /object/],
  ])("%s is refused by name, and nothing is sent", async (_what, make, name) => {
    const error: unknown = await world
      .client()
      .chat("", { body: make(), duplex: "half" } as RequestInit)
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "unsupported_body", detail: expect.stringMatching(name) });
    expect(world.network.requests).toEqual([]);
  });

  it("a multipart form inside a Request is refused as well", async () => {
    const { gonka } = world.client();
    const body = new FormData();
    body.set("file", new Blob(["x"]));
    const request = new Request(`${gonka.baseURL}/chat/completions`, { method: "POST", body });
    await expect(gonka(request)).rejects.toMatchObject({ code: "unsupported_body" });
    expect(world.network.requests).toEqual([]);
  });

  it("what the caller changes later, or keeps, is not touched by retries (30)", async () => {
    for (const node of world.network.nodes.slice(0, 2)) node.faults.next("capacity");
    const body = new TextEncoder().encode(json);
    const headers = new Headers({ "content-type": "application/json", "x-mine": "1" });
    const sending = world.client().chat("", { body, headers });
    body.fill(0);
    expect((await sending).status).toBe(200);
    expect(world.posts().map((post) => post.body.toString())).toEqual([json, json, json]);
    expect([...headers]).toEqual([
      ["content-type", "application/json"],
      ["x-mine", "1"],
    ]);
    for (const post of world.posts()) expect(post.headers).not.toHaveProperty("x-mine");
  });

  it("content parts arrive as they were written (34)", async () => {
    const content = [
      { type: "text", text: "one" },
      { type: "text", text: "  two\n" },
    ];
    expect((await world.client().chat({ messages: [{ role: "user", content }] })).status).toBe(200);
    expect(JSON.parse(world.posts()[0]!.body.toString()).messages[0].content).toEqual(content);
  });
});

describe("signatures (4 of the Go client: 25; 34)", () => {
  it("are 64 bytes, also where r or s begin with zero", () => {
    const signer = RequestSigner.fromHex(world.account.privateKeyHex);
    const { address } = world.network.nodes[0]!;
    let withZero = 0;
    for (let i = 1n; i <= 1_500n; i += 1n) {
      const signature = signer.sign({ body: "{}", timestampNanos: i, transferAddress: address });
      expect(signature).toMatch(/^[A-Za-z0-9+/]{86}==$/);
      const raw = Buffer.from(signature, "base64");
      if (raw[0] !== 0 && raw[32] !== 0) continue;
      withZero += 1;
      const input = signingInput({ body: Buffer.from("{}"), timestampNanos: i, transferAddress: address });
      expect(verifySignature(world.account.publicKey, input, signature)).toBeUndefined();
    }
    // One in 85 on average; none at all in 1500 would be a chance of 1 in 40 million.
    expect(withZero).toBeGreaterThan(0);
  });

  it("of one body at one instant are all different", async () => {
    const { chat } = world.client();
    const answers = await Promise.all(Array.from({ length: 60 }, () => chat()));
    expect(answers.map(({ status }) => status)).toEqual(Array(60).fill(200));
    expect(new Set(world.posts().map(({ headers }) => headers.authorization)).size).toBe(60);
    expect(world.network.violations).toEqual([]);
  });

  it("name the node they go to, also when addresses of nodes begin alike (28)", async () => {
    const heard: string[] = [];
    const nodes = endpointsOf(world.network);
    const endpoints = [8_000, 80, 8_001].map((port, index) => ({
      ...nodes[index]!,
      // Port 80 goes without saying: these addresses begin alike.
      baseURL: normalizeBaseURL(`http://10.0.0.1:${port}/v1`),
    }));
    const gonka = gonkaFetch({
      kind: "native",
      signer: RequestSigner.fromHex(world.account.privateKeyHex),
      endpoints,
      clock: world.clock,
      fetch: async (input, init) => {
        if (init?.method !== "POST") return Response.json({});
        const headers = new Headers(init.headers);
        const { address } = endpoints.find(
          ({ baseURL }) => baseURL === String(input).replace("/chat/completions", ""),
        )!;
        const input64 = signingInput({
          body: Buffer.from("{}"),
          timestampNanos: BigInt(headers.get("x-timestamp")!),
          transferAddress: address,
        });
        expect(verifySignature(world.account.publicKey, input64, headers.get("authorization")!)).toBeUndefined();
        heard.push(String(input));
        return Response.json({});
      },
    });
    for (let i = 0; i < 3; i += 1) await gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body: "{}" });
    expect(new Set(heard).size).toBe(3);
    await expect(gonka("http://10.0.0.1:800/v1/chat/completions")).rejects.toMatchObject({ code: "foreign_origin" });
  });
});

describe("generations of the signed text (16)", () => {
  it("the hash of the body without being told", async () => {
    expect((await world.client().chat()).status).toBe(200);
    expectSigned(world.posts()[0]!);
  });
});
