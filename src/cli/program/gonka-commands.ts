import type { Command } from "commander";
import type { DoctorFlags } from "../commands/doctor.ts";
import type { Binding } from "./bind.ts";
import { addDoctorOptions } from "./doctor-commands.ts";

export function addGonkaCommands(program: Command, { bind }: Binding): void {
  const gonka = program.command("gonka").description("look at the network, and at requests signed with your own key");
  bind<DoctorFlags>(
    addDoctorOptions(gonka.command("doctor").description("say whether signed requests would work")),
    [],
    async (context, flags) => (await import("../commands/doctor.ts")).runGonkaDoctor(context, flags),
  );
}
