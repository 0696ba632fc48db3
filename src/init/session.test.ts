import { expect, it } from "vitest";
import { printable, printableLine } from "./session.ts";

it("keeps words and line breaks, and drops what could steer the terminal", () => {
  expect(printable("Hello,\r\nwörld 🌍")).toBe("Hello,\nwörld 🌍");
  expect(printable("\u001b[2Jgone\u0007\u202e\u2028x")).toBe("[2Jgone   x");
  expect(printableLine("a\n\u001b[2Jb")).toBe("a  [2Jb");
  expect(printable("x".repeat(20), 10)).toBe(`${"x".repeat(9)}…`);
});
