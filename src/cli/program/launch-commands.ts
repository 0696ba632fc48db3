import type { Command } from "commander";
import type { ConnectFlags } from "../commands/connect.ts";
import type { LaunchFlags } from "../commands/launch.ts";
import type { Binding } from "./bind.ts";

const LAUNCH_EXAMPLES = `
Agents: claude, codex, opencode, qwen, pi, cline, continue, kilo, aider, crush

Examples:
  zeph launch                          a menu of the agents that are installed
  zeph launch claude                   Claude Code on your provider
  zeph launch codex -- exec "fix it"   what stands behind -- goes to the agent
`;

const CONNECT_EXAMPLES = `
Agents: claude, codex, opencode, qwen, pi, cline, continue, kilo, aider, crush

Examples:
  zeph connect claude --dry-run   what would be written, and where
  zeph connect claude             writes it; claude then uses \`zeph serve\`
  zeph connect claude --undo      everything as it was before
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
  bind<ConnectFlags>(
    program
      .command("connect")
      .description("set a coding agent up for `zeph serve`, for good")
      .argument("<agent>", "which one")
      .option("--provider <name>", "a configured provider; default the default one")
      .option("-m, --model <id>", "model; default the provider's")
      .option("--dry-run", "show what would be written, and write nothing")
      .option("--undo", "take back what was written")
      .option("--no-check", "send no request to see whether it works")
      .option("-y, --yes", "write without asking")
      .addHelpText("after", CONNECT_EXAMPLES),
    ["agent"],
    async (context, flags) => (await import("../commands/connect.ts")).runConnect(context, flags),
  );
}
