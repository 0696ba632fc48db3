import { inspect } from "node:util";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createGonka } from "../../src/ai-sdk/index.ts";
import { ZephError } from "../../src/errors.ts";
import { gonkaOpenAIOptions } from "../../src/openai/index.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { shownBy, thrownBy } from "../support/thrown-by.ts";
import { chatBody, MODEL } from "./sandbox-network-client.ts";

/**
 * Key material, where the public clients of this network let it out (signed-transport, section 5; numbers are its items).
 * The sandbox network looks at every request for pieces of the key and keeps `violations`.
 */

let world: NativeWorld;
beforeEach(async () => {
  world = await startNativeWorld();
});
afterEach(() => world.stop());

/** Any eight digits of the key, in hex, base64, or as printed bytes. */
function expectNoKey(text: string, keyHex: string): void {
  const bytes = Buffer.from(keyHex, "hex");
  const hex = Array.from({ length: keyHex.length - 7 }, (_, at) => keyHex.slice(at, at + 8));
  const others = [bytes, Buffer.from(keyHex)].flatMap((form) =>
    Array.from({ length: form.length - 5 }, (_, at) => form.subarray(at, at + 6)).flatMap((piece) => [
      piece.toString("base64"),
      [...piece].join(", "),
      [...piece].join(","),
    ]),
  );
  const lower = text.toLowerCase();
  expect(hex.filter((piece) => lower.includes(piece))).toEqual([]);
  expect(others.filter((piece) => text.includes(piece))).toEqual([]);
}

/** Deep as it is, and with everything hidden as far as that stays readable. */
const everything = (value: unknown) =>
  inspect(value, { depth: 8 }) + inspect(value, { depth: 3, showHidden: true, getters: true });

/** As JSON, without what closes a circle. */
function asJson(value: unknown): string {
  const seen = new Set<unknown>();
  const text = JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner !== "object" || inner === null) return inner;
    if (seen.has(inner)) return undefined;
    seen.add(inner);
    return inner;
  });
  return text ?? "";
}

describe("requests (1, 2, 18, 26, 27)", () => {
  it("without body, with an empty one, as Request objects, by GET and DELETE carry no piece of the key", async () => {
    const { gonka } = world.client();
    const url = `${gonka.baseURL}/chat/completions`;
    await gonka(`${gonka.baseURL}/models`);
    await gonka(new Request(`${gonka.baseURL}/models`, { headers: { authorization: "Bearer mine" } }));
    await gonka(url, { method: "POST" });
    await gonka(url, { method: "POST", body: "" });
    await gonka(url, { method: "POST", body: new Uint8Array() });
    await gonka(new Request(url, { method: "POST" }));
    await gonka(new Request(url, { method: "POST", body: chatBody() }));
    await gonka(`${gonka.baseURL}/models`, { method: "DELETE" });
    const received = world.network.requests.filter(({ path }) => path !== "/v1/versions");
    expect(received).toHaveLength(8);
    expect(world.network.violations).toEqual([]);
    for (const { headers } of received) {
      expectNoKey(JSON.stringify(headers), world.account.privateKeyHex);
      if (headers.authorization !== undefined) {
        expect(headers.authorization).toMatch(/^[A-Za-z0-9+/]{86}==$/);
        expect(headers["x-requester-address"]).toBe(world.account.address);
      }
    }
    expect(received.filter(({ headers }) => "authorization" in headers)).toHaveLength(6);
  });

  it("are not sent at all when they cannot be signed", async () => {
    const disposed = RequestSigner.fromHex(world.account.privateKeyHex);
    disposed.dispose();
    const [node] = endpointsOf(world.network);
    const { address: _address, ...withoutAddress } = node!;
    const cosmos = RequestSigner.fromHex(world.account.privateKeyHex, { prefix: "cosmos" });
    for (const changes of [
      { signer: disposed },
      { signer: cosmos },
      { endpoints: [withoutAddress] },
      { endpoints: [{ ...node!, address: "gonka1notanaddress" }] },
    ]) {
      const chat = async () => world.client(changes).chat();
      const error: unknown = await chat().catch((thrown) => thrown);
      expect(error).toBeInstanceOf(ZephError);
      expectNoKey(shownBy(error as ZephError), world.account.privateKeyHex);
      expectNoKey(everything(error), world.account.privateKeyHex);
    }
    expect(world.posts()).toEqual([]);
  });

  it("are not sent when the body cannot be read", async () => {
    const broken = new Blob(["x"]);
    broken.arrayBuffer = () => Promise.reject(new Error("the file is gone"));
    await expect(world.client().chat("", { body: broken })).rejects.toThrow("the file is gone");
    expect(world.network.requests).toEqual([]);
  });

  it("of the official SDK never carry its placeholder key", async () => {
    const { privateKeyHex } = world.account;
    const signer = RequestSigner.fromHex(privateKeyHex);
    const connection = { kind: "native", signer, endpoints: endpointsOf(world.network), clock: world.clock } as const;
    const client = new OpenAI(gonkaOpenAIOptions(connection));
    await client.models.list();
    await client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "hi" }], max_tokens: 9 });
    const sent = JSON.stringify(world.network.requests.map(({ headers }) => headers));
    expect(sent).not.toMatch(/bearer|held-by-zeph/i);
    expect(world.network.violations).toEqual([]);
  });
});

