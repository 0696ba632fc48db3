import type { CliContext } from "../context.ts";
import type { ReplDependencies } from "../repl/repl-dependencies.ts";
import { type AskFlags, runAsk } from "./ask.ts";

/**
 * `zeph` and `zeph chat`: a conversation where there is a keyboard and a screen. With a question on the command line,
 * with text on standard input, with `--json`, or with the output going elsewhere it is `zeph ask`.
 */
export async function runChat(context: CliContext, flags: AskFlags, dependencies: ReplDependencies): Promise<number> {
  const hasQuestion = (flags.prompt ?? []).length > 0;
  const isConversation = context.stdin.isTTY === true && context.stdout.isTTY === true;
  if (hasQuestion || context.json || !isConversation) return await runAsk(context, flags, dependencies);
  const { runRepl } = await import("../repl/run-repl.ts");
  return await runRepl(context, flags, dependencies);
}
