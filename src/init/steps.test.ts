import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { describeModel, sendTestMessage } from "./steps.ts";

describe("describeModel", () => {
  it.each([
    [{}, ""],
    [{ contextLengthTokens: 240_000 }, "240K context"],
    [{ contextLengthTokens: 512, tools: false }, "512 context · no tools"],
    [{ promptUsdPer1M: 0.2, completionUsdPer1M: 1.25, tools: true }, "$0.20 in, $1.25 out per 1M · tools"],
    // Half a price is no price, and 0 is one.
    [{ promptUsdPer1M: 0.2 }, ""],
    [{ promptUsdPer1M: 0, completionUsdPer1M: 0.004 }, "$0.00 in, $0.004 out per 1M"],
  ])("%j is %j", (facts, words) => {
    expect(describeModel({ id: "a/b", kind: "chat", ...facts })).toBe(words);
  });
});

async function reply(body: unknown, status = 200) {
  const requests: Request[] = [];
  const answer = async (input: string | URL | Request, init?: RequestInit) => {
    requests.push(new Request(input, init));
    return typeof body === "string" ? new Response(body, { status }) : Response.json(body, { status });
  };
  const gonka: GonkaFetch = Object.assign(answer, { baseURL: "https://host.example/v1", endpoints: () => [] });
  const options = { model: "m", clock: manualClock(), signal: new AbortController().signal };
  const result = await sendTestMessage(gonka, { ...options, costUsd: () => 0.5 }).catch((error: unknown) => error);
  return { result, requests };
}

const choice = (content: unknown, finish = "stop") => ({
  choices: [{ message: { role: "assistant", content }, finish_reason: finish }],
  usage: { prompt_tokens: 3, completion_tokens: 5 },
});

describe("sendTestMessage", () => {
  it("sends one small question and reads reply, usage and cost", async () => {
    const { result, requests } = await reply(choice(" hello "));
    expect(result).toEqual({
      text: "hello",
      finishReason: "stop",
      promptTokens: 3,
      completionTokens: 5,
      costUsd: 0.5,
      elapsedMs: 0,
    });
    expect(requests.map(({ url, method }) => `${method} ${url}`)).toEqual([
      "POST https://host.example/v1/chat/completions",
    ]);
    const body = (await requests[0]?.json()) as { readonly max_tokens: number };
    expect(Object.keys(body)).toEqual(["model", "messages", "max_tokens"]);
    expect(body.max_tokens).toBeLessThanOrEqual(64);
  });

  it.each([
    [choice(null, "length"), ""],
    [choice("", "length"), ""],
    [choice("<think>hm, hm"), ""],
    [choice("<think>hm</think>\n\nhello"), "hello"],
    [{ choices: [{}] }, ""],
  ])("passes with %j", async (body, text) => {
    expect((await reply(body)).result).toMatchObject({ text });
  });

  it.each([
    ["not json", 200, "bad_response"],
    [{ object: "error" }, 200, "bad_response"],
    [{ error: { message: "no", code: "insufficient_quota" } }, 429, "insufficient_quota"],
    [{ error: { message: "no such model", code: "model_not_found" } }, 404, "model_not_found"],
  ])("fails with %j", async (body, status, code) => {
    expect((await reply(body, status)).result).toMatchObject({ code });
  });
});
