import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { readStdinSecret } from "./read-stdin-secret.ts";

const read = (...chunks: (string | Uint8Array)[]) =>
  readStdinSecret({
    stdin: Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
    signal: new AbortController().signal,
  });

describe("readStdinSecret", () => {
  it.each([
    ["gp-1", "gp-1"],
    ["gp-1\n", "gp-1"],
    ["gp-1\r\n", "gp-1"],
    ["gp-1\n\n", "gp-1\n"],
    [" spaces kept ", " spaces kept "],
    ["line\nline\n", "line\nline"],
  ])("reads %j as %j", async (input, value) => {
    expect((await read(input)).reveal()).toBe(value);
  });

  it("puts characters together that were cut apart", async () => {
    const bytes = Buffer.from("ключ 🔑");
    expect((await read(bytes.subarray(0, 3), bytes.subarray(3, 11), bytes.subarray(11))).reveal()).toBe("ключ 🔑");
  });

  it("refuses nothing, too much, and what is not text", async () => {
    await expect(read()).rejects.toMatchObject({ code: "missing_input", hint: expect.stringContaining("< key.txt") });
    await expect(read("\n")).rejects.toMatchObject({ code: "missing_input" });
    await expect(read("x".repeat(65_537))).rejects.toMatchObject({ code: "usage" });
    await expect(read(new Uint8Array([0x67, 0xff, 0xfe]))).rejects.toMatchObject({ code: "usage" });
  });
});
