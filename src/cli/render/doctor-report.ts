import type { CheckReport } from "../../doctor/check.ts";
import type { DoctorReport } from "../../doctor/report.ts";
import { displayWidth } from "./display-width.ts";
import { type Style, style } from "./style.ts";
import { toTerminalLine } from "./terminal-text.ts";

const NAME_COLUMNS = 40;
/** Under the name, behind the mark. */
const INDENT = " ".repeat(7);
/** Below this the name is not padded: detail would never fit beside it. */
const NARROW = 60;
const NARROWEST = 30;
const WIDEST = 140;

export interface RenderReportOptions {
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
