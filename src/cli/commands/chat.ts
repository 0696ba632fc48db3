import { EXIT } from "../../errors/catalogue.ts";
import type { CliContext } from "../context.ts";
import { isPutTogether, type QuestionFlags } from "../question.ts";
import type { ReplDependencies } from "../repl/repl-dependencies.ts";
import { setupOf } from "../setup.ts";
import { show } from "../write-result.ts";
import { type AskFlags, runAsk } from "./ask.ts";

/**
 * `zeph` and `zeph chat`: a conversation where there is a keyboard and a screen. With a question on the command line,
 * with text on standard input, with `--json`, or with the output going elsewhere it is `zeph ask`.
 */
export async function runChat(context: CliContext, flags: AskFlags, dependencies: ReplDependencies): Promise<number> {
  if (!isConversation(context, flags)) return await runAsk(context, flags, dependencies);
  const { runRepl } = await import("../repl/run-repl.ts");
  return await runRepl(context, flags, dependencies);
}

/**
 * Whoever types `zeph` for the first time, at a terminal, is set up first. Gives the exit code when there is nothing to
 * talk to afterwards, `undefined` to go on. A file or provider that was named and is not there stays an error.
 */
export async function setUpFirst(
  context: CliContext,
  { provider }: Pick<AskFlags, "provider">,
): Promise<number | undefined> {
  if (!context.interactive || context.stdout.isTTY !== true || context.json || provider !== undefined) return undefined;
  const { config } = (await setupOf(context, {}, "silent")).loaded;
  if (config.providers.length > 0 || config.untrusted !== undefined) return undefined;
  show(context.stderr, "zeph is not set up yet.\n");
  const { runInit } = await import("./init.ts");
  const exitCode = await runInit(context, {});
  return exitCode === EXIT.ok ? undefined : exitCode;
}

/** Only a conversation follows the provider that was chosen in the last one; a script's question goes where the config says. */
export function isConversation(
  { stdin, stdout, json }: Pick<CliContext, "stdin" | "stdout" | "json">,
  flags: QuestionFlags,
): boolean {
  return (
    (flags.prompt ?? []).length === 0 && !isPutTogether(flags) && !json && stdin.isTTY === true && stdout.isTTY === true
  );
}
