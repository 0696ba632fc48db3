import { EXIT } from "../errors/catalogue.ts";
import type { ChatChain } from "./base/config-checks.ts";
import type { Check, CheckReport } from "./check.ts";
import { worstExitCode } from "./exit-code.ts";
import { judge } from "./judge.ts";

/** What the doctor found. */
export interface DoctorReport {
  readonly overall: "ok" | "warn" | "fail";
  readonly failures: number;
  /** Skipped checks count as warnings. */
  readonly warnings: number;
  readonly elapsedMs: number;
  readonly checks: readonly CheckReport[];
  /** The provider a chat would be answered by; `undefined` when none would. */
  readonly servedBy: string | undefined;
  /** 0 when a chat would work and no secret lies open; otherwise that of the worst cause. */
  readonly exitCode: number;
}

export function toReport(
  checks: readonly Check[],
  found: readonly CheckReport[],
  options: { readonly chain: ChatChain; readonly elapsedMs: number; readonly isStrict: boolean },
): DoctorReport {
  const { reports, servedBy } = judge(checks, found, options.chain);
  const failures = reports.filter(({ status }) => status === "fail");
  const warnings = reports.filter(({ status }) => status === "warn" || status === "skip");
  const isCounted = ({ status }: CheckReport) => status === "fail" || (options.isStrict && status === "warn");
  const counting = reports.filter(isCounted);
  return {
    overall: counting.length > 0 ? "fail" : warnings.length > 0 ? "warn" : "ok",
    failures: failures.length,
    warnings: warnings.length,
    elapsedMs: options.elapsedMs,
    checks: reports,
    servedBy,
    exitCode: counting.length === 0 ? EXIT.ok : worstExitCode(failures.length > 0 ? failures : counting),
  };
}

/** The report as `--json` prints it. Fields may be added while `schema_version` is 1; none is renamed or removed. */
export function toReportJson(report: DoctorReport) {
  return {
    schema_version: 1,
    overall: report.overall,
    failures: report.failures,
    warnings: report.warnings,
    elapsed_ms: Math.round(report.elapsedMs),
    exit_code: report.exitCode,
    served_by: report.servedBy ?? null,
    checks: report.checks.map(({ name, status, detail, elapsedMs, hint, code, data }) => ({
      name,
      status: status === "skip" ? "warn" : status,
      detail,
      elapsed_ms: Math.round(elapsedMs),
      ...(status === "skip" ? { skipped: true } : {}),
      ...(hint === undefined ? {} : { hint }),
      ...(code === undefined ? {} : { code }),
      ...(data === undefined ? {} : { data }),
    })),
  };
}
