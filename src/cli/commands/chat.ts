import type { CliContext } from "../context.ts";
import type { ReplDependencies } from "../repl/repl-dependencies.ts";
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

/** Only a conversation follows the provider that was chosen in the last one; a script's question goes where the config says. */
export function isConversation(
  { stdin, stdout, json }: Pick<CliContext, "stdin" | "stdout" | "json">,
  flags: Pick<AskFlags, "prompt">,
): boolean {
  return (flags.prompt ?? []).length === 0 && !json && stdin.isTTY === true && stdout.isTTY === true;
}
