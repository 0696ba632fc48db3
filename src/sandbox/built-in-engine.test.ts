import { describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { builtInEngine } from "./built-in-engine.ts";
import type { ChatRequest, EngineEvent } from "./engine.ts";

async function run(request: { model: string; content: string; [field: string]: unknown }, engine = builtInEngine()) {
  const { content, ...rest } = request;
  const events: EngineEvent[] = [];
  const chat: ChatRequest = { ...rest, messages: [{ role: "user", content }] };
  for await (const event of engine.complete(chat, new AbortController().signal)) events.push(event);
  const text = events.map((event) => (event.type === "text" ? event.text : "")).join("");
  return { events, text, finish: events.at(-1) };
}

describe("builtInEngine", () => {
  it("has a plain, two thinking and an embedding model", async () => {
    const models = await builtInEngine().models();
    expect(models.map((model) => [model.kind, model.reasoning])).toEqual([
      ["chat", undefined],
      ["chat", "reasoning_content"],
      ["chat", "think-tags"],
      ["chat", undefined],
      ["embedding", undefined],
    ]);
  });

  it("answers the same question with the same words", async () => {
    const question = { model: "sandbox/echo-1", content: "Why?" };
    expect((await run(question)).events).toEqual((await run(question)).events);
  });

  it("waits between words at the pace asked for", async () => {
    const clock = manualClock();
    const engine = builtInEngine({ tokensPerSecond: 20, clock });
    await run({ model: "sandbox/echo-1", content: "say a b c d" }, engine);
    expect(clock.sleepsMs).toEqual([50, 50, 50, 50]);
  });

  it("ends when it is told to", async () => {
    const controller = new AbortController();
    const request = { model: "sandbox/echo-1", messages: [{ role: "user", content: "count to 100" }] };
    const seen: EngineEvent[] = [];
    const reading = (async () => {
      for await (const event of builtInEngine().complete(request, controller.signal)) {
        seen.push(event);
        if (seen.length === 3) controller.abort(new Error("enough"));
      }
    })();
    await expect(reading).rejects.toThrow("enough");
    expect(seen).toHaveLength(3);
  });

  it("stops at a stop sequence", async () => {
    expect((await run({ model: "sandbox/echo-1", content: "count to 9", stop: ["7", ", 4"] })).text).toBe("1, 2, 3");
  });

  it("takes the smaller of the two limits", async () => {
    const { finish } = await run({
      model: "sandbox/echo-1",
      content: "count to 50",
      max_tokens: 9,
      max_completion_tokens: 4,
    });
    expect(finish).toMatchObject({ reason: "length", usage: { completionTokens: 4 } });
  });

  it("does not think when thinking is disabled", async () => {
    const content = "say yes";
    const thinking = await run({ model: "sandbox/thinker-1", content });
    const plain = await run({ model: "sandbox/thinker-1", content, thinking: { type: "disabled" } });
    expect(thinking.events.some((event) => event.type === "reasoning")).toBe(true);
    expect(plain.events.some((event) => event.type === "reasoning")).toBe(false);
    expect(plain.text).toBe("yes");
  });

  it("cuts a tool call short with length, not with tool_calls", async () => {
    const tools = [{ type: "function" as const, function: { name: "weather", parameters: { type: "object" } } }];
    const { finish } = await run({ model: "sandbox/echo-1", content: "weather?", tools, max_tokens: 1 });
    expect(finish).toMatchObject({ reason: "length" });
  });

  it("answers json_object with JSON", async () => {
    const { text } = await run({
      model: "sandbox/echo-1",
      content: "Say it in JSON",
      response_format: { type: "json_object" },
    });
    expect(JSON.parse(text)).toEqual({ reply: "Say it in JSON" });
  });
});
