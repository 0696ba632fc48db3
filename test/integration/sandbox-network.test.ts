import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import type { Engine } from "../../src/sandbox/engine.ts";
import { answerOf, chatBody, echoEngine, MODEL, signedCall } from "./sandbox-network-client.ts";

const clock = manualClock();
let network: SandboxNetwork;
let tick = 0n;

/** A timestamp no other call of this file has. */
function nowNanos(): bigint {
  tick += 1n;
  return BigInt(clock.nowMs()) * 1_000_000n + tick;
}

beforeEach(async () => {
  network = await startNetwork({ engine: echoEngine, clock });
});
afterEach(() => network.stop());

describe("a signed request the network accepts", () => {
  it("is answered with the signature as id, token fields nobody asked for, and one finished ledger entry", async () => {
    const account = network.createAccount({ balanceNgonka: 1_000_000_000n });
    const node = network.nodes[0]!;
    const response = await signedCall({ account, node, body: chatBody(), timestampNanos: nowNanos() });
    expect(response.status).toBe(200);
    const answer = await answerOf(response);
    const authorization = network.requests[0]!.headers.authorization;
    expect(answer.id).toBe(authorization);
    expect(answer.choices[0]!.message.content).toBe("You said: hello");
    expect(answer.choices[0]!.logprobs.content[0]!.top_logprobs).toHaveLength(5);
    expect(answer.choices[0]!.token_ids.length).toBeGreaterThan(0);
    expect(answer.prompt_token_ids.length).toBeGreaterThan(0);
    expect(Object.keys(answer)).toEqual(Object.keys(answer).toSorted());
    expect(network.chain.ledger.entries).toMatchObject([
      { inferenceId: authorization, account: account.address, node: node.address, model: MODEL, state: "finished" },
    ]);
    // 10 prompt and 5 completion tokens at 1000 ngonka each.
    expect(network.chain.accounts.find(account.address)!.balanceNgonka).toBe(1_000_000_000n - 15_000n);
    expect(network.violations).toEqual([]);
  });

  it("streams chunks of one id, a usage chunk without choices, and [DONE]", async () => {
    const account = network.createAccount();
    const body = chatBody({ stream: true });
    const response = await signedCall({ account, node: network.nodes[1]!, body, timestampNanos: nowNanos() });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const lines = (await response.text()).split("\n\n").filter((line) => line !== "");
    expect(lines.at(-1)).toBe("data: [DONE]");
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line.slice("data: ".length)));
    expect(new Set(chunks.map((chunk) => chunk.id))).toEqual(new Set([network.requests[0]!.headers.authorization]));
    expect(chunks[0].prompt_token_ids.length).toBeGreaterThan(0);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 5 } });
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe("You said: hello");
    expect(network.chain.ledger.entries.map((entry) => entry.state)).toEqual(["finished"]);
  });

  it("streams tool calls in pieces and counts each node's own address", async () => {
    const account = network.createAccount();
    const body = chatBody({ stream: true, tools: [{ type: "function", function: { name: "weather" } }] });
    const response = await signedCall({ account, node: network.nodes[2]!, body, timestampNanos: nowNanos() });
    const text = await response.text();
    const deltas = [...text.matchAll(/^data: (\{.*)$/gm)].map((match) => JSON.parse(match[1]!).choices[0]?.delta);
    const calls = deltas.flatMap((delta) => delta?.tool_calls ?? []);
    expect(calls[0]).toMatchObject({ id: "call_1", type: "function", function: { name: "weather" } });
    expect(calls.map((call) => call.function.arguments).join("")).toBe('{"city":"Bern"}');
    expect(new Set(network.nodes.map((node) => node.address)).size).toBe(3);
  });

  it("serves /v1/completions with the same kind of signature", async () => {
    const account = network.createAccount();
    const body = JSON.stringify({ model: MODEL, prompt: ["hi there"], max_tokens: 8 });
    const call = { account, node: network.nodes[0]!, body, timestampNanos: nowNanos(), path: "/completions" };
    const answer = await answerOf(await signedCall(call));
    expect(answer).toMatchObject({ object: "text_completion", choices: [{ text: "You said: hi there" }] });
  });

  it.each([
    ["reasoning", { content: "Hi", reasoning: "Hm. " }],
    ["reasoning_content", { content: "Hi", reasoning_content: "Hm. " }],
    ["think-tags", { content: "<think>\nHm. \n</think>\n\nHi" }],
  ] as const)("sends the model's thinking as %s", async (reasoning, expected) => {
    await network.stop();
    const thinking: Engine = {
      models: async () => (await echoEngine.models()).map((model) => ({ ...model, reasoning })),
      async *complete() {
        yield { type: "reasoning", text: "Hm. " };
        yield { type: "text", text: "Hi" };
        yield { type: "finish", reason: "stop", usage: { promptTokens: 1, completionTokens: 2, cachedTokens: 0 } };
      },
    };
    network = await startNetwork({ engine: thinking, clock });
    const account = network.createAccount();
    const node = network.nodes[0]!;
    const whole = await answerOf(await signedCall({ account, node, body: chatBody(), timestampNanos: nowNanos() }));
    expect(whole.choices[0]!.message).toEqual({ role: "assistant", ...expected });
    const body = chatBody({ stream: true });
    const text = await (await signedCall({ account, node, body, timestampNanos: nowNanos() })).text();
    const joined: Record<string, string> = {};
    for (const [, json = ""] of text.matchAll(/^data: (\{.*)$/gm)) {
      const { role: _, ...delta } = JSON.parse(json).choices[0]?.delta ?? {};
      for (const [field, piece] of Object.entries(delta)) joined[field] = (joined[field] ?? "") + piece;
    }
    expect(joined).toEqual(expected);
  });

  it("answers with the built-in engine when none is given, and lists no embedding models", async () => {
    await network.stop();
    network = await startNetwork({ clock });
    const { data } = (await (await fetch(`${network.nodes[0]!.baseURL}/models`)).json()) as { data: { id: string }[] };
    expect(data.length).toBeGreaterThan(0);
    expect(data.some(({ id }) => id.includes("embed"))).toBe(false);
    const account = network.createAccount();
    const body = chatBody({ model: data[0]!.id });
    const call = { account, node: network.nodes[0]!, body, timestampNanos: nowNanos() };
    const answer = await answerOf(await signedCall(call));
    expect(answer.choices[0]!.message.content).not.toBe("");
  });
});
