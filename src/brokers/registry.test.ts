import { describe, expect, it } from "vitest";
import { topUpPage } from "./records.ts";
import {
  BROKERS,
  brokerForBaseURL,
  brokerForKey,
  containsKey,
  findBroker,
  looksLikeToken,
  mergeBrokers,
  recognizeKey,
} from "./registry.ts";

describe("BROKERS", () => {
  it("has GonkaGate first and custom last", () => {
    expect(BROKERS.at(0)?.id).toBe("gonkagate");
    expect(BROKERS.at(-1)?.id).toBe("custom");
  });

  it("has every id once, in a form that can be a provider name", () => {
    const ids = BROKERS.map((broker) => broker.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z0-9][a-z0-9-]*$/);
  });

  it("holds the ten sites of the network's directory", () => {
    expect(BROKERS.filter((broker) => broker.inDirectory)).toHaveLength(10);
  });

  it.each(BROKERS.filter((broker) => broker.id !== "custom"))("$id is complete, dated and sourced", (broker) => {
    expect(broker.baseURL).toMatch(/^https?:\/\/[^/]+(?:\/[^/]+)*\/v1$/);
    expect(broker.baseURL?.startsWith("https://") === true || broker.id === "devshardctl").toBe(true);
    expect(broker.signupUrl).toMatch(/^https:\/\//);
    expect(topUpPage(broker)).toMatch(/^https:\/\//);
    expect(broker.checkedOn).toMatch(/^2026-\d\d-\d\d$/);
    expect(broker.source.length).toBeGreaterThan(10);
  });

  it("names no model: they come from the live list", () => {
    expect(JSON.stringify(BROKERS)).not.toMatch(/kimi|minimax|qwen|deepseek|glm-|gpt-/i);
  });
});

describe("findBroker", () => {
  it("finds by id, letter case aside", () => {
    expect(findBroker(" GonkaGate ")?.name).toBe("GonkaGate");
    expect(findBroker("nobody")).toBeUndefined();
  });
});

describe("brokerForBaseURL", () => {
  it.each([
    ["https://api.gonkagate.com/v1", "gonkagate"],
    ["api.gonkagate.com", "gonkagate"],
    ["https://API.gonkagate.com/v1/chat/completions", "gonkagate"],
    ["https://api.proxy.gonka.gg/v1/", "gonka-proxy"],
    ["https://api.gonkascan.com/v1", "gonkarouter"],
    ["http://127.0.0.1:18080", "devshardctl"],
  ])("%s is %s", (url, id) => {
    expect(brokerForBaseURL(url)?.id).toBe(id);
  });

  it.each(["http://127.0.0.1:18081/v1", "https://gonkagate.com.example/v1", "not a url", ""])(
    "%s is nobody's",
    (url) => {
      expect(brokerForBaseURL(url)).toBeUndefined();
    },
  );

  it("prefers the longer path on a shared host", () => {
    const base = findBroker("gonkagate");
    const two = [
      { ...base!, id: "short", baseURL: "https://one.example/v1" },
      { ...base!, id: "long", baseURL: "https://one.example/gonka/v1" },
    ];
    expect(brokerForBaseURL("https://one.example/gonka/v1", two)?.id).toBe("long");
    expect(brokerForBaseURL("https://one.example/gonkalike/v1", two)?.id).toBe("short");
  });
});

describe("brokerForKey", () => {
  it.each([
    ["gp-abc", "gonkagate"],
    ["gpm-abc", "gonkagate"],
    ["jg-abc", "joingonka"],
    ["obk-abc", "openbroker"],
    ["gnk-sk-abc", "opengonka"],
  ])("%s belongs to %s", (key, id) => {
    expect(brokerForKey(key)?.id).toBe(id);
  });

  it("does not guess between several", () => {
    expect(brokerForKey("sk-abc")).toBeUndefined();
    expect(brokerForKey("whatever")).toBeUndefined();
  });
});

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

describe("mergeBrokers", () => {
  it("changes the fields that are given and keeps the others", () => {
    const merged = mergeBrokers(BROKERS, [{ id: "gonkagate", baseURL: "http://127.0.0.1:9000/v1" }]);
    expect(findBroker("gonkagate", merged)).toEqual({
      ...findBroker("gonkagate"),
      baseURL: "http://127.0.0.1:9000/v1",
    });
    expect(merged).toHaveLength(BROKERS.length);
    expect(findBroker("gonkagate")?.baseURL).toBe("https://api.gonkagate.com/v1");
  });

  it("adds a new one before custom", () => {
    const merged = mergeBrokers(BROKERS, [{ id: "mine", baseURL: "https://mine.example/v1", keyPrefixes: ["my-"] }]);
    expect(merged.slice(-2).map((broker) => broker.id)).toEqual(["mine", "custom"]);
    expect(brokerForBaseURL("https://mine.example", merged)).toMatchObject({ name: "mine", dialects: ["chat"] });
  });

  it("asks for an address of a new one", () => {
    expect(() => mergeBrokers(BROKERS, [{ id: "mine" }])).toThrow(/"mine".*base_url/);
  });
});

const PREFIXES = BROKERS.flatMap(({ keyPrefixes = [], managementKeyPrefixes = [] }) => [
  ...keyPrefixes,
  ...managementKeyPrefixes,
]);
const HEX = "4f".repeat(32);
const KEYS = [
  ...PREFIXES.map((prefix) => `${prefix}Ab3dEf6hIj9kLm2nOp5q`),
  ...PREFIXES.map((prefix) => `${prefix}abcdefghijklmnop`),
  ...PREFIXES.map((prefix) => `${prefix}a1b2c3`),
  HEX,
  HEX.toUpperCase(),
  `0x${HEX}`,
  "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQSSSSSSS",
  "age-secret-key-pq-1qqqqqqqqqqqqqqqqqqqq",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
  "legal winner thank year wave sausage worth useful legal winner thank yellow",
  "1. legal 2. winner 3. thank 4. year 5. wave 6. sausage 7. worth 8. useful 9. legal 10. winner 11. thank 12. yellow",
  "legal-winner-thank-year-wave-sausage-worth-useful-legal-winner-thank-yellow",
  "-----BEGIN EC PRIVATE KEY-----",
];

describe("containsKey", () => {
  it.each(KEYS)("finds %s, and what people paste around it", (key) => {
    const forms = [
      key,
      ` ${key} \n`,
      `"${key}"`,
      `export A_KEY=${key}`,
      `Bearer ${key}`,
      `\u200b${key}\ufeff`,
      `\u001b[200~${key}\u001b[201~`,
    ];
    for (const form of forms) expect([form, containsKey(form)]).toEqual([form, true]);
  });

  it.each(KEYS.filter((key) => !key.includes(" ")))("finds %s inside an address", (key) => {
    for (const form of [
      `https://${key}`,
      `https://${key}/v1`,
      `https://a.example/v1?key=${key}`,
      `https://u:${key}@a.example`,
      `http://a.example/${key}`,
      `https://a.example,${key}`,
      `https://a.example/?k=${encodeURIComponent(key).replaceAll("-", "%2D")}`,
    ])
      expect([form, containsKey(form)]).toEqual([form, true]);
  });

  it("finds recovery words that stand where a host belongs", () => {
    expect(containsKey("https://legal winner thank year wave sausage worth useful legal winner thank yellow/v1")).toBe(
      true,
    );
  });

  it("knows the prefixes of brokers that a config adds", () => {
    const own = { ...BROKERS[0], id: "own", keyPrefixes: ["own_"] } as (typeof BROKERS)[number];
    expect(containsKey("own_abcdefghijklmn")).toBe(false);
    expect(containsKey("own_abcdefghijklmn", [...BROKERS, own])).toBe(true);
  });

  it.each([
    "",
    "https://api.gonkagate.com/v1",
    "127.0.0.1:18080",
    "gonkagate",
    "gp-production",
    "jg-2",
    "sk-learn",
    "moonshotai/Kimi-K2-Instruct-0905",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
    "claude-3-5-sonnet-20241022",
    "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
    "https://node1.gonka.ai:8000,gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "replace",
    "4096",
    "/home/me/.inference",
  ])("lets %s pass", (text) => {
    expect(containsKey(text)).toBe(false);
  });
});

describe("looksLikeToken", () => {
  it.each(["Ab3dEf6hIj9kLm2nOp5qRs8t", "https://Ab3dEf6hIj9kLm2nOp5qRs8t/v1"])("%s", (text) => {
    expect(looksLikeToken(text)).toBe(true);
  });
  it.each([
    "api.example.com",
    "a1b2c3d4e5f6a1b2c3d4e5f6a1b2.example.com",
    "my-provider-for-2026-and-27",
    "localhost:8080",
  ])("not %s", (text) => {
    expect(looksLikeToken(text)).toBe(false);
  });
});
