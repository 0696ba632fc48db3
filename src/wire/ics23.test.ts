import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { type InnerStep, iavlSpec, simpleSpec, type TreeSpec } from "./ics23.ts";

const HASH = "ab".repeat(32);

/** Hex of a step; a root follows from any bytes, so only the rules of the tree tell a forged one from a true one. */
function step(prefix: string, suffix: string): InnerStep {
  return { prefix: Buffer.from(prefix, "hex"), suffix: Buffer.from(suffix, "hex") };
}

function faultOf(spec: TreeSpec, forged: InnerStep, layer = 1): string | undefined {
  return thrownBy(() => spec.checkInner(forged, layer)).detail;
}

describe("the store's tree", () => {
  it.each([
    ["proves the left child", step("04080a20", `20${HASH}`)],
    ["proves the right child", step(`04080a20${HASH}20`, "")],
  ])("takes a step that %s", (_what, right) => {
    expect(() => iavlSpec.checkInner(right, 2)).not.toThrow();
  });

  it.each([
    ["lower than its layer", step("02080a20", `20${HASH}`), 2],
    ["a leaf in its place", step("00020a20", `20${HASH}`), 1],
    ["of a negative height", step("03080a20", `20${HASH}`), 1],
    ["without a second child", step("04080a20", ""), 1],
    ["with two other children", step(`04080a20${HASH}20`, `20${HASH}`), 1],
    ["with a shorter other child", step("04080a20", `1f${HASH.slice(2)}`), 1],
    ["with a child of another length", step("04080a1f", `20${HASH}`), 1],
    ["with bytes behind the other child", step("04080a20", `20${HASH}00`), 1],
    ["with bytes before the child", step("04080aff20", `20${HASH}`), 1],
    ["with a head that is too long", step("0480808080808080808001808080808001" + "20", `20${HASH}`), 1],
    ["without a head", step("20", `20${HASH}`), 1],
  ])("refuses a step %s", (_what, forged, layer) => {
    expect(faultOf(iavlSpec, forged, layer)).toMatch(/store's tree/);
  });

  it.each(["", "00", "0002", "020202", "00020202", "010202"])("refuses the leaf prefix %j", (prefix) => {
    expect(thrownBy(() => iavlSpec.checkLeafPrefix(Buffer.from(prefix, "hex"))).detail).toMatch(/store's tree/);
  });
});

describe("the tree of stores", () => {
  it.each([
    ["left", step("01", HASH)],
    ["right", step(`01${HASH}`, "")],
  ])("takes a step that proves the %s child", (_what, right) => {
    expect(() => simpleSpec.checkInner(right, 1)).not.toThrow();
  });

  it.each([
    ["a leaf in its place", step("00", HASH)],
    ["without a prefix", step("", HASH)],
    ["another prefix", step("02", HASH)],
    ["no other child", step("01", "")],
    ["two other children", step(`01${HASH}`, HASH)],
    ["a shorter other child", step("01", HASH.slice(2))],
    ["a longer other child", step("01", `${HASH}00`)],
  ])("refuses a step with %s", (_what, forged) => {
    expect(faultOf(simpleSpec, forged)).toMatch(/tree of stores/);
  });

  it.each(["", "01", "0000"])("refuses the leaf prefix %j", (prefix) => {
    expect(thrownBy(() => simpleSpec.checkLeafPrefix(Buffer.from(prefix, "hex"))).detail).toMatch(/tree of stores/);
  });
});
