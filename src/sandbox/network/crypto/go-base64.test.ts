import { describe, expect, it } from "vitest";
import { decodeGoBase64 } from "./go-base64.ts";

describe("decodeGoBase64", () => {
  it.each([
    ["", ""],
    ["AA==", "00"],
    ["AAE=", "0001"],
    ["AAEC", "000102"],
    ["AA\r\nEC\n", "000102"],
    ["AA=\n=", "00"],
    // Bits that no byte uses are ignored.
    ["AB==", "00"],
    ["+/+/", "fbffbf"],
  ])("decodes %j", (text, hex) => {
    expect(decodeGoBase64(text).toString("hex")).toBe(hex);
  });

  it.each([
    ["AA", 0],
    ["AAE", 0],
    ["AAECAA", 4],
    ["A", 0],
    ["-_-_", 0],
    ["AAE_", 3],
    ["=", 0],
    ["A=", 1],
    ["AA=", 3],
    ["AA=A", 2],
    ["AA==AA==", 4],
    ["AAE=x", 4],
    [" AAEC", 0],
  ])("refuses %j at byte %i", (text, position) => {
    expect(() => decodeGoBase64(text)).toThrow(`illegal base64 data at input byte ${position}`);
  });
});
