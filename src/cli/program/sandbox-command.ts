import type { Command } from "commander";
import type { SandboxFlags } from "../commands/sandbox.ts";
import type { Binding } from "./bind.ts";

export function addSandboxCommand(program: Command, { bind }: Binding): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  bind<SandboxFlags>(
    program
      .command("sandbox")
      .description("run a fake broker on this computer, to try zeph without an account")
      .option("--port <number>", "port to listen on; default any free one")
      .option("--network", "also run nodes that verify signed requests, with a funded account")
      .option("--devshard", "also run devshard hosts and their chain, with an account that may open escrows")
      .option("--pace <tokens>", "tokens per second of the built-in engine; 0 for all at once")
      .option("--fault <name>", "play a fault on every request (repeatable)", collect),
    [],
    async (context, flags) => (await import("../commands/sandbox.ts")).runSandbox(context, flags),
  );
}
