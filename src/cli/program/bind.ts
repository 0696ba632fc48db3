import { type Command, Option } from "commander";
import type { CliContext, World } from "../context.ts";
import { type GlobalFlags, toContext } from "../global-flags.ts";

/** Connects commands to the work behind them. One per command line. */
export interface Binding {
  /**
   * Runs `load` when the command is chosen, with the context and its flags; positional arguments join the flags under
   * the names given. `load` imports the command's module, so that no command pays for another.
   */
  bind<Flags>(
    command: Command,
    argumentNames: readonly string[],
    load: (context: CliContext, flags: Flags) => Promise<number>,
  ): Command;
  readonly exitCode: () => number;
}

export function binding(world: World): Binding {
  let exitCode = 0;
  return {
    bind(command, argumentNames, load) {
      command.action(async (...given: unknown[]) => {
        const flags = command.optsWithGlobals();
        argumentNames.forEach((name, index) => {
          if (given[index] !== undefined) flags[name] = given[index];
        });
        exitCode = await load(toContext(world, flags as GlobalFlags), flags as never);
      });
      return command;
    },
    exitCode: () => exitCode,
  };
}

/** Every command takes these, before or after its name; they stand at the root. */
export function addGlobalOptions(command: Command): Command {
  return command
    .addOption(new Option("--config <path>", "config file to use instead of the usual ones").helpGroup("Everywhere:"))
    .addOption(new Option("--vault <backend>", "where secrets are: age (default) or env").helpGroup("Everywhere:"))
    .addOption(new Option("--vault-key <path>", "key file of the vault").helpGroup("Everywhere:"))
    .addOption(new Option("--vault-path <path>", "the vault itself").helpGroup("Everywhere:"))
    .addOption(new Option("--json", "print one JSON object on standard output").helpGroup("Everywhere:"))
    .addOption(new Option("--verbose", "tell more on standard error").helpGroup("Everywhere:"))
    .addOption(new Option("--non-interactive", "never ask anything").helpGroup("Everywhere:"))
    .addOption(new Option("--color <when>", "colour").choices(["auto", "always", "never"]).helpGroup("Everywhere:"));
}
