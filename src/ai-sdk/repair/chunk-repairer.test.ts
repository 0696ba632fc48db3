import { describe, expect, it } from "vitest";
import { chunkRepairer } from "./chunk-repairer.ts";

const chunk = (...toolCalls: unknown[]) => ({ choices: [{ index: 0, delta: { tool_calls: toolCalls } }] });
const entry = (index: number | undefined, name: string | null | undefined, args: unknown) => ({
  ...(index === undefined ? {} : { index }),
  function: { ...(name === undefined ? {} : { name }), arguments: args },
});

describe("chunkRepairer", () => {
  it("gives a chunk without choices an empty list", () => {
    expect(chunkRepairer().repair({ usage: { total_tokens: 1 } })).toEqual({ usage: { total_tokens: 1 }, choices: [] });
    expect(chunkRepairer().repair({ choices: null })).toEqual({ choices: [] });
  });

  it("leaves error objects to the decoder and wraps error texts", () => {
    expect(chunkRepairer().repair({ error: { message: "no" } })).toEqual({ error: { message: "no" } });
    expect(chunkRepairer().repair({ error: "no" })).toEqual({ error: { message: "no" } });
  });

  it("passes a named call and its continuations", () => {
    const repairer = chunkRepairer();
    expect(repairer.repair(chunk(entry(0, "f", "")))).toEqual(chunk(entry(0, "f", "")));
    expect(repairer.repair(chunk(entry(0, null, '{"a"')))).toEqual(chunk(entry(0, null, '{"a"')));
    expect(repairer.repair(chunk(entry(0, undefined, ":1}")))).toEqual(chunk(entry(0, undefined, ":1}")));
    expect(repairer.finish()).toBeUndefined();
  });

  it("writes arguments as text and adds a missing function", () => {
    expect(chunkRepairer().repair(chunk(entry(0, "f", { a: 1 })))).toEqual(chunk(entry(0, "f", '{"a":1}')));
    expect(chunkRepairer().repair(chunk({ id: "1" }))).toEqual(chunk({ id: "1", function: { arguments: "" } }));
  });

  it("holds arguments that come before their name", () => {
    const repairer = chunkRepairer();
    expect(repairer.repair(chunk(entry(0, null, '{"a"')))).toEqual(chunk());
    expect(repairer.repair(chunk(entry(0, null, ":")))).toEqual(chunk());
    expect(repairer.repair(chunk(entry(0, "f", "1}")))).toEqual(chunk(entry(0, "f", '{"a":1}')));
    expect(repairer.finish()).toBeUndefined();
  });

  it("gives what never got a name to the call that has no arguments", () => {
    const repairer = chunkRepairer();
    repairer.repair(chunk(entry(0, "f", "")));
    repairer.repair(chunk(entry(1, null, '{"a":')));
    repairer.repair(chunk(entry(1, null, "1}")));
    expect(repairer.finish()).toEqual({
      choices: [
        { index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] }, finish_reason: null },
      ],
    });
    expect(repairer.finish()).toBeUndefined();
  });

  it("drops the double of a call that has its arguments", () => {
    const repairer = chunkRepairer();
    repairer.repair(chunk(entry(0, "f", '{"a":1}'), entry(1, null, '{"a":1}')));
    expect(repairer.finish()).toBeUndefined();
  });
});
