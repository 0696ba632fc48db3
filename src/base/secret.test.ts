import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { redactHeaders, redactUrl, Secret, scrub } from "./secret.ts";

describe("scrub", () => {
  it.each([
    ["Incorrect key gp-abcdef123456", "Incorrect key [redacted]"],
    ["Authorization: Bearer abc.def", "Authorization: [redacted]"],
    [`key ${"a1".repeat(32)} is bad`, "key [redacted] is bad"],
    [`0x${"A1".repeat(32)}`, "[redacted]"],
    ["AGE-SECRET-KEY-1QQPZRY", "[redacted]"],
    [`sig ${"A".repeat(86)}==`, "sig [redacted]"],
    ["line\nbreak\tand \u001b[31mcolour", "line break and [31mcolour"],
  ])("%j becomes %j", (text, expected) => {
    expect(scrub(text)).toBe(expected);
  });

  it("takes out secrets it is told of, and bounds the length", () => {
    expect(scrub("it is hunter22 here", ["hunter22"])).toBe("it is [redacted] here");
    expect(scrub("x ".repeat(5000)).length).toBeLessThanOrEqual(300);
  });
});

it("shows the headers of the allow-list only", () => {
  const headers = new Headers({ authorization: "Bearer x", "x-new-secret": "y", "retry-after": "3" });
  expect(redactHeaders(headers)).toEqual({
    authorization: "[redacted]",
    "x-new-secret": "[redacted]",
    "retry-after": "3",
  });
});

it("shows an address without user, password, query and fragment", () => {
  expect(redactUrl("https://me:pw@host.example/v1?key=gp-x#y")).toBe("https://host.example/v1");
  expect(redactUrl("gp-not-a-url")).toBe("[invalid url]");
});

it("keeps a secret out of every way of printing", () => {
  const secret = new Secret("hunter2");
  for (const shown of [
    `${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect({ secret }, { depth: 9, showHidden: true }),
  ]) {
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain("[redacted]");
  }
  expect(secret.reveal()).toBe("hunter2");
});
