import { describe, expect, it } from "vitest";
import { decodeBase64 } from "./decode-base64.ts";

describe("decodeBase64", () => {
  it.each([
    ["", ""],
    ["AA==", "00"],
    ["AAE=", "0001"],
    ["AAEC", "000102"],
    ["+/+/", "fbffbf"],
    ["AA\r\n==\n", "00"],
    ["AB==", "00"],
  ])("reads %j", (text, hex) => {
    expect(decodeBase64(text)).toEqual({ ok: true, bytes: new Uint8Array(Buffer.from(hex, "hex")) });
  });

  // Offsets computed by hand from Go 1.24 encoding/base64 decodeQuantum.
  it.each([
    ["A", 0],
    ["AAA", 0],
    ["AAAAAA", 4],
    ["AA=", 3],
    ["A===", 1],
    ["=AAA", 0],
    ["AA=A", 2],
    ["AA==A", 4],
    ["AAA=A", 4],
    ["AAA==", 4],
    ["A-AA", 1],
    ["AAA_", 3],
    ["AA A", 2],
    ["AAAé", 3],
    ["A\nA", 1],
  ])("refuses %j at byte %i", (text, errorAt) => {
    expect(decodeBase64(text)).toEqual({ ok: false, errorAt });
  });
});
