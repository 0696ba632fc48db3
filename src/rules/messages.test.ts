import { describe, expect, it } from "vitest";
import { cleanChatRequest } from "../../test/support/clean-chat-request.ts";
import { checkMessages } from "../sandbox/classic/request.ts";
import { applyNetworkRules } from "../sandbox/rules.ts";

const user = { role: "user", content: "hi" };
const call = (id: unknown, name = "f") => ({ id, type: "function", function: { name, arguments: "{}" } });
const asks = (...calls: unknown[]) => ({ role: "assistant", content: null, tool_calls: calls });
const result = (id: unknown, content: unknown = "r") => ({ role: "tool", tool_call_id: id, content });

function clean(messages: readonly unknown[], access: "broker" | "native" = "broker") {
  const cleaned = cleanChatRequest({ model: "m", messages }, { access });
  expect(applyNetworkRules(cleaned.request, "network")).toMatchObject({ kind: "accepted" });
  return { ...cleaned, messages: cleaned.request.messages };
}

describe("messages that fit", () => {
  it.each<[string, readonly unknown[]]>([
    [
      "every role",
      [
        { role: "developer", content: "d" },
        { role: "system", content: "s" },
        user,
        { role: "assistant", content: "a" },
      ],
    ],
    [
      "text parts",
      [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
      ],
    ],
    ["calls and results", [user, asks(call("a"), call("b")), result("b"), result("a"), user]],
    [
      "an older call",
      [
        user,
        { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
        { role: "function", name: "f", content: "r" },
      ],
    ],
    ["thoughts that are played back", [user, { role: "assistant", content: "a", reasoning_content: "hm" }, user]],
    ["thoughts with details", [user, { role: "assistant", content: "a", reasoning_details: [{ text: "hm" }] }, user]],
    ["thoughts in tags", [user, { role: "assistant", content: "<think>hm</think>a" }, user]],
    ["names of speakers", [{ ...user, name: "ann" }]],
    ["an id that comes again in a later turn", [user, asks(call("a")), result("a"), asks(call("a")), result("a")]],
  ])("stay: %s", (_, messages) => {
    expect(clean(messages)).toMatchObject({ messages, isUntouched: true });
  });
});

describe("ids of tool calls", () => {
  it("that come twice in a turn are made different, and results follow in order", () => {
    const messages = [
      user,
      asks(call("x"), call("y"), call("x", "g")),
      result("x", "first"),
      result("y"),
      result("x", "second"),
    ];
    expect(clean(messages)).toMatchObject({
      messages: [
        user,
        asks(call("x"), call("y"), call("functions.g:2", "g")),
        result("x", "first"),
        result("y"),
        result("functions.g:2", "second"),
      ],
      changed: ["messages[1].tool_calls[2]", "messages[4].tool_call_id"].map((name) =>
        expect.stringContaining(name.slice(0, 11)),
      ),
      removed: [],
    });
  });

  it("are numbered through the whole conversation, past those that are taken", () => {
    const messages = [
      user,
      asks(call("a"), call("a")),
      result("a"),
      result("a"),
      asks(call("functions.f:3"), call("b"), call("b")),
    ];
    const [, first, , , second] = clean(messages).messages as { tool_calls: { id: string }[] }[];
    expect(first?.tool_calls.map(({ id }) => id)).toEqual(["a", "functions.f:1"]);
    expect(second?.tool_calls.map(({ id }) => id)).toEqual(["functions.f:3", "b", "functions.f:4"]);
  });

  it.each<[string, unknown]>([
    ["empty", ""],
    ["missing", undefined],
    ["blank", " "],
    ["no text", 5],
  ])("that are %s are given, to the result too", (_, id) => {
    expect(clean([user, asks(call(id)), result(id)]).messages).toEqual([
      user,
      asks(call("functions.f:0")),
      result("functions.f:0"),
    ]);
  });

  it("survive when every call of a turn has the same one", () => {
    const messages = [
      user,
      asks(call("x"), call("x"), call("x")),
      result("x", "1"),
      result("x", "2"),
      result("x", "3"),
    ];
    const cleaned = clean(messages).messages as { tool_call_id?: string; content: string }[];
    expect(cleaned.slice(2).map(({ tool_call_id: id, content }) => `${id} ${content}`)).toEqual([
      "x 1",
      "functions.f:1 2",
      "functions.f:2 3",
    ]);
  });
});

describe("tool calls", () => {
  it.each<[string, unknown, unknown]>([
    [
      "arguments as an object",
      { ...call("a"), function: { name: "f", arguments: { a: 1 } } },
      { ...call("a"), function: { name: "f", arguments: '{"a":1}' } },
    ],
    ["no arguments", { id: "a", type: "function", function: { name: "f" } }, call("a")],
    ["no type", { id: "a", function: { name: "f", arguments: "{}" } }, call("a")],
  ])("%s", (_, given, after) => {
    expect(clean([user, asks(given), result("a")]).messages).toEqual([user, asks(after), result("a")]);
  });

  it("without a name go: MiniMax streams one call as two entries", () => {
    const nameless = { id: "b", type: "function", function: { name: null, arguments: "{}" } };
    expect(clean([user, asks(call("a"), nameless), result("a")])).toMatchObject({
      messages: [user, asks(call("a")), result("a")],
      removed: ["messages[1].tool_calls[1]"],
    });
  });

  it.each<[string, unknown]>([
    ["null", null],
    ["an empty list", []],
  ])("%s instead of calls is left out", (_, calls) => {
    expect(clean([user, { role: "assistant", content: "a", tool_calls: calls, function_call: null }]).messages).toEqual(
      [user, { role: "assistant", content: "a" }],
    );
  });

  it("on a role that owns none are taken away and named", () => {
    const odd = { ...user, tool_calls: [call("a")], tool_call_id: "a", function_call: { name: "f" } };
    expect(clean([odd])).toMatchObject({
      messages: [user],
      removed: ["messages[0].tool_calls", "messages[0].tool_call_id", "messages[0].function_call"],
    });
  });
});

describe("what the network would drop without a word is dropped and named", () => {
  it.each<[string, readonly unknown[], readonly unknown[], string[]]>([
    ["a result without a call", [user, result("gone")], [user], ["messages[1]"]],
    ["a result before its call", [result("a"), user, asks(call("a"))], [user, asks(call("a"))], ["messages[0]"]],
    ["a turn that says nothing", [user, { role: "assistant", content: "" }, user], [user, user], ["messages[1]"]],
    ["a turn with null", [user, { role: "assistant", content: null }, user], [user, user], ["messages[1]"]],
    ["a turn with an empty list", [user, { role: "assistant", content: [] }, user], [user, user], ["messages[1]"]],
    ["a function result without a name", [user, { role: "function", content: "r" }], [user], ["messages[1]"]],
  ])("%s", (_, given, after, removed) => {
    expect(clean(given)).toMatchObject({ messages: after, removed });
  });
});

describe("roles and contents", () => {
  it.each<[string, object, object]>([
    ["the word human", { role: "human", content: "x" }, { role: "user", content: "x" }],
    ["the word model", { role: "model", content: "x" }, { role: "assistant", content: "x" }],
    [
      "a part of another API",
      { role: "user", content: [{ type: "input_text", text: "x" }] },
      { role: "user", content: [{ type: "text", text: "x" }] },
    ],
    [
      "a part with a cache mark",
      { role: "user", content: [{ type: "text", text: "x", cache_control: {} }] },
      { role: "user", content: [{ type: "text", text: "x" }] },
    ],
    [
      "a part that is a plain text",
      { role: "user", content: ["x"] },
      { role: "user", content: [{ type: "text", text: "x" }] },
    ],
    [
      "one part without a list",
      { role: "user", content: { type: "text", text: "x" } },
      { role: "user", content: [{ type: "text", text: "x" }] },
    ],
    [
      "a refusal",
      { role: "assistant", content: [{ type: "refusal", refusal: "no" }] },
      { role: "assistant", content: [{ type: "text", text: "no" }] },
    ],
    [
      "thoughts as a part",
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm" },
          { type: "text", text: "x" },
        ],
      },
      { role: "assistant", content: [{ type: "text", text: "x" }] },
    ],
    ["nothing from the user", { role: "user", content: null }, { role: "user", content: "" }],
    ["an empty list from the user", { role: "user", content: [] }, { role: "user", content: "" }],
    ["a number", { role: "user", content: 5 }, { role: "user", content: "5" }],
    ["null in other fields", { role: "user", content: "x", name: null, refusal: null }, { role: "user", content: "x" }],
  ])("%s", (_, given, after) => {
    expect(clean([given]).messages).toEqual([after]);
  });

  it.each<[string, unknown, unknown]>([
    ["empty", "", "<empty tool result>"],
    ["null", null, "<empty tool result>"],
    ["an empty list", [], "<empty tool result>"],
    ["an object", { ok: true }, '{"ok":true}'],
  ])("a result that is %s", (_, content, after) => {
    expect(clean([user, asks(call("a")), { ...result("a", content), name: "f" }]).messages).toEqual([
      user,
      asks(call("a")),
      result("a", after),
    ]);
  });

  it("a function result gets the name of the call before it", () => {
    const asked = { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } };
    expect(clean([user, asked, { role: "function", content: "r" }]).messages).toEqual([
      user,
      asked,
      { role: "function", content: "r", name: "f" },
    ]);
  });
});

describe("for nodes", () => {
  it("names of speakers go too", () => {
    const cleaned = clean(
      [
        { ...user, name: "ann" },
        { role: "assistant", content: "a", name: "bot", tool_calls: null },
      ],
      "native",
    );
    expect(cleaned).toMatchObject({
      messages: [user, { role: "assistant", content: "a" }],
      removed: ["messages[0].name", "messages[1].name"],
    });
    expect(checkMessages(cleaned.messages as unknown[])).toBeUndefined();
  });

  it("a conversation with tools passes their rules", () => {
    const messages = [
      user,
      { ...asks(call("x"), call("x")), function_call: null },
      { ...result("x"), name: "f" },
      result("x", ""),
    ];
    expect(checkMessages(clean(messages, "native").messages as unknown[])).toBeUndefined();
  });
});
