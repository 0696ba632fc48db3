import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { type AccountBook, Ledger } from "../chain.ts";
import { KeyLeakDetector, ReplayMemory, RequestLog } from "./node.ts";

describe("request log", () => {
  const accounts = { privateKeysHex: [], find: () => undefined } as unknown as AccountBook;
  const post = (index: number) =>
    ({
      method: "POST",
      url: "/v1/chat/completions",
      rawHeaders: ["Authorization", `signature-${index}`],
    }) as IncomingMessage;

  it("keeps the newest requests, and of their bodies what fits into 8 MiB", () => {
    const log = new RequestLog(accounts);
    const body = Buffer.alloc(1024 * 1024, "x");
    for (let index = 0; index < 60; index += 1) log.record("node-1", post(index), body, index);
    expect(log.requests).toHaveLength(60);
    expect(log.requests.filter((request) => request.body.length > 0)).toHaveLength(8);
    expect(log.requests.at(-1)?.body).toHaveLength(body.length);
    for (let index = 60; index < 22_000; index += 1) log.record("node-1", post(index), Buffer.from("{}"), index);
    expect(log.requests).toHaveLength(20_000);
    expect(log.requests.at(-1)?.atMs).toBe(21_999);
    expect(log.requests.at(-1)?.body.toString()).toBe("{}");
    expect(log.violations).toEqual([]);
    log.record("node-1", post(21_999), Buffer.from("{}"), 1);
    expect(log.violations).toHaveLength(1);
  });

  it("keeps the newest entries of the ledger, and all that are open", () => {
    const ledger = new Ledger(accounts);
    const start = (index: number) =>
      ledger.start({
        inferenceId: `i${index}`,
        account: "a",
        node: "n",
        model: "m",
        bodySha256: "b",
        startedAtHeight: 1,
        escrowNgonka: 5n,
      });
    start(0);
    for (let index = 1; index < 25_000; index += 1) {
      start(index);
      ledger.finish(`i${index}`, 1n);
    }
    expect(ledger.entries).toHaveLength(20_000);
    expect(ledger.find("i0")?.state).toBe("started");
    expect(ledger.find("i1")).toBeUndefined();
    expect(ledger.find("i24999")).toMatchObject({ state: "finished", chargedNgonka: 1n });
  });
});

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

describe("ReplayMemory", () => {
  it("remembers a key for 30 blocks when signatures live 60 seconds", () => {
    const memory = new ReplayMemory();
    const at = (height: number) => ({ height, expirationSeconds: 60 });
    expect(memory.isRepeated("a", "transfer", at(100))).toBe(false);
    expect(memory.isRepeated("other", "transfer", at(130))).toBe(false);
    expect(memory.isRepeated("a", "transfer", at(130))).toBe(true);
    expect(memory.isRepeated("another", "transfer", at(131))).toBe(false);
    expect(memory.isRepeated("a", "transfer", at(131))).toBe(false);
  });

  it("keeps at least 4 blocks, and 5 when the parameter is 0", () => {
    for (const [expirationSeconds, blocks] of [
      [1, 4],
      [0, 5],
    ] as const) {
      const memory = new ReplayMemory();
      memory.isRepeated("a", "transfer", { height: 10, expirationSeconds });
      memory.isRepeated("b", "transfer", { height: 10 + blocks, expirationSeconds });
      expect(memory.isRepeated("a", "transfer", { height: 10 + blocks, expirationSeconds })).toBe(true);
      memory.isRepeated("c", "transfer", { height: 11 + blocks, expirationSeconds });
      expect(memory.isRepeated("a", "transfer", { height: 11 + blocks, expirationSeconds })).toBe(false);
    }
  });

  it("tells the roles apart", () => {
    const memory = new ReplayMemory();
    const at = { height: 1, expirationSeconds: 60 };
    expect(memory.isRepeated("a", "transfer", at)).toBe(false);
    expect(memory.isRepeated("a", "executor", at)).toBe(false);
    expect(memory.isRepeated("a", "executor", at)).toBe(true);
  });
});
