import type { Command } from "commander";
import type { Binding } from "./bind.ts";

export function addRouterCommand(program: Command, { bind }: Binding): void {
  const router = program.command("router").description("look at what is remembered of the providers' speed");
  bind<Record<never, never>>(
    router.command("stats").description("how fast each provider has been"),
    [],
    async (context, flags) => (await import("../commands/router.ts")).runRouterStats(context, flags),
  );
  bind<Record<never, never>>(router.command("reset").description("forget it"), [], async (context, flags) =>
    (await import("../commands/router.ts")).runRouterReset(context, flags),
  );
}
