import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { KeyLeakDetector } from "./key-leak.ts";

const KEY = "e331b6d69882b4cb4ea581d88e0b604039a3de5967688d3dcffdd2270c0fd109";
const raw = Buffer.from(KEY, "hex");

function detector(): KeyLeakDetector {
  const leaks = new KeyLeakDetector();
  leaks.add([KEY]);
  return leaks;
}

describe("KeyLeakDetector", () => {
  it.each([
    ["the whole key", KEY],
    ["12 digits from its middle", `x-${KEY.slice(21, 33)}-y`],
    ["upper case", KEY.slice(5, 17).toUpperCase()],
    ["base64 of the bytes", raw.toString("base64")],
    ["base64 of a part of the bytes, unaligned", raw.subarray(7, 20).toString("base64")],
    ["base64url of the bytes", raw.toString("base64url")],
    [
      "base64 of the first 16 digits, as gonka-openai sent it",
      `ECDSA_SIG_EMPTY_${Buffer.from(KEY.slice(0, 16)).toString("base64")}`,
    ],
    ["40 digits used as an address", `gonka1${KEY.slice(2, 42)}`],
    ["the bytes themselves", raw.toString("latin1")],
  ])("finds %s", (_, text) => {
    expect(detector().finds(text)).toBe(true);
  });

  it("finds nothing in innocent text of many kinds", () => {
    const leaks = detector();
    expect(leaks.finds(KEY.slice(0, 11))).toBe(false);
    expect(leaks.finds(randomBytes(64).toString("base64"))).toBe(false);
    expect(leaks.finds(randomBytes(1_000_000).toString("hex"))).toBe(false);
    expect(leaks.finds("")).toBe(false);
  });

  it("does not take the zeros of a tiny key for a leak", () => {
    const leaks = new KeyLeakDetector();
    leaks.add(["1".padStart(64, "0")]);
    expect(leaks.finds("0".repeat(40))).toBe(false);
  });
});
