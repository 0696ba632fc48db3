import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { MalformedProtobuf, ProtobufWriter, protobufMessage, readFields } from "./protobuf.ts";

const INNER = protobufMessage({ slot: [1, "uint32"], accept: [2, "bool"] });
const MESSAGE = protobufMessage({
  id: [1, "uint64"],
  name: [2, "string"],
  at: [3, "int64"],
  reason: [4, "enum"],
  data: [5, "bytes"],
  inner: [6, "message", INNER],
  votes: [16, "repeated", INNER],
});
const OLDER = protobufMessage({ id: [1, "uint64"], data: [5, "bytes"] });

const inner = fc.record({ slot: fc.nat(2 ** 32 - 1), accept: fc.boolean() });
const message = fc.record({
  id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  name: fc.string({ unit: "grapheme" }),
  at: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  reason: fc.integer(),
  data: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  inner: fc.option(inner, { nil: undefined }),
  votes: fc.array(inner, { maxLength: 4 }),
});

test("what is written is read", () => {
  fc.assert(
    fc.property(message, (value) => {
      const { data, ...read } = MESSAGE.decode(MESSAGE.encode(value));
      const { data: written, ...rest } = value;
      expect(read).toEqual(rest);
      expect(Buffer.from(data)).toEqual(written);
    }),
  );
});

test("fields that a reader does not know come out as they came", () => {
  fc.assert(
    fc.property(message, (value) => {
      const known = OLDER.decode(MESSAGE.encode(value));
      const again = MESSAGE.decode(OLDER.encode(known));
      expect(MESSAGE.encode(again)).toEqual(MESSAGE.encode(value));
    }),
  );
});

test("any bytes are read or refused with words", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        const value = MESSAGE.decode(bytes);
        expect(MESSAGE.decode(MESSAGE.encode(value))).toEqual(value);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedProtobuf);
      }
    }),
    { numRuns: 500 },
  );
});

describe("as Go's decoder", () => {
  const read = (digits: string) => MESSAGE.decode(Buffer.from(digits, "hex"));

  it("takes the last of a repeated scalar, and longer spellings of a number", () => {
    expect(read("08010802").id).toBe(2n);
    expect(read("08818000").id).toBe(1n);
  });

  it("keeps a field of another wire type like one it does not know", () => {
    const value = read("0a0141");
    expect(value.id).toBe(0n);
    expect(Buffer.from(MESSAGE.encode(value)).toString("hex")).toBe("0a0141");
  });

  it("writes nothing for zero, and an empty element of a list", () => {
    expect(Buffer.from(MESSAGE.encode({ ...read(""), votes: [{ slot: 0, accept: false }] })).toString("hex")).toBe(
      "820100",
    );
  });

  it("keeps a group, with what is inside it", () => {
    const group = "930108019401";
    expect(Buffer.from(MESSAGE.encode(read(group))).toString("hex")).toBe(group);
  });

  it.each([
    ["a field number of zero", "0001"],
    ["a number that does not end", "08ff"],
    ["a number of eleven bytes", `08${"ff".repeat(10)}01`],
    ["a number above 2^64", `08${"ff".repeat(9)}7f`],
    ["text that is not UTF-8", "1201ff"],
    ["content that is cut off", "2a05ab"],
    ["a length beyond any memory", `2a${"ff".repeat(9)}01`],
    ["a group that another one ends", "93019c01"],
    ["a group that does not end", "9301"],
    ["a wire type that does not exist", "0f"],
    ["groups without end", "9b01".repeat(5000)],
  ])("refuses %s", (_, digits) => {
    expect(() => read(digits)).toThrow(MalformedProtobuf);
  });

  it("finishes more than once, and leaves what was finished as it was", () => {
    const writer = new ProtobufWriter().bytesField(1, Buffer.alloc(4093, 1));
    const first = writer.finish();
    const other = new ProtobufWriter().bytesField(2, Buffer.alloc(100, 2)).finish();
    expect(writer.finish()).toEqual(first);
    expect(new ProtobufWriter().bytesField(3, Buffer.alloc(4093, 3)).finish()[0]).toBe(26);
    expect([first[0], first.length, other[0]]).toEqual([10, 4096, 18]);
    const more = writer.integerField(4, 5).finish();
    expect([more.length, first.length]).toEqual([4098, 4096]);
  });

  it("reads fields with their own bytes", () => {
    expect(readFields(Buffer.from("0801120141", "hex")).map(({ raw }) => Buffer.from(raw).toString("hex"))).toEqual([
      "0801",
      "120141",
    ]);
  });
});
