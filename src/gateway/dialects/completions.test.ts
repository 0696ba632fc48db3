import { describe, expect, it } from "vitest";
import { chunkOf, chunksOf, completionOf, countingStamps } from "../../../test/support/chat-chunks.ts";
import { cleanChatRequest } from "../../../test/support/clean-chat-request.ts";
import { openaiOver } from "../../../test/support/sdk-over-text.ts";
import { shapesOf } from "../../../test/support/shapes.ts";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import type { JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { applyNetworkRules } from "../../sandbox/rules.ts";
import {
  completionEvents,
  completionFromWhole,
  completionsRefusal,
  completionsToChat,
  refuseTokenInput,
} from "./completions.ts";

const translate = (body: JsonObject) => completionsToChat({ model: "m", prompt: "one two", ...body });

it.each(shapesOf("/v1/completions"))("takes the request of $client", ({ body }) => {
  const { chat } = completionsToChat(body);
  const { request, removed } = cleanChatRequest(chat, { access: "native" });
  expect(applyNetworkRules(request, "network")).toMatchObject({ kind: "accepted" });
  expect(removed).toEqual([]);
});

it("makes the prompt the words of the user", () => {
  expect(
    translate({ prompt: ["one"], max_tokens: 5, stop: ["x"], echo: false, logprobs: null, best_of: 1 }).chat,
  ).toEqual({
    model: "m",
    messages: [{ role: "user", content: "one" }],
    max_tokens: 5,
    stop: ["x"],
  });
});

describe("refused in words", () => {
  it.each<[string, JsonObject]>([
    ["prompt", { prompt: [1, 2] }],
    ["prompt", { prompt: [[1], [2]] }],
    ["prompt", { prompt: ["a", "b"] }],
    ["prompt", { prompt: undefined }],
    ["suffix", { suffix: "end" }],
    ["logprobs", { logprobs: 5 }],
    ["best_of", { best_of: 3 }],
  ])("%s of %j", (at, body) => {
    const error = thrownBy(() => translate(body)) as ZephError;
    expect(error.code).toBe("invalid_request");
    expect(error.detail?.startsWith(`${at}: `)).toBe(true);
  });

  it("embeddings of tokens", () => {
    for (const input of [
      [1, 2],
      [[1], [2]],
    ])
      expect(() => refuseTokenInput({ input })).toThrow(/vocabulary/);
    for (const input of ["a", ["a", "b"], undefined]) expect(() => refuseTokenInput({ input })).not.toThrow();
    for (const { body } of shapesOf("/v1/embeddings")) expect(() => refuseTokenInput(body)).not.toThrow();
  });
});

describe("answers", () => {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const script = { reasoning: "hm", text: "three four", usage };

  it("whole", async () => {
    const document = completionFromWhole(completionOf(script), translate({ echo: true }).context, countingStamps());
    const read = await openaiOver(JSON.stringify(document)).completions.create({ model: "m", prompt: "x" });
    expect(read).toEqual({
      id: "cmpl-t1",
      object: "text_completion",
      created: 1_764_288_000,
      model: "m",
      choices: [{ index: 0, text: "one twothree four", logprobs: null, finish_reason: "stop" }],
      usage,
    });
  });

  it.each([true, false])("streamed, with the usage when it is asked for: %s", async (wantsUsage) => {
    const { context } = translate({ stream: true, echo: true, stream_options: { include_usage: wantsUsage } });
    const events = completionEvents(context, countingStamps());
    const text =
      events.begin() +
      chunksOf(script)
        .map((chunk) => events.add(chunk))
        .join("") +
      events.end();
    const stream = await openaiOver(text).completions.create({ model: "m", prompt: "x", stream: true });
    let said = "";
    let reason: string | undefined;
    let counted: unknown;
    for await (const chunk of stream) {
      said += chunk.choices[0]?.text ?? "";
      reason = chunk.choices[0]?.finish_reason ?? reason;
      counted = chunk.usage ?? counted;
    }
    expect([said, reason]).toEqual(["one twothree four", "stop"]);
    expect(counted).toEqual(wantsUsage ? usage : undefined);
    expect(events.document()).toMatchObject({ choices: [{ index: 0, text: said, finish_reason: "stop" }] });
  });

  it("broken off", async () => {
    const events = completionEvents(translate({}).context, countingStamps());
    const text = events.add(chunkOf({ content: "a" })) + events.fail(new ZephError("stream_cut"));
    const stream = await openaiOver(text).completions.create({ model: "m", prompt: "x", stream: true });
    await expect(collect(stream)).rejects.toThrow();
    expect(completionsRefusal(new ZephError("stream_cut"))).toMatchObject({
      status: 502,
      body: { error: { type: "server_error" } },
    });
  });
});

async function collect(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
