import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { type SseEvent, sseReader } from "./sse.ts";

function eventsOf(bytes: Uint8Array, cuts: readonly number[] = []) {
  const found: { name: string; data: string | undefined; bare: string; raw: string; isFinished: boolean }[] = [];
  const reader = sseReader({
    event: (event: SseEvent) =>
      found.push({
        name: event.name,
        data: event.dataLines === 0 ? undefined : event.data(),
        bare: event.bare,
        raw: Buffer.from(event.buffer.subarray(event.start, event.end)).toString("latin1"),
        isFinished: event.isFinished,
      }),
  });
  const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let at = 1; at < points.length; at += 1) reader.push(bytes.subarray(points[at - 1], points[at]));
  reader.end();
  return found;
}

const dataOf = (text: string) => eventsOf(Buffer.from(text)).map(({ data }) => data);

describe("sseReader", () => {
  it.each([
    ["data: a\n\ndata:b\n\n", ["a", "b"]],
    ["data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
    ["data: a\r\rdata: b\r\r", ["a", "b"]],
    ["\ufeffdata: a\n\n", ["a"]],
    ["data: a\ndata: b\n\n", ["a\nb"]],
    ["data\n\n", [""]],
    ["data:\n\n", [""]],
    ["data:  two\n\n", [" two"]],
    [": note\n\n", [undefined]],
    ["id: 1\nretry: 3\nevent: x\ndata: a\n\n", ["a"]],
    ["data: a", ["a"]],
    ["data: a\n", ["a"]],
    ["data: a\r", ["a"]],
    ["", []],
  ])("reads %j", (text, expected) => {
    expect(dataOf(text)).toEqual(expected);
  });

  it("tells names, bare lines and what is not finished", () => {
    const [first, second, third] = eventsOf(Buffer.from("event: error\ndata: a\n\nhttp: no such host\n\ndata: b"));
    expect(first).toMatchObject({ name: "error", data: "a", isFinished: true });
    expect(second).toMatchObject({ name: "", bare: "http: no such host" });
    expect(third).toMatchObject({ data: "b", isFinished: false });
  });

  it("takes long events, in pieces of any size, and refuses endless ones", () => {
    const long = `data: ${"x".repeat(3 * 1024 * 1024)}\n\n`;
    const reader = sseReader({ event: (event) => expect(event.data()).toHaveLength(3 * 1024 * 1024) });
    const bytes = Buffer.from(long);
    for (let at = 0; at < bytes.length; at += 100) reader.push(bytes.subarray(at, at + 100));
    const endless = sseReader({ event: () => {} });
    const piece = Buffer.alloc(64 * 1024, 0x78);
    const error = thrownBy(() => {
      for (let at = 0; at < 100; at += 1) endless.push(piece);
    });
    expect(error.code).toBe("response_too_large");
  });

  it("finds the same events and gives the same bytes however they are cut", () => {
    const line = fc.oneof(
      fc.constantFrom(
        "",
        "",
        ": note",
        "data: [DONE]",
        "data:a",
        "data",
        "event: x",
        "id: 1",
        "retry: 5",
        "bare",
        "é😀",
      ),
      fc.string({ unit: "binary" }).map((text) => `data: ${text.replace(/[\r\n]/g, "")}`),
    );
    const stream = fc
      .tuple(fc.boolean(), fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 16 }))
      .map(([hasMark, lines]) => (hasMark ? "\ufeff" : "") + lines.flat().join(""));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 10 }), (text, cuts) => {
        const bytes = Buffer.from(text);
        const whole = eventsOf(bytes);
        expect(eventsOf(bytes, cuts)).toEqual(whole);
        const body = bytes.subarray(text.startsWith("\ufeff") ? 3 : 0);
        expect(whole.map(({ raw }) => raw).join("")).toBe(body.toString("latin1"));
      }),
      { numRuns: 300 },
    );
  });
});
