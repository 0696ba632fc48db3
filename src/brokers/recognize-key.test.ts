import { describe, expect, it } from "vitest";
import { recognizeKey } from "./recognize-key.ts";

const words = "legal winner thank year wave sausage worth useful legal winner thank yellow";

describe("recognizeKey", () => {
  it.each([
    ["gp-0123456789abcdef", "broker-key", "gonkagate"],
    ["gpm-0123456789abcdef", "management-key", "gonkagate"],
    ["gnk-sk-0123456789", "broker-key", "opengonka"],
    ["jg-0123456789", "broker-key", "joingonka"],
    ["obk-0123456789", "broker-key", "openbroker"],
    ["sk-0123456789", "broker-key", undefined],
    ["something-else", "unknown", undefined],
    ["gp-", "unknown", undefined],
    ["two words", "unknown", undefined],
    ["", "empty", undefined],
    ['  "" ', "empty", undefined],
    [`${"00".repeat(31)}01`, "private-key", undefined],
    [`0x${"AB".repeat(32)}`, "private-key", undefined],
    ["0xabc", "private-key", undefined],
    ["AGE-SECRET-KEY-1QQQ", "private-key", undefined],
    [words, "mnemonic", undefined],
    [`${words}\n${words}`, "mnemonic", undefined],
    [words.toUpperCase(), "mnemonic", undefined],
    [`${words} extra`, "unknown", undefined],
  ])("%s is a %s", (text, kind, broker) => {
    const recognized = recognizeKey(text);
    expect(recognized.kind).toBe(kind);
    expect(recognized.broker?.id).toBe(broker);
  });

  it.each([
    "  gp-0123456789 \r\n",
    '"gp-0123456789"',
    "“gp-0123456789”",
    "`gp-0123456789`",
    "Bearer gp-0123456789",
    "Authorization: Bearer gp-0123456789",
    "x-api-key: gp-0123456789",
    "export GONKAGATE_API_KEY=gp-0123456789",
    "export GONKAGATE_API_KEY='gp-0123456789';",
    '$env:GONKAGATE_API_KEY = "gp-0123456789"',
    'api_key = "Bearer gp-0123456789",',
    "\u001b[200~gp-0123456789\u001b[201~",
    "\ufeffgp-0123456789\u200b",
    "\u00a0gp-0123456789\u00a0",
  ])("takes the key out of %j", (text) => {
    const recognized = recognizeKey(text);
    expect(recognized.cleaned.reveal()).toBe("gp-0123456789");
    expect(recognized.kind).toBe("broker-key");
  });

  it("recognises a private key behind an assignment", () => {
    const recognized = recognizeKey(`export GONKA_PRIVATE_KEY="0x${"1".repeat(64)}"`);
    expect(recognized.kind).toBe("private-key");
    expect(recognized.broker).toBeUndefined();
  });

  it("leaves the padding of a base64 key alone", () => {
    expect(recognizeKey("abcdefgh==").cleaned.reveal()).toBe("abcdefgh==");
  });

  it("does not print the key", () => {
    expect(JSON.stringify(recognizeKey("gp-0123456789"))).not.toContain("0123456789");
  });
});
