import fc from "fast-check";
import { expect, it } from "vitest";
import { ZephError } from "../errors/zeph-error.ts";
import { watchStream } from "./sse.ts";

const line = fc.oneof(
  fc.constantFrom(
    "",
    ": keep-alive",
    "data: [DONE]",
    "data:[DONE]",
    "event: x",
    "id: 1",
    'data: {"error":{"message":"x"}}',
  ),
  fc.string().map((text) => `data: ${text.replace(/[\r\n]/g, "")}`),
  fc.constantFrom("panic: bare text", "ünïcode bare"),
);
const stream = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom("\n", "\r\n"), fc.boolean())
  .map(([lines, newline, ends]) => lines.join(newline) + (ends ? newline : ""));

function outcome(bytes: Uint8Array, cuts: readonly number[]): string {
  const watch = watchStream();
  const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((x, y) => x - y), bytes.length];
  try {
    for (let i = 1; i < points.length; i += 1) watch.see(bytes.subarray(points[i - 1], points[i]));
    watch.end();
    return "ok";
  } catch (error) {
    return ZephError.is(error) ? error.message : "unexpected";
  }
}

it("judges a stream alike however its bytes are cut", () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 8 }), (text, cuts) => {
      const bytes = new TextEncoder().encode(text);
      expect(outcome(bytes, cuts)).toBe(outcome(bytes, []));
    }),
    { numRuns: 300 },
  );
});

it.each([
  ["data: {}\n\ndata: [DONE]\n\n", "ok"],
  ["data: {}\r\n\r\ndata: [DONE]\r\n\r\n", "ok"],
  [": keep-alive\n\ndata: [DONE]", "ok"],
  ['data: {"error":{"message":"boom"}}\n\n', "ok"],
  ["data: {}\n\n", "The answer broke off before its end: the stream ended without [DONE]"],
  ["", "The answer broke off before its end: the stream ended without [DONE]"],
  [
    "data: {}\n\nhttp: no such host\n",
    "The endpoint reported an error in the middle of the answer: http: no such host",
  ],
])("%j is %s", (text, expected) => {
  expect(outcome(new TextEncoder().encode(text), [])).toBe(expected);
});
