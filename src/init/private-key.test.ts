import { describe, expect, it } from "vitest";
import { Secret } from "../internal/secret.ts";
import { judgePrivateKey } from "./private-key.ts";

const HEX = `${"0".repeat(62)}2a`;

describe("judgePrivateKey", () => {
  it.each([
    HEX,
    HEX.toUpperCase(),
    `0x${HEX}`,
    `0X${HEX.toUpperCase()}`,
    `  ${HEX}\n`,
    `export GONKA_PRIVATE_KEY="${HEX}"`,
    Buffer.from(HEX, "hex").toString("base64"),
  ])("gives the one form that Zeph reads for %s", (text) => {
    const judged = judgePrivateKey(new Secret(text));
    expect(judged.kind === "usable" && judged.key.reveal()).toBe(HEX);
  });

  it.each(["gp-0123456789", "sk-0123456789", "gpm-0123456789"])("knows a broker's key: %s", (text) => {
    expect(judgePrivateKey(new Secret(text)).kind).toBe("broker-key");
  });

  it.each([
    ["0".repeat(64), /outside the range/],
    ["f".repeat(64), /outside the range/],
    [HEX.slice(1), /63 hex digits/],
    [`zz${HEX.slice(2)}`, /not hex digits/],
    ["legal winner thank year wave sausage worth useful legal winner thank yellow", /keys add NAME --recover/],
    ["", /empty/],
  ])("refuses %s in words that do not repeat it", (text, words) => {
    const judged = judgePrivateKey(new Secret(text));
    if (judged.kind !== "refused") throw new Error(judged.kind);
    expect(judged.reason).toMatch(words);
    if (text !== "") expect(judged.reason).not.toContain(text);
  });
});
