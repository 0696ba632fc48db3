import { expect, it } from "vitest";
import { once } from "./time.ts";

it("makes a thing once for all who ask, and again after a failure", async () => {
  let made = 0;
  let fails = true;
  const get = once(async () => {
    made += 1;
    if (fails) throw new Error("not there yet");
    return made;
  });
  const first = await Promise.allSettled([get(), get()]);
  expect(first.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(made).toBe(1);
  fails = false;
  expect(await Promise.all([get(), get()])).toEqual([2, 2]);
  expect(await get()).toBe(2);
});
