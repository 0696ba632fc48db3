import { versions } from "node:process";
import { type DoctorReport, toReportJson } from "../../doctor/report.ts";
import { runDoctor } from "../../doctor/run-doctor.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { passphraseSource } from "../open-vault.ts";
import { promptConfirm } from "../prompt.ts";
import { doctorProgress } from "../render/doctor-progress.ts";
import { renderDoctorReport } from "../render/doctor-report.ts";
import { toSafeJson } from "../render/json.ts";
import { show } from "../write-result.ts";

export interface DoctorFlags {
  /** `--timeout-secs N`, for each check. Default 10. */
  readonly timeoutSecs?: string;
  /** `--smoke`: also one paid request of one token. */
  readonly smoke?: boolean;
  /** `--fix`: mend what can be mended, after a yes. */
  readonly fix?: boolean;
  /** `--strict`: warnings count as failures. */
  readonly strict?: boolean;
  /** `--bundle FILE`: write a report without secrets, to attach to a bug. */
  readonly bundle?: string;
  /** `--provider NAME`: the one a chat would use; default the default provider. */
  readonly provider?: string;
  /** `-y`: yes to every question of `--fix`. */
  readonly yes?: boolean;
}

/** `zeph doctor`: would a chat work now, and if not, what is to be done? */
export const runDoctorCommand: RunCommand<DoctorFlags> = (context, flags) => diagnose(context, flags, "all");

/** `zeph gonka doctor`: the same for signed requests alone. */
export const runGonkaDoctor: RunCommand<DoctorFlags> = (context, flags) => diagnose(context, flags, "native");

async function diagnose(context: CliContext, flags: DoctorFlags, scope: "all" | "native"): Promise<number> {
  const timeoutMs = timeoutOf(flags.timeoutSecs);
  const examine = (smoke: boolean) => examineOnce(context, flags, { scope, timeoutMs, smoke });
  let report = await examine(flags.smoke === true);
  if (flags.fix === true && (await applyFixes(context, flags, report))) report = await examine(false);
  if (flags.bundle !== undefined) {
    const { writeBundle } = await import("../doctor-bundle.ts");
    const path = await writeBundle(context, flags.bundle, report);
    show(context.stderr, `The report is in ${path}. It holds no secrets; look at it before you send it.\n`);
  }
  if (context.json) context.stdout.write(`${toSafeJson(toReportJson(report), 2)}\n`);
  else {
    const { color, stdout } = context;
    show(stdout, renderDoctorReport(report, { color, columns: stdout.columns }));
  }
  return report.exitCode;
}

function examineOnce(
  context: CliContext,
  { strict = false, provider }: DoctorFlags,
  options: { readonly scope: "all" | "native"; readonly timeoutMs: number; readonly smoke: boolean },
): Promise<DoctorReport> {
  const { env, homeDir, platform, cwd, clock, random, fetch, paths, signal } = context;
  const progress = doctorProgress(context);
  const askPassphrase = () => progress.hush(passphraseSource(context));
  const world = { env, homeDir, platform, cwd, clock, random, fetch, askPassphrase, flags: { ...paths, provider } };
  return runDoctor({
    world,
    nodeVersion: versions.node,
    strict,
    signal,
    onReport: progress.onReport,
    ...options,
  }).finally(progress.clear);
}

/** Makes the changes that would mend something, one question each. True when anything was changed. */
async function applyFixes(context: CliContext, { yes = false }: DoctorFlags, report: DoctorReport): Promise<boolean> {
  let changed = false;
  for (const { fix, name } of report.checks) {
    if (fix === undefined) continue;
    if (!yes && !context.interactive) {
      throw new ZephError("not_interactive", {
        detail: `${name}: shall I ${fix.question}?`,
        hint: "Add --yes to agree, or run the command in a terminal to be asked.",
      });
    }
    if (!yes && !(await promptConfirm(context, `Shall I ${fix.question}?`))) continue;
    show(context.stderr, `${await fix.apply()}\n`);
    changed = true;
  }
  return changed;
}

function timeoutOf(text: string | undefined): number {
  if (text === undefined) return 10_000;
  const seconds = Number(text);
  if (/^\d{1,4}(?:\.\d{1,3})?$/.test(text) && seconds > 0) return seconds * 1000;
  throw new ZephError("usage", { detail: "--timeout-secs takes a number of seconds above 0" });
}
