import { describe, expect, it } from "vitest";
import { matchModel, nearest, parseModels } from "./models.ts";

describe("parseModels", () => {
  it("reads what brokers and nodes say, in every spelling seen", () => {
    const models = parseModels({
      object: "list",
      data: [
        {
          id: "a/One",
          context_length: 128_000,
          pricing: { prompt: "0.00000022", completion: 0.00000099 },
          supported_parameters: ["tools"],
        },
        { id: "two", max_model_len: "4096", pricing: { input: 0.3, output: "0.9" }, capabilities: { tools: false } },
        { id: "BAAI/bge-m3" },
        { id: "x", type: "embedding", top_provider: { max_completion_tokens: 8192 } },
        { name: "no id" },
        "not an object",
      ],
    });
    expect(models).toEqual([
      {
        id: "a/One",
        kind: "chat",
        contextLengthTokens: 128_000,
        promptUsdPer1M: 0.22,
        completionUsdPer1M: 0.99,
        tools: true,
        parameters: ["tools"],
      },
      {
        id: "two",
        kind: "chat",
        contextLengthTokens: 4096,
        promptUsdPer1M: 0.3,
        completionUsdPer1M: 0.9,
        tools: false,
      },
      { id: "BAAI/bge-m3", kind: "embedding" },
      { id: "x", kind: "embedding", saysEmbedding: true, maxOutputTokens: 8192 },
    ]);
  });

  it("reads a node's list from before v0.2.12, and a bare array", () => {
    expect(parseModels({ models: [{ id: "m", units_of_compute_per_token: 5 }] })).toEqual([{ id: "m", kind: "chat" }]);
    expect(parseModels([{ id: "m" }])).toEqual([{ id: "m", kind: "chat" }]);
  });

  it("leaves out numbers that cannot be, instead of guessing", () => {
    const [model] = parseModels({
      data: [{ id: "m", context_length: -1, pricing: { prompt: "free", completion: -2 } }],
    });
    expect(model).toEqual({ id: "m", kind: "chat" });
  });

  it.each([null, 5, {}, { data: "x" }, "text"])("refuses %j", (json) => {
    expect(() => parseModels(json)).toThrow(expect.objectContaining({ code: "bad_response" }));
  });
});

describe("matchModel", () => {
  const ids = ["moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7", "deepseek/V4-Flash"];
  it("finds the exact id, another letter case, and the short name", () => {
    expect(matchModel("deepseek/V4-Flash", ids)).toEqual({ kind: "exact", id: "deepseek/V4-Flash" });
    expect(matchModel("moonshotai/kimi-k2.6", ids)).toEqual({ kind: "loose", id: "moonshotai/Kimi-K2.6" });
    expect(matchModel("minimax-m2.7", ids)).toEqual({ kind: "loose", id: "MiniMaxAI/MiniMax-M2.7" });
  });
  it("names the nearest when there is none", () => {
    expect(matchModel("kimi-k2.5", ids)).toMatchObject({
      kind: "none",
      nearest: ["moonshotai/Kimi-K2.6", expect.anything(), expect.anything()],
    });
    expect(nearest("initt", ["init", "ask"], 1)).toEqual(["init"]);
  });
  it("does not choose between two of one short name", () => {
    expect(matchModel("m", ["a/m", "b/m"]).kind).toBe("none");
  });
});
