import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { CHAT, type GatewayWorld, HELLO, startGateway } from "./gateway-world.ts";

let sandbox: Sandbox;
let local: GatewayWorld;

beforeAll(async () => {
  sandbox = await startSandbox({ broker: { rules: "network", recordBodies: true } });
  local = await startGateway({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
});
afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await sandbox.stop();
});

const tool = (parameters: unknown) => ({ tools: [{ type: "function", function: { name: "f", parameters } }] });
const call = (id: string) => ({ id, type: "function", function: { name: "f", arguments: "{}" } });

/** Requests as real clients send them; the network refuses each as it comes. */
const CLIENTS: readonly (readonly [string, Record<string, unknown>, removed: string, changed: string])[] = [
  ["Hermes: tags", { tags: ["a"] }, "tags", ""],
  ["vLLM users: guided_json", { guided_json: { type: "object" } }, "guided_json", "response_format"],
  ["vLLM users: extra_body", { extra_body: { guided_regex: "x", top_k: 0 } }, "guided_regex", "extra_body, top_k"],
  [
    "clients of 2023: functions",
    { functions: [{ name: "f" }], function_call: "auto" },
    "functions, function_call",
    "tools, tool_choice",
  ],
  [
    "OpenAI's newer fields",
    { verbosity: "low", web_search_options: {}, modalities: ["text"] },
    "verbosity, web_search_options, modalities",
    "",
  ],
  [
    "MCP tools: $ref and $defs",
    tool({ type: "object", properties: { a: { $ref: "#/$defs/A" } }, $defs: { A: { type: "string" } } }),
    "",
    "tools[0]",
  ],
  ["Claude-style choice", { ...tool({ type: "object" }), tool_choice: { type: "any" } }, "", "tool_choice"],
  ["n8n: max_tokens -1", { max_tokens: -1 }, "max_tokens", ""],
  ["greedy: top_p 0", { top_p: 0 }, "", "top_p"],
  ["stream_options without a stream", { stream_options: { include_usage: true } }, "stream_options", ""],
  ["reasoning_effort of another provider", { reasoning_effort: "auto" }, "reasoning_effort", ""],
  [
    "duplicate ids of tool calls",
    {
      messages: [
        ...HELLO,
        { role: "assistant", content: null, tool_calls: [call("a"), call("a")] },
        { role: "tool", tool_call_id: "a", content: "1" },
        { role: "tool", tool_call_id: "a", content: "2" },
      ],
    },
    "",
    "messages[1].tool_calls[1], messages[3].tool_call_id",
  ],
];

describe("requests the network refuses", () => {
  it.each(CLIENTS)("%s: refused as it comes, answered when cleaned, and named", async (_, more, removed, changed) => {
    const request = { model: CHAT, messages: HELLO, ...more };
    const direct = await fetch(`${sandbox.broker.baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${sandbox.broker.keys.good}` },
      body: JSON.stringify(request),
    });
    expect(direct.status).toBe(400);
    const response = await local.ask("/chat/completions", request);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-zeph-removed-params") ?? "").toBe(removed);
    expect(response.headers.get("x-zeph-changed-params") ?? "").toBe(changed);
    const line = JSON.parse(local.log().split("\n").at(-1) ?? "");
    expect([line.removed ?? "", line.changed ?? ""]).toEqual([removed, changed]);
  });

  it("are sent as they come with cleanUp none", async () => {
    await using plain = await startGateway(
      { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
      { cleanUp: "none" },
    );
    const response = await plain.ask("/chat/completions", { model: CHAT, messages: HELLO, tags: [] });
    expect(response.status).toBe(400);
    expect(response.headers.get("x-zeph-error-code")).toBe("parameter_rejected");
    expect(response.headers.get("x-zeph-removed-params")).toBeNull();
  });

  it("are cleaned in streams too, and named before the first byte", async () => {
    const response = await local.ask("/chat/completions", {
      model: CHAT,
      messages: HELLO,
      stream: true,
      tags: [],
      temperature: 9,
    });
    expect(response.headers.get("x-zeph-removed-params")).toBe("tags");
    expect(response.headers.get("x-zeph-changed-params")).toBe("temperature");
    expect(await response.text()).toContain("[DONE]");
  });
});

describe("what cannot be mended", () => {
  it("is refused here, with the field", async () => {
    const before = sandbox.broker.requests.length;
    const content = [
      { type: "text", text: "what is this?" },
      { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
    ];
    const response = await local.ask("/chat/completions", { model: CHAT, messages: [{ role: "user", content }] });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: "unsupported_capability",
        type: "invalid_request_error",
        param: "messages[0].content[1]",
        message: expect.stringContaining("image_url is not text"),
      },
    });
    expect(sandbox.broker.requests.length).toBe(before);
  });
});

describe("names", () => {
  it("that callers make up cannot break the header, the log or the metrics", async () => {
    const odd = {
      'x"\r\ny: z': 1,
      "gp-secretsecretsecret": 1,
      ["n".repeat(5000)]: 1,
      ...Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`made_up_${index}`, 1])),
    };
    const response = await local.ask("/chat/completions", { model: CHAT, messages: HELLO, ...odd });
    const header = response.headers.get("x-zeph-removed-params") ?? "";
    expect(header).toMatch(/^[\w.[\]?, -]{1,1100}$/);
    expect(header).toMatch(/and \d+ more$/);
    const metrics = await (
      await fetch(`${local.origin}/metrics`, { headers: { "x-api-key": "sk-zeph-planted-local-key-0123456789" } })
    ).text();
    expect(metrics).toMatch(/zeph_removed_parameters_total\{parameter="other"\} \d{3}/);
    expect(metrics).not.toContain("made_up");
    expect(header + metrics + local.log()).not.toContain("secretsecret");
  });
});
