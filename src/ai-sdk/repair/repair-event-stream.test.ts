import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ZephError } from "../../errors/zeph-error.ts";
import { repairEventStream } from "./repair-event-stream.ts";

const fixture = (name: string) => readFileSync(new URL(`../__fixtures__/${name}.chunks.txt`, import.meta.url), "utf8");
const events = (name: string) =>
  `${fixture(name)
    .trim()
    .split("\n")
    .map((line) => `data: ${line}\n\n`)
    .join("")}data: [DONE]\n\n`;

function streamOf(pieces: readonly Uint8Array[], error?: unknown): ReadableStream<Uint8Array> {
  const waiting = [...pieces];
  return new ReadableStream({
    pull(controller) {
      const piece = waiting.shift();
      if (piece !== undefined) controller.enqueue(piece);
      else if (error !== undefined) controller.error(error);
      else controller.close();
    },
  });
}

const encode = (text: string) => new TextEncoder().encode(text);
const repairText = (text: string) => new Response(repairEventStream(streamOf([encode(text)]))).text();

describe("repairEventStream", () => {
  it("passes what needs no repair as the same bytes", async () => {
    const bytes = encode(`: keep-alive\n\n${events("text").replace("data: [DONE]\n\n", "")}`);
    const reader = repairEventStream(streamOf([bytes])).getReader();
    expect((await reader.read()).value).toBe(bytes);
  });

  it.each([
    ["an event over several lines", 'data: {"a":\ndata: 1}\n\n'],
    ["CRLF", 'data: {"choices":[]}\r\n\r\ndata: [DONE]\r\n\r\n'],
    ["a line that is not JSON", "data: hello\n\n"],
    ["a last line without its end", 'data: {"choices":[]}'],
    ["null and empty tool calls", 'data: {"choices":[{"delta":{"content":"a","tool_calls":null}}]}\n\n'],
    ["the words in an answer", 'data: {"choices":[{"delta":{"content":"\\"tool_calls\\":[{"}}]}\n\n'],
  ])("leaves %s alone", async (_what, text) => {
    expect(await repairText(text)).toBe(text);
  });

  it("ends an answer of usage alone, and no other that has no reason for its end", async () => {
    const usage = 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n';
    const done = "data: [DONE]\n\n";
    expect(await repairText(usage + done)).toBe(
      `${usage}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n${done}`,
    );
    for (const other of [
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
      'data: {"error":{"message":"no"}}\n\n',
      "",
    ])
      expect(await repairText(other + usage.repeat(other === "" ? 0 : 1) + done)).not.toContain("stop");
  });

  it("adds the missing list to a usage chunk", async () => {
    expect(await repairText('data: {"usage":{"total_tokens":3}}\r\n\r\n')).toBe(
      'data: {"usage":{"total_tokens":3},"choices":[]}\r\n\r\n',
    );
  });

  it.each(["text", "tool-call", "tool-call-double", "tool-call-object", "usage-only"])(
    "gives the same for %s however it is cut",
    async (name) => {
      const bytes = encode(events(name));
      const whole = await repairText(events(name));
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async (places) => {
          const cuts = [0, ...places.sort((a, b) => a - b), bytes.length];
          const pieces = cuts.slice(1).map((cut, index) => bytes.slice(cuts[index], cut));
          expect(await new Response(repairEventStream(streamOf(pieces))).text()).toBe(whole);
        }),
        { numRuns: 25 },
      );
    },
  );

  it("ends a broken stream with an error event after everything that came before", async () => {
    const broken = streamOf(
      [encode('data: {"choices":[]}\n\ndata: {"cho')],
      new ZephError("stream_cut", { detail: "gone" }),
    );
    const text = await new Response(repairEventStream(broken)).text();
    const last = text.trim().split("\n").at(-1)?.replace("data: ", "") ?? "";
    expect(text.startsWith('data: {"choices":[]}\n\n')).toBe(true);
    expect(text).not.toContain('{"cho\n');
    expect(JSON.parse(last)).toMatchObject({ error: { type: "zeph_error", code: "stream_cut", detail: "gone" } });
  });

  it("passes an abort on as it is", async () => {
    const reason = new DOMException("stop", "AbortError");
    await expect(new Response(repairEventStream(streamOf([], reason))).text()).rejects.toBe(reason);
  });

  it("passes cancellation on to the source", async () => {
    let cancelledWith: unknown;
    const source = new ReadableStream<Uint8Array>({
      cancel(reason) {
        cancelledWith = reason;
      },
    });
    await repairEventStream(source).cancel("enough");
    expect(cancelledWith).toBe("enough");
  });
});
