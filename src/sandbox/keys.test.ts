import { describe, expect, it } from "vitest";
import { KEY_KINDS, keyReader, makeKeys } from "./keys.ts";

const sequence = () => {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

describe("makeKeys", () => {
  it("draws GonkaGate's forms from the given chance", () => {
    const keys = makeKeys(sequence());
    expect(keys).toEqual(makeKeys(sequence()));
    expect(keys.good).toMatch(/^gp-[A-Za-z0-9]{40}$/);
    expect(keys.management).toMatch(/^gpm-[A-Za-z0-9]{40}$/);
    expect(new Set(Object.values(keys)).size).toBe(KEY_KINDS.length);
  });
});

describe("keyReader", () => {
  const keys = makeKeys(sequence());
  const read = keyReader(keys);

  it.each(KEY_KINDS)("knows the %s key", (kind) => {
    expect(read(`Bearer ${keys[kind]}`)).toBe(kind);
  });

  it.each([
    ["Bearer gp-something-else", "wrong"],
    ["Bearer gpm-something-else", "management"],
    [`Basic ${makeKeys(sequence()).good}`, "none"],
    ["Bearer ", "none"],
    ["", "none"],
    [undefined, "none"],
  ])("takes %j for %s", (header, state) => {
    expect(read(header)).toBe(state);
  });
});
