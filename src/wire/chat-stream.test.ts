import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chatBodyReader } from "./chat-body.ts";
import { chatStreamFilter, chatStreamReader } from "./chat-stream.ts";

/** Chunks and their pieces, written the short way. */
const chunk = (delta: object, finish: string | null = null, more: object = {}) => ({
  id: "c1",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});
const say = (content: unknown) => chunk({ content });
const calls = (...entries: unknown[]) => chunk({ tool_calls: entries });
const call = (name: unknown, given: unknown, more: object = {}) => ({ ...more, function: { name, arguments: given } });
const more = (given: unknown, rest: object = {}) => ({ ...rest, function: { arguments: given } });
const events = (...list: unknown[]) =>
  list.map((each) => `data: ${typeof each === "string" ? each : JSON.stringify(each)}\n\n`).join("");
const end = (reason = "stop") => [chunk({}, reason), "[DONE]"];
const stop = events(...end());
const done = (...list: unknown[]) => events(...list, ...end("tool_calls"));

const TOOLS = ["weather", "time"].map((name) => ({
  type: "function",
  function: {
    name,
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } },
  },
}));

function read(text: string, tools: unknown = TOOLS, asked: "stream" | "whole" = "stream", contentType = "") {
  let drawn = 0;
  const request = tools === null ? undefined : () => ({ model: "m", tools });
  const options = { asked, request, needsDone: false, contentType, newId: () => `new${drawn++}` };
  const reader = chatBodyReader(options);
  const first = reader.push(Buffer.from(text));
  const { bytes, end: how } = reader.end();
  const out = Buffer.concat([first ?? Buffer.alloc(0), bytes ?? Buffer.alloc(0)]).toString();
  return { out, end: how, notices: reader.notices };
}

/** Content, thinking and calls behind a stream, in one line. */
function words(text: string, tools: unknown = TOOLS, contentType = ""): string {
  const { out, end: how, notices } = read(text, tools, "stream", contentType);
  const found = { content: "", reasoning: "", finish: "" };
  const list: string[] = [];
  for (const event of out.split("\n\n")) {
    const data = event.replace(/^data: ?/, "");
    if (!data.startsWith("{")) continue;
    for (const { index, delta, finish_reason } of JSON.parse(data).choices) {
      if (index !== 0) continue;
      found.content += delta.content ?? "";
      found.reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
      found.finish += finish_reason ?? "";
      for (const { index: at, id, function: target } of delta.tool_calls ?? []) {
        list[at] = (list[at] ?? `${id} ${target.name} `) + target.arguments;
      }
    }
  }
  const parts = [
    found.reasoning && `(${found.reasoning.trim()})`,
    found.content,
    ...list.map((each) => `[${each}]`),
    found.finish && `.${found.finish}`,
    how.error && `!${how.error.code}: ${how.error.detail}`,
    ...notices.map((notice) => `~${notice.slice(0, 40)}`),
  ];
  return parts.filter((part) => part).join("");
}

const OSLO = '{"city":"Oslo"}';
const ROME = '{"city":"Rome"}';

