import { CATALOGUE, EXIT } from "../errors/catalogue.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { mayFallBack } from "../provider/may-fall-back.ts";
import type { ChatChain } from "./base/config-checks.ts";
import type { Check, CheckReport } from "./check.ts";

export interface Verdict {
  /** Failures that would not keep a chat from working have become warnings. */
  readonly reports: readonly CheckReport[];
  /** The provider a chat would be answered by; `undefined` when none would. */
  readonly servedBy: string | undefined;
}

/**
 * Decides what the failures mean for a chat: one live node is enough, a provider that no chat would use harms none, and
 * a fallback takes over where one is configured.
 *
 * @param chain the providers a chat would try
 */
export function judge(checks: readonly Check[], reports: readonly CheckReport[], chain: ChatChain): Verdict {
  const rows = reports.map((report) => ({ report, check: checks.find(({ name }) => name === report.name) }));
  const eased = rows.map(({ report, check }) => {
    const isSpare = check?.oneOf !== undefined && report.status === "fail";
    const group = rows.filter((row) => row.check?.oneOf === check?.oneOf);
    const isEased = isSpare && group.some((row) => row.report.status === "ok" || row.report.status === "warn");
    return { check, report: isEased ? soften(report, "another node answers") : report };
  });
  const faultsOf = (name: string) =>
    eased.filter(({ check, report }) => check?.provider === name && report.status === "fail").map((row) => row.report);
  const servedBy = findServing(chain, faultsOf);
  return {
    servedBy,
    reports: eased.map(({ check, report }) => {
      if (report.status !== "fail" || check === undefined) return report;
      if (check.isIndirect === true) return servedBy === undefined ? report : soften(report, "no chat needs it now");
      const { provider } = check;
      if (provider === undefined) return report;
      if (!chain.names.includes(provider)) return soften(report, `a chat would not use ${provider} now`);
      return servedBy === undefined ? report : soften(report, `a chat would go on with ${servedBy}`);
    }),
  };
}

/** The first provider without faults, as long as all before it failed for causes that allow to go on. */
function findServing(
  { first, names }: ChatChain,
  faultsOf: (name: string) => readonly CheckReport[],
): string | undefined {
  if (first !== undefined && faultsOf(first).some(keepsFromOpening)) return undefined;
  for (const name of names) {
    const faults = faultsOf(name);
    if (faults.length === 0) return name;
    const isPassed = (report: CheckReport) =>
      report.code !== undefined && (keepsFromOpening(report) || mayFallBack(new ZephError(report.code)));
    if (!faults.every(isPassed)) return undefined;
  }
  return undefined;
}

/** A fallback that cannot be opened, or has no model of its own, is passed over; the first provider must be there. */
function keepsFromOpening({ code }: CheckReport): boolean {
  return code === "model_missing" || (code !== undefined && CATALOGUE[code].exitCode === EXIT.configOrVault);
}

function soften(report: CheckReport, why: string): CheckReport {
  return { ...report, status: "warn", detail: `${report.detail} (${why})` };
}
