import type { Command } from "commander";
import type { ConfigSetFlags, ConfigShowFlags } from "../commands/config.ts";
import type { ConfigMigrateFlags } from "../commands/config-migrate.ts";
import type { ConfigTrustFlags } from "../commands/config-trust.ts";
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
  bind<ConfigTrustFlags>(
    config
      .command("trust")
      .description("agree to the config file of a folder, with the content it has now")
      .argument("[path]", "the file; default the one of this folder")
      .option("--list", "print the files that were agreed to or refused")
      .option("--revoke", "take the answer back"),
    ["path"],
    async (context, flags) => (await import("../commands/config-trust.ts")).runConfigTrust(context, flags),
  );
  const migrate = config.command("migrate").description("bring a file of Zeph or of an older zeph to today's form");
  // The name of the command in Zeph.
  for (const command of [migrate, program.command("migrate-config", { hidden: true })]) {
    bind<ConfigMigrateFlags>(
      command
        .option("--diff", "print what would change, instead of the whole result")
        .option("--in-place", "write the file; the old one is kept beside it"),
      [],
      async (context, flags) => (await import("../commands/config-migrate.ts")).runConfigMigrate(context, flags),
    );
  }
}
