import { versions } from "node:process";
import type { CliContext } from "../../base/world.ts";
import type { CheckReport } from "../../doctor/check.ts";
import { type DoctorReport, runDoctor, toReportJson } from "../../doctor/doctor.ts";
import { ZephError } from "../../errors.ts";
import type { Flags, Run } from "../command-table.ts";
import { passphraseSource, promptConfirm } from "../input.ts";
import { displayWidth, type Style, show, style, toSafeJson, toTerminalLine } from "../terminal.ts";

/** `zeph doctor`: would a chat work now, and if not, what is to be done? */
export const runDoctorCommand: Run<"doctor"> = (context, flags) => diagnose(context, flags, "all");

/** `zeph gonka doctor`: the same for signed requests alone. */
export const runGonkaDoctor: Run<"gonka doctor"> = (context, flags) => diagnose(context, flags, "native");

async function diagnose(context: CliContext, flags: Flags<"doctor">, scope: "all" | "native"): Promise<number> {
  const timeoutMs = timeoutOf(flags.timeoutSecs);
  const examine = (smoke: boolean) => examineOnce(context, flags, { scope, timeoutMs, smoke });
  let report = await examine(flags.smoke === true);
  if (flags.fix === true && (await applyFixes(context, flags, report))) report = await examine(false);
  if (flags.bundle !== undefined) {
    const { writeBundle } = await import("./explain.ts");
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
  { strict = false, provider }: Flags<"doctor">,
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
async function applyFixes(
  context: CliContext,
  { yes = false }: Flags<"doctor">,
  report: DoctorReport,
): Promise<boolean> {
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

interface DoctorProgress {
  readonly onReport: (report: CheckReport) => void;
  /** Takes the line away. */
  readonly clear: () => void;
  /** No line while this goes on: somebody is being asked something. */
  readonly hush: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Below this nobody wonders. */
const PATIENCE_MS = 200;

/** One line on standard error that says which check ended last; only on a terminal, and only when it takes a while. */
function doctorProgress({ stderr, clock, json }: CliContext): DoctorProgress {
  const startedAtMs = clock.nowMs();
  let done = 0;
  let shown = false;
  let hushed = false;
  const clear = () => {
    if (shown) stderr.write("\r\u001b[K");
    shown = false;
  };
  return {
    onReport({ name }) {
      done += 1;
      if (json || hushed || stderr.isTTY !== true || clock.nowMs() - startedAtMs < PATIENCE_MS) return;
      shown = true;
      stderr.write(`\r\u001b[KLooking … ${done} done, ${name}`);
    },
    clear,
    async hush(work) {
      hushed = true;
      clear();
      try {
        return await work();
      } finally {
        hushed = false;
      }
    },
  };
}

const NAME_COLUMNS = 40;

/** Under the name, behind the mark. */
const INDENT = " ".repeat(7);

/** Below this the name is not padded: detail would never fit beside it. */
const NARROW = 60;
const NARROWEST = 30;
const WIDEST = 140;

interface RenderReportOptions {
  readonly color: boolean;
  /** Default 80. */
  readonly columns?: number | undefined;
}

/** The doctor's report for people: one line per check where it fits, then the counts. */
export function renderDoctorReport(report: DoctorReport, { color, columns = 80 }: RenderReportOptions): string {
  const styled = style(color);
  const width = Math.max(NARROWEST, Math.min(columns, WIDEST));
  const lines = report.checks.flatMap((check) => renderCheck(check, styled, width));
  return `${lines.join("\n")}\n\n${summary(report, styled)}\n`;
}

function renderCheck(check: CheckReport, styled: Style, width: number): readonly string[] {
  const { status, elapsedMs } = check;
  const name = toTerminalLine(check.name);
  const detail = toTerminalLine(check.detail);
  const hint = check.hint === undefined ? undefined : toTerminalLine(check.hint);
  const time = `(${Math.round(elapsedMs)} ms)`;
  const shownName = width < NARROW ? name : name.padEnd(NAME_COLUMNS);
  const head = `${mark(status, styled)} ${shownName} ${styled.dim(time)}`;
  const used = INDENT.length + shownName.length + 2 + time.length;
  const fits = used + displayWidth(detail) <= width;
  const body = fits ? [] : wrap(detail, width - INDENT.length).map((line) => INDENT + line);
  const first = fits ? `${head} ${detail}` : head;
  if (hint === undefined || status === "ok") return [first, ...body];
  const [start = "", ...more] = wrap(hint, width - INDENT.length - 2);
  return [first, ...body, `${INDENT}${styled.cyan("→")} ${start}`, ...more.map((line) => `${INDENT}  ${line}`)];
}

function mark(status: CheckReport["status"], { green, yellow, red }: Style): string {
  switch (status) {
    case "ok":
      return green("[OK  ]");
    case "fail":
      return red("[FAIL]");
    default:
      return yellow("[WARN]");
  }
}

function summary({ failures, warnings, servedBy, exitCode }: DoctorReport, { bold, green, red }: Style): string {
  if (failures === 0 && warnings === 0) return green("All checks passed.");
  const counts = [
    ...(failures === 0 ? [] : [`${failures} check(s) failed`]),
    ...(warnings === 0 ? [] : [`${warnings} warning(s)`]),
  ].join(", ");
  if (exitCode === 0)
    return `${green("A chat would work")}${servedBy === undefined ? "" : ` (${servedBy})`}; ${counts}.`;
  return bold(failures === 0 ? `${counts}.` : red(`${counts}.`));
}

/** Breaks at blanks; a word that is longer than a line stays whole, because it is to be copied. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