describe("tool calls", () => {
  it.each([
    [
      "two without index and id",
      done(calls(call("weather", OSLO)), calls(call("weather", ROME))),
      `[new0 weather ${OSLO}][new1 weather ${ROME}].tool_calls`,
    ],
    [
      "pieces without index and id",
      done(calls(call("weather", '{"ci')), calls(more('ty":"Oslo"}')), calls(call("time", "{")), calls(more("}"))),
      `[new0 weather ${OSLO}][new1 time {}].tool_calls`,
    ],
    [
      "null as index",
      done(calls(call("weather", OSLO, { index: null, id: "a" }), call("time", "{}", { index: null, id: "b" }))),
      `[a weather ${OSLO}][b time {}].tool_calls`,
    ],
    [
      "digits as index",
      done(calls(call("weather", '{"city":', { index: "0", id: "a" })), calls(more('"Oslo"}', { index: "0" }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "one id, two indexes",
      done(calls(call("weather", OSLO, { index: 0, id: "a" })), calls(call("weather", ROME, { index: 1, id: "a" }))),
      `[a weather ${OSLO}][new0 weather ${ROME}].tool_calls`,
    ],
    [
      "one id, one index, two names",
      done(calls(call("weather", OSLO, { index: 0, id: "a" })), calls(call("time", "{}", { index: 0, id: "a" }))),
      `[a weather ${OSLO}][new0 time {}].tool_calls`,
    ],
    [
      "one id, one index, one delta",
      done(calls(call("weather", OSLO, { index: 0, id: "a" }), call("weather", ROME, { index: 0, id: "a" }))),
      `[a weather ${OSLO}][new0 weather ${ROME}].tool_calls`,
    ],
    [
      "id and name on every piece",
      done(
        calls(call("weather", '{"ci', { index: 0, id: "a" })),
        calls(call("weather", 'ty":"Oslo"}', { index: 0, id: "a" })),
      ),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "another id and the name on every piece",
      done(
        calls(call("weather", '{"ci', { index: 0, id: "a" })),
        calls(call("weather", 'ty":"Oslo"}', { index: 0, id: "b" })),
      ),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "the name after the arguments",
      done(calls(more('{"city":', { index: 0, id: "a" })), calls(call("weather", '"Oslo"}', { index: 0 }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "the name in pieces",
      done(
        calls(call("wea", undefined, { index: 0, id: "a" })),
        calls(call("ther", "", { index: 0 })),
        calls(more(OSLO, { index: 0 })),
      ),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "an object as arguments, a number as id",
      done(calls(call("weather", { city: "Oslo" }, { index: 0, id: 5 }))),
      `[5 weather ${OSLO}].tool_calls`,
    ],
    [
      "empty arguments first",
      done(
        calls(call("weather", "{}", { index: 0, id: "a" })),
        calls(more('{"city":', { index: 0 })),
        calls(more('"Oslo"}', { index: 0 })),
      ),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "pieces that repeat everything so far",
      done(
        calls(call("weather", '{"ci', { index: 0, id: "a" })),
        calls(more('{"city":"O', { index: 0 })),
        calls(more(OSLO, { index: 0 })),
      ),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "arguments twice",
      done(calls(call("weather", OSLO, { index: 0, id: "a" })), calls(more(OSLO, { index: 0 }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "arguments begun twice",
      done(
        calls(call("weather", '{"city":"Oslo"', { index: 0, id: "a" })),
        calls(more('{"city":"Oslo","days":1}', { index: 0 })),
      ),
      '[a weather {"city":"Oslo","days":1}].tool_calls',
    ],
    [
      "a second entry without a name (MiniMax)",
      done(
        calls(call("weather", "", { index: 0, id: "a" })),
        calls(call(null, '{"city":"Oslo"', { index: 1, id: null })),
        calls(call(null, '{"city":"Oslo","days":1}', { index: 1, id: null })),
      ),
      '[a weather {"city":"Oslo","days":1}].tool_calls',
    ],
    [
      "a second entry that repeats (MiniMax)",
      done(calls(call("weather", OSLO, { index: 0, id: "a" })), calls(call(null, OSLO, { index: 1, id: null }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "JSON in a JSON text",
      done(calls(call("weather", JSON.stringify(OSLO), { index: 0, id: "a" }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    ["null as text", done(calls(call("time", "null", { index: 0, id: "a" }))), "[a time {}].tool_calls"],
    ["null", done(calls(call("time", null, { index: 0, id: "a" }))), "[a time {}].tool_calls"],
    [
      "a lost bracket",
      done(calls(call("weather", '{"city":"Oslo"', { index: 0, id: "a" }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "a line break in a text",
      done(calls(call("weather", '{"city":"Os\nlo"}', { index: 0, id: "a" }))),
      '[a weather {"city":"Os\\nlo"}].tool_calls',
    ],
    [
      "an end tag behind",
      done(calls(call("weather", `${OSLO}</tool_call>`, { index: 0, id: "a" }))),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "one call instead of a list",
      done(chunk({ tool_calls: call("weather", OSLO, { id: "a" }) })),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "no function object",
      done(calls({ id: "a", name: "weather", arguments: { city: "Oslo" } })),
      `[a weather ${OSLO}].tool_calls`,
    ],
    [
      "everything with the finish reason",
      events(chunk({ tool_calls: [call("time", "", { index: 0, id: "a" })] }, "tool_calls"), "[DONE]"),
      "[a time {}].tool_calls",
    ],
    [
      "null and [] where there are none",
      events(chunk({ content: "a", tool_calls: null }), chunk({ content: "b", tool_calls: [] })) + stop,
      "ab.stop",
    ],
    [
      "cut at the token limit",
      events(calls(call("weather", '{"city":"Os', { index: 0, id: "a" })), ...end("length")),
      '[a weather {"city":"Os].length~the arguments of the tool call "weather"',
    ],
    ["announced only", events(say("Hm"), ...end("tool_calls")), "Hm.stop~the endpoint announced a tool call that "],
  ])("%s", (_, text, expected) => {
    expect(words(text)).toBe(expected);
  });
});

const KIMI = `<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>${OSLO}<|tool_call_end|><|tool_calls_section_end|>`;
const MINIMAX =
  '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Oslo</parameter>\n<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>';

describe("calls written into the text", () => {
  it.each([
    ["Kimi", say(`I look. ${KIMI}`), TOOLS, `I look. [functions.weather:0 weather ${OSLO}].tool_calls`],
    [
      "Kimi in its thinking",
      chunk({ reasoning_content: `I look. ${KIMI}` }),
      TOOLS,
      `(I look.)[functions.weather:0 weather ${OSLO}].tool_calls`,
    ],
    [
      "Kimi, two, without the end",
      say(
        KIMI.replace(
          "<|tool_calls_section_end|>",
          "<|tool_call_begin|>functions.time:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
        ),
      ),
      TOOLS,
      `[functions.weather:0 weather ${OSLO}][functions.time:1 time {}].tool_calls`,
    ],
    ["Kimi, cut", say(KIMI.slice(0, 110)), TOOLS, ".stop~the model wrote a tool call that cannot "],
    ["Kimi, where no tool was offered", say(KIMI), [], `${KIMI}.stop~the model wrote a tool call into its ans`],
    ["MiniMax", say(`I look.\n${MINIMAX}`), TOOLS, 'I look.\n[new0 weather {"city":"Oslo","days":3}].tool_calls'],
    ["MiniMax, tools unknown", say(MINIMAX), null, '[new0 weather {"city":"Oslo","days":3}].tool_calls'],
    [
      "Hermes",
      say(`<tool_call>\n{"name":"weather","arguments":${OSLO}}\n</tool_call>`),
      TOOLS,
      `[new0 weather ${OSLO}].tool_calls`,
    ],
    ["Hermes, tools unknown: text", say("<tool_call>x</tool_call>"), null, "<tool_call>x</tool_call>.stop"],
    [
      "Hermes, a tool nobody offered: text",
      say('<tool_call>{"name":"rm","arguments":{}}</tool_call>'),
      TOOLS,
      '<tool_call>{"name":"rm","arguments":{}}</tool_call>.stop~the model wrote something like a tool ca',
    ],
    [
      "Qwen in tags",
      say("<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>"),
      TOOLS,
      `[new0 weather ${OSLO}].tool_calls`,
    ],
    [
      "GLM",
      say("<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>"),
      TOOLS,
      `[new0 weather ${OSLO}].tool_calls`,
    ],
    [
      "DeepSeek",
      say(
        `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${OSLO}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
      ),
      TOOLS,
      `[new0 weather ${OSLO}].tool_calls`,
    ],
    [
      "DeepSeek 3.1",
      say(
        `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${OSLO}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
      ),
      TOOLS,
      `[new0 weather ${OSLO}].tool_calls`,
    ],
    ["less-than signs are text", say("a < b <| c"), TOOLS, "a < b <| c.stop"],
  ])("%s", (_, first, tools, expected) => {
    expect(words(events(first) + stop, tools)).toBe(expected);
  });
});

describe("thinking in the content", () => {
  it.each([
    ["in tags", [say("<think>\nhm</th"), say("ink>\n\nHi")], "(hm)Hi.stop"],
    ["in tags of others", [say("<thinking>hm</thinking>Hi")], "(hm)Hi.stop"],
    ["twice", [say("<think>hm</think>\n<think>hm</think>Hi")], "(hmhm)Hi.stop"],
    ["never closed", [say("<think>hm")], "(hm).stop"],
    [
      "with its closing tag only",
      [say("The user"), say(" says hi. </think>"), say("\n\nHi")],
      "(The user says hi.)Hi.stop",
    ],
    [
      "that begins like an answer",
      [say("Greet.\n"), say("</think>\n\nHi")],
      "Greet.\nHi.stop~the model's thinking stands in front of ",
    ],
    ["spoken of", [say("Use `</think>` here")], "Use `</think>` here.stop"],
    ["an answer that begins like thinking", [say("The user"), say("s of this page")], "The users of this page.stop"],
    ["told by another way", [chunk({ reasoning_content: "hm" }), say("The user"), say(" is")], "(hm)The user is.stop"],
  ])("%s", (_, list, expected) => {
    expect(words(events(...list) + stop)).toBe(expected);
  });

  it("is found in a whole answer whatever it begins with", () => {
    const message = { role: "assistant", content: "Greet.\n</think>\n\nHi" };
    const { out } = read(JSON.stringify({ id: "c", choices: [{ index: 0, message }] }), [], "whole");
    expect(JSON.parse(out).choices[0].message).toMatchObject({ content: "Hi", reasoning_content: "Greet.\n" });
  });

  it("is marked, for models that need it back the way it came", () => {
    const reader = chatStreamReader();
    const pieces = reader.push(Buffer.from(events(say("<think>hm</think>Hi")) + stop));
    expect(pieces[0]).toMatchObject({
      chunk: { choices: [{ delta: { content: "Hi", reasoning_content: "hm", thinking_in_tags: true } }] },
    });
  });
});

describe("odd forms", () => {
  it.each([
    ["a refusal as a part", events(say([{ type: "refusal", refusal: "no" }])) + stop, ".stop"],
    ["a number as content", events(say(42)) + stop, "42.stop"],
    ["one part as content", events(say({ type: "text", text: "Hi" })) + stop, "Hi.stop"],
    [
      "thinking under other names",
      events(
        chunk({ reasoning: "a" }),
        chunk({ thinking: "b" }),
        chunk({ reasoning_details: [{ type: "reasoning.text", text: "c" }] }),
        say("Hi"),
      ) + stop,
      "(abc)Hi.stop",
    ],
    ["odd roles", events(chunk({ role: "model", content: "a" }), chunk({ role: "", content: "b" })) + stop, "ab.stop"],
    [
      "no delta, texts, messages",
      events({ id: 1, choices: [{ text: "a" }] }, { choices: [{ message: { content: "b" } }] }, { choices: [{}] }) +
        stop,
      "ab.stop",
    ],
    ["odd choices", events({ id: "c", choices: [null, { index: "0", delta: { content: "a" } }] }) + stop, "a.stop"],
    ["words for the end", events(say("a"), chunk({}, "end_turn"), "[DONE]"), "a.stop"],
    [
      "a word of its own for the end",
      events(say("a"), chunk({}, "odd"), "[DONE]"),
      "a.stop~the endpoint ended the answer for a reas",
    ],
    ["an empty finish reason", events(chunk({ content: "a" }, ""), chunk({ content: "b" }, "null")) + stop, "ab.stop"],
    ["words after the end", events(say("a"), chunk({}, "stop"), say("b")) + stop, "ab.stop"],
    [
      "a whole answer as an event",
      events(
        {
          id: "c",
          object: "chat.completion",
          choices: [{ message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }],
        },
        "[DONE]",
      ),
      "Hi.stop",
    ],
    ["usage alone", events({ id: "c", usage: { prompt_tokens: 1, completion_tokens: 0 } }, "[DONE]"), ".stop"],
    ["harmless events", events("null", "{}", "", "ping", '{"type":"ping"}', '""', "[]", say("a")) + stop, "a.stop"],
    ["harmless lines", `x-trace: 1\n: note\nretry: 1\n\nevent: ping\ndata: x\n\n${events(say("a"))}${stop}`, "a.stop"],
    ["the prefix twice", `data: ${events(say("a"))}${stop}`, "a.stop"],
    ["[DONE] in other clothes", events(say("a"), chunk({}, "stop"), ' "[done]" '), "a.stop"],
    ["[DONE] and no line break", `${events(say("a"), chunk({}, "stop"))}data: [DONE]`, "a.stop"],
    ["events after [DONE]", events(say("a"), ...end(), say("b")), "a.stop"],
    [
      "an empty error",
      events(chunk({ content: "a" }, null, { error: {} }), chunk({ content: "b" }, null, { error: null })) + stop,
      "ab.stop",
    ],
    [
      "JSON lines",
      [say("a"), chunk({}, "stop", { usage: { prompt_tokens: 1 } })].map((each) => JSON.stringify(each)).join("\n"),
      "a.stop~the endpoint did not mark the end of its",
    ],
    [
      "a whole answer and [DONE]",
      `${JSON.stringify({ id: "c", choices: [{ message: { content: "Hi" } }] })}\n\ndata: [DONE]\n\n`,
      "Hi.stop",
    ],
    [
      "blank lines, then a whole answer",
      `\n\n \n${JSON.stringify({ id: "c", choices: [{ message: { content: "Hi" } }] })}`,
      "Hi.stop",
    ],
  ])("%s", (_, text, expected) => {
    expect(words(text)).toBe(expected);
  });

  it("reads usage inside a choice and by other names, and guesses no count", () => {
    const usageOf = (value: object) => {
      const reader = chatStreamFilter();
      reader.push(Buffer.from(events(value)));
      reader.end();
      return reader.usageChunk?.usage;
    };
    const told = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const odd = { prompt_tokens: "1", completion_tokens: 2.5, total_tokens: -1 };
    expect(usageOf(chunk({}, null, { usage: odd }))).toEqual({});
    expect(usageOf(chunk({}, null, { usage: { input_tokens: 1, output_tokens: 2 } }))).toMatchObject(told);
    expect(usageOf({ id: "c", choices: [{ index: 0, delta: {}, usage: told }] })).toEqual(told);
    expect(usageOf(chunk({}, null, { usage: { prompt_tokens: null, prompt_tokens_details: [] } }))).toEqual({});
    expect(usageOf(chunk({}, null, { usage: [] }))).toBeUndefined();
    expect(usageOf(chunk({}, null, { usage: { cost: 0.1, prompt_tokens: null } }))).toEqual({ cost: 0.1 });
  });
});

describe("errors with a good status", () => {
  const half = events(say("Half"));
  it.each([
    ["a text", half + events({ error: "boom" }), "Half!stream_error: boom"],
    ["an object", half + events({ error: { message: "boom", code: 500 } }), "Half!stream_error: boom"],
    [
      "a code we know",
      half + events({ error: { message: "boom", code: "insufficient_quota" } }),
      "Half!insufficient_quota: boom",
    ],
    ["beside null", events({ choices: null, error: { message: "boom" } }, "[DONE]"), "!stream_error: boom"],
    [
      "in a choice",
      events({
        id: "c",
        choices: [{ index: 0, delta: { content: "Half" }, finish_reason: "error", error: { message: "boom" } }],
      }),
      "Half!stream_error: boom",
    ],
    [
      "a finish reason only",
      half + events(chunk({}, "error"), "[DONE]"),
      "Half!stream_error: the endpoint gave up in the middle of the answer",
    ],
    ["an event's name and a text", `${half}event: error\ndata: boom\n\n`, "Half!stream_error: boom"],
    ["an event's name and JSON", `${half}event: error\ndata: {"message":"boom"}\n\n`, "Half!stream_error: boom"],
    ["FastAPI", events({ detail: "boom" }), "!stream_error: boom"],
    ["FastAPI, a list", events({ detail: [{ loc: ["body"], msg: "boom" }] }), "!stream_error: boom"],
    ["a code and a message", events({ code: 1301, message: "boom", success: false }), "!stream_error: boom"],
    ["MiniMax", events({ base_resp: { status_code: 1004, status_msg: "boom" } }), "!stream_error: boom"],
    ["a list", JSON.stringify([{ error: { code: 400, message: "boom" } }]), "!upstream_error: boom"],
    ["a bare line", `${half}http: boom\n`, "Half!stream_error: http: boom"],
    ["bare JSON", `${half}{"error":{"message":"boom"}}\n`, "Half!stream_error: boom"],
    [
      "text as data",
      half + events("Internal error: boom"),
      "Half!bad_response: an event of the stream is not JSON: Internal error: boom",
    ],
    ["broken JSON as data", half + events('{"id":'), "Half!bad_response: an event of the stream is not JSON"],
    [
      "a web page",
      "<!DOCTYPE html><html><title>Boom</title></html>",
      "!bad_response: a web page came instead of an answer: Boom",
    ],
    ["a text instead of an answer", "boom", "!bad_response: boom"],
    ["nothing", "", "!bad_response: the answer was empty"],
    ["broken JSON", '{"id":"c1","choices":[{"me', "!bad_response: the answer is not valid JSON"],
    ["no answer in it", '{"id":"c1","choices":[]}', "!bad_response: the answer holds no choices"],
    [
      "no [DONE] and no usage",
      events(say("a"), chunk({}, "stop")),
      "a.stop!stream_cut: the stream ended without [DONE]",
    ],
    ["a cut", half, "Half!stream_cut: the stream ended without [DONE]~the endpoint did not say why the answer "],
  ])("%s", (_, text, expected) => {
    expect(words(text)).toBe(expected);
  });

  it("keeps secrets out of the words", () => {
    expect(words(events({ error: "key sk-abcdefgh12345678 is bad" }))).not.toContain("abcdefgh");
  });

  it("wants [DONE] where it was promised", () => {
    const reader = chatStreamReader({ needsDone: true });
    reader.push(Buffer.from(events(say("a"), chunk({}, "stop"))));
    expect(reader.end().end).toMatchObject({ state: "cut", error: { code: "stream_cut" } });
  });
});

describe("passing on", () => {
  const plain = fc.record({
    parts: fc.array(
      fc.record({
        text: fc
          .string({ unit: fc.oneof(fc.string({ unit: "grapheme", maxLength: 1 }), fc.constantFrom("\n", '"', "\\")) })
          .map((text) => `x${text.replaceAll("<", "")}`),
        isThought: fc.boolean(),
      }),
      { maxLength: 20 },
    ),
    newline: fc.constantFrom("\n", "\r\n"),
    note: fc.constantFrom("", ": note\n\n", "id: 7\n\n"),
    hasUsage: fc.boolean(),
  });
  const streamOf = ({
    parts,
    newline,
    note,
    hasUsage,
  }: typeof plain extends fc.Arbitrary<infer Value> ? Value : never) => {
    const usage = { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } };
    const list = [
      chunk({ role: "assistant", content: "" }),
      ...parts.map(({ text, isThought }) => chunk(isThought ? { reasoning_content: text } : { content: text })),
      chunk({}, "stop"),
      ...(hasUsage ? [{ ...chunk({}), ...usage }] : []),
      "[DONE]",
    ];
    return list
      .map((each) => note + events(each))
      .join("")
      .replaceAll("\n", newline);
  };

  it("leaves a sound stream byte for byte as it was, however it is cut", () => {
    fc.assert(
      fc.property(plain, fc.array(fc.nat(), { maxLength: 10 }), (given, cuts) => {
        const bytes = Buffer.from(streamOf(given));
        const filter = chatStreamFilter();
        const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const out: Uint8Array[] = [];
        for (let at = 1; at < points.length; at += 1) {
          out.push(filter.push(bytes.subarray(points[at - 1], points[at])) ?? Buffer.alloc(0));
        }
        expect(filter.isDone).toBe(true);
        expect(filter.end()).toMatchObject({ end: { state: "complete" } });
        expect(Buffer.concat(out).toString()).toBe(bytes.toString());
      }),
      { numRuns: 200 },
    );
  });

  it("tells chunks and says of each whether its bytes may go on", () => {
    fc.assert(
      fc.property(plain, (given) => {
        const bytes = Buffer.from(streamOf(given));
        const reader = chatStreamReader();
        const pieces = reader.push(bytes);
        const text = { content: "", reasoning_content: "" };
        for (const piece of pieces) {
          expect(piece.isUnchanged).toBe(true);
          if (piece.type !== "chunk") continue;
          const [choice] = piece.chunk.choices;
          text.content += choice?.delta.content ?? "";
          text.reasoning_content += choice?.delta.reasoning_content ?? "";
          const raw = Buffer.from(piece.raw ?? []).toString();
          expect(JSON.parse(raw.slice(raw.indexOf("data:") + 5))).toEqual(piece.chunk);
        }
        const told = (isThought: boolean) =>
          given.parts
            .filter((part) => part.isThought === isThought)
            .map((part) => part.text)
            .join("");
        expect(text).toEqual({ content: told(false), reasoning_content: told(true) });
        expect(pieces.at(-1)?.type).toBe("done");
      }),
      { numRuns: 100 },
    );
  });

  it("never throws and never hangs, whatever comes", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "data: ",
        "event: error",
        "\n",
        "\n\n",
        "\r",
        "[DONE]",
        "<think>",
        "</think>",
        KIMI,
        "{",
        "}",
        '"',
      ),
      fc.json(),
      fc.string({ unit: "binary" }),
      fc.json().map((text) => `data: {"choices":[{"delta":${text}}]}\n\n`),
      fc
        .json()
        .map((text) => `data: {"choices":[{"delta":{"tool_calls":[${text}]}}],"usage":${text},"error":${text}}\n\n`),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom("stream", "whole"), (parts, asked) => {
        const reader = chatBodyReader({ asked: asked as "stream" | "whole" });
        for (const part of parts) reader.push(Buffer.from(part));
        const { end: how } = reader.end();
        expect(how.error?.code).not.toBe("internal");
        expect(["complete", "finishedWithoutDone", "cut", "error"]).toContain(how.state);
      }),
      { numRuns: 500 },
    );
  });
});
