import { describe, expect, it } from "vitest";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { chatModel, streamAnswer } from "./chat-model.ts";
import { toUserMessage } from "./conversation.ts";

/** A connection that keeps the messages it was sent, and answers. */
function recorder() {
  const sent: unknown[] = [];
  const answer = { choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }] };
  const fetch = async (_input: unknown, init?: RequestInit) => {
    sent.push(JSON.parse(String(init?.body)).messages);
    return Response.json(answer);
  };
  const gonka = Object.assign(fetch, { baseURL: "https://broker.example/v1", endpoints: [] }) as unknown as GonkaFetch;
  return { sent, model: chatModel({ gonka, name: "broker", modelId: "owner/model" }) };
}

async function ask(content: Parameters<typeof toUserMessage>): Promise<unknown> {
  const { sent, model } = recorder();
  const { signal } = new AbortController();
  const request = { model, messages: [toUserMessage(...content)], signal, stream: false, maxSteps: 1 };
  const parts = [];
  for await (const part of streamAnswer(request)) parts.push(part);
  expect(parts).toContainEqual({ type: "text", text: "ok" });
  return sent[0];
}

describe("what the command line's chat sends", () => {
  it("is a plain text where there are words alone", async () => {
    expect(await ask(["hello"])).toEqual([{ role: "user", content: "hello" }]);
  });

  it("is a list of parts where images go with the words, each as a data URL", async () => {
    const images = [{ name: "a.png", mediaType: "image/png", base64: "iVBORw==" }];
    expect(await ask(["what is this?", images])).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw==" } },
          { type: "text", text: "what is this?" },
        ],
      },
    ]);
  });
});
