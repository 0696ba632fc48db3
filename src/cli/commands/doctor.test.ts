import { expect, it } from "vitest";
import type { DoctorReport } from "../../doctor/doctor.ts";
import { renderDoctorReport } from "./doctor.ts";

const report: DoctorReport = {
  overall: "warn",
  failures: 0,
  warnings: 1,
  exitCode: 0,
  elapsedMs: 3,
  checks: [{ name: "llm.local.credit", status: "warn", detail: "this broker does not tell the balance", elapsedMs: 3 }],
  servedBy: undefined,
};

it("fits its lines into a narrow window and aligns them in a wide one", () => {
  const narrow = renderDoctorReport(report, { color: false, columns: 40 }).split("\n");
  expect(narrow.slice(0, 3)).toEqual([
    "[WARN] llm.local.credit (3 ms)",
    "       this broker does not tell the",
    "       balance",
  ]);
  expect(narrow.every((line) => line.length <= 40)).toBe(true);
  const wide = renderDoctorReport(report, { color: false, columns: 120 }).split("\n");
  expect(wide[0]).toBe(`[WARN] ${"llm.local.credit".padEnd(40)} (3 ms) this broker does not tell the balance`);
});
