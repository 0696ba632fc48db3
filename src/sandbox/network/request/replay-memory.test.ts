import { describe, expect, it } from "vitest";
import { ReplayMemory } from "./replay-memory.ts";

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
