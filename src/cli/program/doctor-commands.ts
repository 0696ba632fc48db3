import type { Command } from "commander";
import type { DoctorFlags } from "../commands/doctor.ts";
import type { ExplainFlags } from "../commands/explain.ts";
import type { Binding } from "./bind.ts";

export function addDoctorCommands(program: Command, { bind }: Binding): void {
  bind<DoctorFlags>(
    addDoctorOptions(program.command("doctor").description("say whether a chat would work, and what to do if not")),
    [],
    async (context, flags) => (await import("../commands/doctor.ts")).runDoctorCommand(context, flags),
  );
  bind<ExplainFlags>(
    program
      .command("explain")
      .description("tell the story of the last failed request, or what an error code means")
      .argument("[id]", "of another one: its own id, or the request id of the server; or an error code")
      .option("--last", "the last one, which is the default"),
    ["id"],
    async (context, flags) => (await import("../commands/explain.ts")).runExplain(context, flags),
  );
}

/** `zeph doctor` and `zeph gonka doctor` take the same. */
export function addDoctorOptions(command: Command): Command {
  return command
    .option("--timeout-secs <seconds>", "for each check; default 10")
    .option("--provider <name>", "the provider a chat would use; default the default one")
    .option("--smoke", "also send one paid request of one token")
    .option("--fix", "mend what can be mended, after a yes")
    .option("--strict", "warnings count as failures")
    .option("--bundle <file>", "write a report without secrets, to attach to a bug")
    .option("-y, --yes", "yes to every question of --fix");
}
