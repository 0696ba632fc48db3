import { describe, expect, it } from "vitest";
import type { ZephErrorCode } from "../errors/catalogue.ts";
import type { Check, CheckReport, CheckStatus } from "./check.ts";
import { toReport, toReportJson } from "./report.ts";

interface Row extends Pick<Check, "provider" | "oneOf" | "isIndirect"> {
  readonly name: string;
  readonly status: CheckStatus;
  readonly code?: ZephErrorCode;
}

function report(rows: readonly Row[], chain: readonly string[], isStrict = false) {
  const checks = rows.map((row): Check => ({ ...row, run: () => Promise.reject(new Error("not run here")) }));
  const found = rows.map(({ name, status, code }): CheckReport => {
    return { name, status, detail: "seen", elapsedMs: 1, ...(code === undefined ? {} : { code }) };
  });
  return toReport(checks, found, { chain: { first: chain[0], names: chain }, elapsedMs: 1, isStrict });
}

const statuses = (rows: readonly Row[], chain: readonly string[]) =>
  report(rows, chain).checks.map(({ status }) => status);

const broken = (provider: string, code: ZephErrorCode, name = `llm.${provider}`): Row => ({
  name,
  provider,
  status: "fail",
  code,
});
const fine = (provider: string): Row => ({ name: `llm.${provider}`, provider, status: "ok" });

describe("the verdict", () => {
  it("is that of the provider a chat would use; others only warn", () => {
    const rows = [fine("a"), broken("b", "invalid_api_key")];
    expect(report(rows, ["a"])).toMatchObject({
      overall: "warn",
      exitCode: 0,
      servedBy: "a",
      failures: 0,
      warnings: 1,
    });
    expect(report(rows, ["b"])).toMatchObject({ overall: "fail", exitCode: 11, servedBy: undefined, failures: 1 });
  });

  it("goes on with a fallback for causes that allow it, and for those only", () => {
    const dead = [broken("a", "unreachable"), fine("b")];
    expect(report(dead, ["a", "b"])).toMatchObject({ exitCode: 0, servedBy: "b" });
    expect(report(dead, ["a", "b"]).checks[0]?.detail).toBe("seen (a chat would go on with b)");
    expect(report([broken("a", "invalid_api_key"), fine("b")], ["a", "b"])).toMatchObject({ exitCode: 11 });
    expect(report([broken("a", "native_closed"), fine("b")], ["a", "b"])).toMatchObject({ exitCode: 0, servedBy: "b" });
    const poor = [broken("a", "unreachable"), broken("b", "secret_missing"), fine("c")];
    expect(report(poor, ["a", "b", "c"])).toMatchObject({ exitCode: 0, servedBy: "c" });
    expect(report(poor, ["b", "c"])).toMatchObject({ exitCode: 17 });
  });

  it("needs one node of a pool, as a chat puts aside those that are dead or have retired", () => {
    const node = (status: CheckStatus, code: ZephErrorCode | undefined, index: number): Row => ({
      name: `gonka.node[${index}]`,
      provider: "g",
      oneOf: "g",
      status,
      ...(code === undefined ? {} : { code }),
    });
    expect(statuses([node("fail", "unreachable", 0), node("ok", undefined, 1)], ["g"])).toEqual(["warn", "ok"]);
    expect(statuses([node("fail", "unreachable", 0), node("fail", "unreachable", 1)], ["g"])).toEqual(["fail", "fail"]);
    expect(statuses([node("fail", "native_closed", 0), node("ok", undefined, 1)], ["g"])).toEqual(["warn", "ok"]);
  });

  it("forgives a vault that no chat needs", () => {
    const vault: Row = { name: "vault.open", status: "fail", code: "vault_unreadable", isIndirect: true };
    expect(report([vault, fine("a")], ["a"])).toMatchObject({ exitCode: 0 });
    expect(report([vault, broken("a", "vault_unreadable")], ["a"])).toMatchObject({ exitCode: 17, failures: 2 });
    expect(report([{ ...vault, isIndirect: false }, fine("a")], ["a"])).toMatchObject({ exitCode: 17 });
  });

  it.each<[readonly ZephErrorCode[], number]>([
    [["insufficient_balance", "native_closed"], 16],
    [["clock_skew", "insufficient_balance"], 14],
    [["clock_skew"], 10],
    [["rate_limited", "unreachable"], 10],
    [["model_not_found", "secret_missing"], 17],
    [["internal"], 1],
  ])("exits with the worst of %s", (codes, exitCode) => {
    const rows = codes.map((code, index) => broken("a", code, `check ${index}`));
    expect(report(rows, ["a"]).exitCode).toBe(exitCode);
  });

  it("counts warnings as failures with --strict, skipped checks not", () => {
    const rows: Row[] = [{ name: "w", status: "warn", code: "clock_skew" }, fine("a")];
    expect(report(rows, ["a"], true)).toMatchObject({ overall: "fail", exitCode: 10 });
    expect(report([{ name: "s", status: "skip" }, fine("a")], ["a"], true)).toMatchObject({ exitCode: 0, warnings: 1 });
    expect(report([{ name: "w", status: "warn" }], ["a"], true).exitCode).toBe(1);
  });
});

describe("the JSON report", () => {
  it("keeps its fields and calls a skipped check a warning", () => {
    const json = toReportJson(report([{ name: "s", status: "skip" }, broken("a", "unreachable")], ["a"]));
    expect(Object.keys(json)).toEqual([
      "schema_version",
      "overall",
      "failures",
      "warnings",
      "elapsed_ms",
      "exit_code",
      "served_by",
      "checks",
    ]);
    expect(json.checks[0]).toEqual({ name: "s", status: "warn", detail: "seen", elapsed_ms: 1, skipped: true });
    expect(json.checks[1]).toMatchObject({ status: "fail", code: "unreachable" });
  });
});
