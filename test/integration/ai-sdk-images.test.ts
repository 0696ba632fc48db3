import { generateText, type ModelMessage } from "ai";
import { describe, expect, it } from "vitest";
import { createGonka, toZephError } from "../../src/ai-sdk/index.ts";
import { startNetwork } from "../../src/sandbox/classic/network.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";

const WITH_IMAGE: ModelMessage[] = [
  {
    role: "user",
    content: [
      { type: "text", text: "What is this?" },
      { type: "image", image: new Uint8Array([137, 80, 78, 71]), mediaType: "image/png" },
    ],
  },
];

interface ModelList {
  readonly data: readonly object[];
}

describe("an image on the native path", () => {
  it("is kept back before anything is signed where the network's model list says so, which is asked once", async () => {
    const network = await startNetwork();
    try {
      const { privateKeyHex: privateKey } = network.createAccount();
      const endpoints = network.nodes.map(({ baseURL, address }) => ({ baseURL, address }));
      for (const native of [
        { privateKey, endpoints },
        { privateKey, sourceUrl: network.sourceUrl },
      ]) {
        const call = generateText({ model: createGonka({ native })("sandbox/echo-1"), messages: WITH_IMAGE });
        expect(await call.catch(toZephError)).toMatchObject({
          code: "unsupported_capability",
          detail:
            "messages[0].content[1]: image_url; the network lists sandbox/echo-1 as a model that takes text (input_modalities)",
        });
      }
      const gonka = gonkaFetch({ kind: "native", privateKey, endpoints });
      const content = [{ type: "input_audio", input_audio: { data: "AA==", format: "wav" } }];
      const body = JSON.stringify({ model: "sandbox/echo-1", messages: [{ role: "user", content }] });
      const before = network.requests.length;
      for (let time = 0; time < 2; time += 1) {
        const sent = gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body });
        await expect(sent).rejects.toMatchObject({ code: "unsupported_capability" });
      }
      expect(network.requests.slice(before).map(({ method, path }) => `${method} ${path}`)).toEqual(["GET /v1/models"]);
    } finally {
      await network.stop();
    }
  });

  it.each([
    [
      "says that the model takes images",
      (list: ModelList) => ({ data: list.data.map((one) => ({ ...one, input_modalities: ["text", "image"] })) }),
    ],
    [
      "does not tell",
      (list: ModelList) => ({ data: list.data.map((one) => ({ ...one, input_modalities: undefined })) }),
    ],
    ["cannot be read", () => undefined],
  ])("is signed and sent where the list %s", async (_what, change) => {
    const network = await startNetwork();
    try {
      const native = {
        privateKey: network.createAccount().privateKeyHex,
        endpoints: network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
        fetch: async (input: string | URL | Request, init?: RequestInit) => {
          const response = await fetch(input, init);
          if (!String(input).endsWith("/models")) return response;
          const changed = change((await response.json()) as ModelList);
          return changed === undefined ? new Response("", { status: 404 }) : Response.json(changed);
        },
      };
      const { text } = await generateText({ model: createGonka({ native })("sandbox/echo-1"), messages: WITH_IMAGE });
      expect(text).not.toBe("");
      expect(network.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    } finally {
      await network.stop();
    }
  });

  it("is not seen in a text that only speaks of one", async () => {
    const network = await startNetwork();
    try {
      const native = {
        privateKey: network.createAccount().privateKeyHex,
        endpoints: network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
      };
      const prompt = 'Explain {"type":"image_url"}, say hello';
      const { text } = await generateText({ model: createGonka({ native })("sandbox/echo-1"), prompt });
      expect(text).not.toBe("");
    } finally {
      await network.stop();
    }
  });
});

describe("an image on a broker", () => {
  async function ask(entry: object | undefined, times = 1) {
    await using endpoint = await scriptedEndpoint(({ path }, response) => {
      if (path !== "/v1/models")
        return sendJson(response, 200, { choices: [{ message: { content: "a dot" }, finish_reason: "stop" }] });
      return entry === undefined
        ? sendJson(response, 404, { error: { message: "none" } })
        : sendJson(response, 200, { data: [{ id: "m", ...entry }] });
    });
    const model = createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" })("m");
    let outcome: unknown;
    for (let count = 0; count < times; count += 1) {
      outcome = await generateText({ model, messages: WITH_IMAGE }).then(
        ({ text }) => text,
        (error: unknown) => toZephError(error).code,
      );
    }
    return { outcome, paths: endpoint.seen.map(({ path }) => path) };
  }

  it.each([
    { input_modalities: ["text"] },
    { architecture: { input_modalities: ["text"] } },
    { capabilities: { vision: false } },
  ])("is not sent to a model that is listed without: %j", async (entry) => {
    expect(await ask(entry, 2)).toEqual({ outcome: "unsupported_capability", paths: ["/v1/models"] });
  });

  it.each([{ input_modalities: ["text", "image"], capabilities: { vision: false } }, { input_modalities: [] }, {}])(
    "is sent where the list does not say no, which is asked once: %j",
    async (entry) => {
      const { outcome, paths } = await ask(entry, 2);
      expect(outcome).toBe("a dot");
      expect(paths).toEqual(["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]);
    },
  );

  it("is sent where there is no list", async () => {
    expect((await ask(undefined)).outcome).toBe("a dot");
  });
});
