import { EXIT } from "../errors/catalogue.ts";
import type { CliContext } from "./context.ts";
import { renderJson } from "./render/json.ts";

export interface CommandResult {
  /** What `--json` prints. */
  readonly data: unknown;
  /** For standard output, without `--json`. */
  readonly answer?: string;
  /** For standard error, without `--json`. */
  readonly notice?: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Prints what a command has to say, as one JSON object or as text, and gives back its exit code. */
export function writeResult(context: CliContext, { data, answer, notice, exitCode = EXIT.ok }: CommandResult): number {
  if (context.json) {
    context.stdout.write(renderJson({ data }));
    return exitCode;
  }
  if (answer !== undefined) context.stdout.write(answer);
  if (notice !== undefined) context.stderr.write(notice);
  return exitCode;
}
