import { describe, expect, it } from "vitest";
import { repairCompletion } from "./repair-completion.ts";

const call = (id: unknown, name: unknown, args: unknown) => ({
  id,
  type: "function",
  function: { name, arguments: args },
});

function repairedCalls(...toolCalls: unknown[]): unknown {
  const completion = { choices: [{ index: 0, message: { role: "assistant", content: null, tool_calls: toolCalls } }] };
  const repaired = repairCompletion(completion) as typeof completion;
  return repaired.choices[0]?.message.tool_calls;
}

describe("repairCompletion", () => {
  it("keeps a right call as it is", () => {
    expect(repairedCalls(call("call_1", "f", '{"a":1}'))).toEqual([call("call_1", "f", '{"a":1}')]);
  });

  it("leaves empty, missing and repeated ids to the SDK", () => {
    expect(
      repairedCalls(call("", "f", "{}"), call(undefined, "f", "{}"), call("x", "f", "{}"), call("x", "g", "{}")),
    ).toEqual([call(null, "f", "{}"), call(null, "f", "{}"), call("x", "f", "{}"), call(null, "g", "{}")]);
  });

  it("writes arguments as text", () => {
    expect(repairedCalls(call("1", "f", { a: 1 }), call("2", "g", null), call("3", "h", ""))).toEqual([
      call("1", "f", '{"a":1}'),
      call("2", "g", "{}"),
      call("3", "h", "{}"),
    ]);
  });

  it("gives a nameless entry to the call before it, or drops it as its double", () => {
    expect(repairedCalls(call("1", "f", ""), call(null, null, '{"a":1'), call("2", "g", '{"b":2}'))).toEqual([
      call("1", "f", '{"a":1'),
      call("2", "g", '{"b":2}'),
    ]);
    expect(repairedCalls(call("1", "f", '{"a":1}'), call(null, null, '{"a":1}'))).toEqual([call("1", "f", '{"a":1}')]);
    expect(repairedCalls(call(null, null, '{"a":1}'))).toEqual([]);
  });

  it.each([[{}], [{ choices: "?" }], [{ choices: [null, { message: null }, { message: { content: "hi" } }] }]])(
    "passes %j on",
    (completion) => {
      expect(repairCompletion(completion)).toEqual(completion);
    },
  );
});
