import fc from "fast-check";
import { expect, test } from "vitest";
import { ZephError } from "../errors.ts";
import { bytesField, fixed64Field, integerField, message, ProtobufMessage, textField } from "./bytes.ts";
import { parseExistenceProof } from "./ics23.ts";
import { decodeParticipants } from "./participants.ts";

test("what the writer writes, the reader reads", () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(int64, fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "grapheme" }), (integer, bytes, text) => {
      const read = new ProtobufMessage(
        message(integerField(1, integer), fixed64Field(9, integer), bytesField(2, bytes), textField(200, text)),
        "it",
      );
      expect(read.integer(1)).toBe(integer);
      expect([...read.bytes(2)]).toEqual([...bytes]);
      expect(read.text(200)).toBe(text);
      expect(read.integer(3)).toBe(0n);
    }),
    { numRuns: 100 },
  );
});

test("any bytes are either read or refused with words, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of [decodeParticipants, parseExistenceProof]) {
        try {
          read(bytes);
        } catch (error) {
          expect(ZephError.is(error) && ["bad_response", "proof_invalid"].includes(error.code)).toBe(true);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test.each([
  ["the same field twice", "08010802"],
  ["a number in a longer spelling", "088100"],
  ["a number over 64 bits", "08ffffffffffffffffff7f"],
  ["an endless number", "08ffffffffffffffffffff01"],
  ["a missing value", "08"],
  ["text longer than the message", "0a05"],
  ["a group", "0b"],
  ["field 0", "0001"],
  ["another wire type", "0a00"],
])("%s is refused", (_what, hex) => {
  expect(() => new ProtobufMessage(Buffer.from(hex, "hex"), "the message").integer(1)).toThrow("the message");
});
