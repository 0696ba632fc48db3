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
  /** For standard error, without `--json`. */
  readonly notice?: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Prints what a command has to say, as one JSON object or as text, and gives back its exit code. */
export function writeResult(context: CliContext, { data, answer, notice, exitCode = EXIT.ok }: CommandResult): number {
  if (context.json) {
    context.stdout.write(renderJson({ data }, noticesTold(context)));
    return exitCode;
  }
  if (answer !== undefined) context.stdout.write(fitFor(context.stdout, answer));
  if (notice !== undefined) context.stderr.write(fitFor(context.stderr, notice));
  return exitCode;
}

/** Names of models, providers and servers come from outside; a file or another program gets them as they are. */
function fitFor(stream: TerminalStream, text: string): string {
  return stream.isTTY === true ? toTerminalPage(text) : text;
}
