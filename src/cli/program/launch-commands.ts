import type { Command } from "commander";
import type { LaunchFlags } from "../commands/launch.ts";
import type { Binding } from "./bind.ts";

const LAUNCH_EXAMPLES = `
Agents: claude, codex, opencode, qwen, pi, cline, continue, kilo, aider, crush

Examples:
  zeph launch                          a menu of the agents that are installed
  zeph launch claude                   Claude Code on your provider
  zeph launch codex -- exec "fix it"   what stands behind -- goes to the agent
`;

export function addLaunchCommands(program: Command, { bind }: Binding): void {
  bind<LaunchFlags>(
    program
      .command("launch")
      .description("start a coding agent on your provider, with nothing to configure")
      .argument("[agent]", "which one; default asks")
      .argument("[args...]", "arguments of the agent, behind --")
      .option("--provider <name>", "a configured provider; default the default one")
      .option("-m, --model <id>", "model; default the provider's")
      .addHelpText("after", LAUNCH_EXAMPLES),
    ["agent", "args"],
    async (context, flags) => (await import("../commands/launch.ts")).runLaunch(context, flags),
  );
}