describe("objects and errors (3, 8, 19)", () => {
  it("show nothing: inspected with everything hidden, as JSON, as text", () => {
    const { privateKeyHex } = world.account;
    const signer = RequestSigner.fromHex(privateKeyHex);
    const connection = { kind: "native", signer, endpoints: endpointsOf(world.network) } as const;
    const gonka = gonkaFetch(connection);
    const options = gonkaOpenAIOptions(connection);
    const provider = createGonka({ native: { privateKey: privateKeyHex, endpoints: endpointsOf(world.network) } });
    for (const value of [signer, connection, gonka, options, new OpenAI(options), provider, provider(MODEL)]) {
      expectNoKey(everything(value), privateKeyHex);
      expectNoKey(String(value), privateKeyHex);
      expectNoKey(asJson(value), privateKeyHex);
    }
    expect(Object.keys(signer).sort()).toEqual(["address", "prefix"]);
  });

  it.each([
    ["letters that are no hex digits", (hex: string) => `zz${hex.slice(2)}`],
    ["one digit too few", (hex: string) => hex.slice(1)],
    ["two digits too many", (hex: string) => `${hex}00`],
    ["another line behind it", (hex: string) => `${hex}\n${hex}`],
    ["more than the order of the curve", (hex: string) => `ffffffffffffffffffffffffffffffff${hex.slice(32)}`],
  ])("a key with %s is refused without being repeated", (_what, spoil) => {
    const { privateKeyHex } = world.account;
    const error = thrownBy(() => RequestSigner.fromHex(spoil(privateKeyHex)));
    expect(error.code).toBe("invalid_private_key");
    expectNoKey(shownBy(error), privateKeyHex);
    expectNoKey(everything(error), privateKeyHex);
  });

  it("a newline behind the key changes nothing: same address, never the key as an address", async () => {
    const { privateKeyHex, address } = world.account;
    const signer = RequestSigner.fromHex(`${privateKeyHex}\n`);
    expect(signer.address).toBe(address);
    expect((await world.client({ signer }).chat()).status).toBe(200);
  });

  it("nothing is printed, in success or failure", async () => {
    const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write"));
    const consoles = (["log", "info", "warn", "error", "debug"] as const).map((name) => vi.spyOn(console, name));
    try {
      await world.client().chat();
      world.network.nodes[1]!.faults.next("panic");
      await world.client().chat();
      await world
        .client({ endpoints: [] })
        .chat()
        .catch(() => {});
      for (const spy of [...spies, ...consoles]) expect(spy).not.toHaveBeenCalled();
    } finally {
      for (const spy of [...spies, ...consoles]) spy.mockRestore();
    }
  });
});
