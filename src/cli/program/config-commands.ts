import type { Command } from "commander";
import type { ConfigSetFlags, ConfigShowFlags } from "../commands/config.ts";
import type { Binding } from "./bind.ts";

export function addConfigCommands(program: Command, { bind }: Binding): void {
  const config = program.command("config").description("look at and change the configuration");
  bind<ConfigShowFlags>(
    config
      .command("show")
      .description("print every value in force; keys are masked")
      .option("--origin", "say where each value comes from"),
    [],
    async (context, flags) => (await import("../commands/config.ts")).runConfigShow(context, flags),
  );
  bind<Record<never, never>>(
    config.command("path").description("print where the configuration is read from and written to"),
    [],
    async (context, flags) => (await import("../commands/config.ts")).runConfigPath(context, flags),
  );
  bind<ConfigSetFlags>(
    config
      .command("set")
      .description("set the model of a provider, or the default provider")
      .argument("<key>", "model or provider")
      .argument("<value>", "a model id, or a provider's name")
      .option("--provider <name>", "whose model; default the default provider's"),
    ["key", "value"],
    async (context, flags) => (await import("../commands/config.ts")).runConfigSet(context, flags),
  );
}
