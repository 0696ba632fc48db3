import type { Command } from "commander";
import type { CompletionFlags } from "../commands/completion.ts";
import type { Binding } from "./bind.ts";

export function addCompletionCommand(program: Command, { bind }: Binding): void {
  bind<CompletionFlags>(
    program
      .command("completion")
      .description("print the script that makes your shell complete zeph's commands")
      .argument("[shell]", "bash, zsh, fish or powershell; default what $SHELL says"),
    ["shell"],
    async (context, flags) => {
      const [{ runCompletion }, { toCommandTree }] = await Promise.all([
        import("../commands/completion.ts"),
        import("../completion/command-tree.ts"),
      ]);
      return runCompletion(context, flags, toCommandTree(program));
    },
  );
}
