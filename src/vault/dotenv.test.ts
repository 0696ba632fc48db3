import { describe, expect, it } from "vitest";
import { parseDotenv } from "./dotenv.ts";

describe("parseDotenv", () => {
  it.each([
    ["A=1", { A: "1" }],
    ["export A = 1 ", { A: "1" }],
    ["# note\n\n  # more\r\nA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["\uFEFFA=1", { A: "1" }],
    ["A=1 # note", { A: "1" }],
    ["A=1#not-a-note", { A: "1#not-a-note" }],
    ["A=", { A: "" }],
    ["A= # note", { A: "" }],
    ["A=b=c==", { A: "b=c==" }],
    ['A="x y" # note', { A: "x y" }],
    ['A="x\\ny \\"z\\" \\\\"', { A: 'x\ny "z" \\' }],
    ["A='x\\n #y'", { A: "x\\n #y" }],
    ["A='C:\\'", { A: "C:\\" }],
    ['A=`"it\'s"`', { A: '"it\'s"' }],
    ['A="one\ntwo"\nB=3', { A: "one\ntwo", B: "3" }],
    ["A=$B", { A: "$B" }],
    ["A=1\nA=2", { A: "2" }],
  ])("reads %j", (text, expected) => {
    expect(Object.fromEntries(parseDotenv(text))).toEqual(expected);
  });

  it.each([
    ["a quote that never closes", `A="${"x\n".repeat(400_000)}`],
    ["a line of blanks", `A=x${" ".repeat(900_000)}y\n`],
    ["a line of backslashes", `A="${"\\".repeat(900_000)}\n`],
  ])("takes no time to speak of over %s", (_name, text) => {
    const startedAtMs = performance.now();
    try {
      parseDotenv(text);
    } catch {
      // Refused or read: only the time counts here.
    }
    expect(performance.now() - startedAtMs).toBeLessThan(500);
  });

  it.each([
    ["A=1\nplanted-secret\n", 2],
    ['A=1\n\nB="planted-secret\nC=2', 3],
    ["1A=planted-secret", 1],
    ['A="planted"-secret', 1],
  ])("names the line and never the text of %j", (text, line) => {
    expect(() => parseDotenv(text)).toThrow(
      expect.objectContaining({ code: "usage", detail: `line ${line} of the .env file is not NAME=value` }),
    );
  });
});
