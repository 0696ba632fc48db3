import { expect, it } from "vitest";
import { memoryTexts } from "./kept-texts.ts";

it("keeps texts by id and names, the latest of a name, and forgets the oldest first", async () => {
  const texts = memoryTexts({ maxTexts: 2, maxChars: 10 });
  texts.put({ id: "1", names: ["a", "b"], text: "one" });
  texts.put({ id: "2", names: ["b"], text: "two" });
  expect([await texts.get("1"), await texts.find("a"), await texts.find("b")]).toEqual(["one", "one", "two"]);
  texts.put({ id: "3", names: [], text: "three" });
  expect([await texts.get("1"), await texts.find("a"), await texts.get("2")]).toEqual([undefined, undefined, "two"]);
  texts.put({ id: "4", names: [], text: "four!!!" });
  expect([await texts.get("2"), await texts.get("3"), await texts.get("4")]).toEqual([undefined, undefined, "four!!!"]);
  texts.put({ id: "5", names: [], text: "far too long" });
  expect([await texts.get("5"), await texts.get("4")]).toEqual([undefined, "four!!!"]);
  expect([await texts.remove("4"), await texts.remove("4"), await texts.get("4")]).toEqual([true, false, undefined]);
});
