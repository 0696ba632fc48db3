import { EXIT } from "../errors/catalogue.ts";
import type { CliContext, TerminalStream } from "./context.ts";
import { noticesTold } from "./notices.ts";
import { renderJson } from "./render/json.ts";
import { toTerminalPage } from "./render/terminal-text.ts";

export interface CommandResult {
  /** What `--json` prints. */
  readonly data: unknown;
  /** For standard output, without `--json`. */
  readonly answer?: string;
  /** The answer is a value or a file that a program takes as it is: it is cleaned for a terminal only. */
  readonly exact?: boolean;
  /** For standard error, without `--json`. */
  readonly notice?: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Prints what a command has to say, as one JSON object or as text, and gives back its exit code. */
export function writeResult(
  context: CliContext,
  { data, answer, exact, notice, exitCode = EXIT.ok }: CommandResult,
): number {
  if (context.json) {
    context.stdout.write(renderJson({ data }, noticesTold(context)));
    return exitCode;
  }
  const isForProgram = exact === true && context.stdout.isTTY !== true;
  if (answer !== undefined && isForProgram) context.stdout.write(answer);
  else if (answer !== undefined) show(context.stdout, answer);
  if (notice !== undefined) show(context.stderr, notice);
  return exitCode;
}

/** Writes words for people: on a terminal as in a file, nothing that came from outside controls whoever reads them. */
export function show(stream: TerminalStream, text: string): void {
  stream.write(toTerminalPage(text));
}
