import type { Command } from "commander";
import type { CheckFlags, CloseFlags, DevshardFlags, OpenFlags } from "../commands/devshard.ts";
import type { AuditFlags } from "../commands/devshard-audit.ts";
import type { Binding } from "./bind.ts";

/** Escrows: the native way of today's network. */
export function addDevshardCommands(program: Command, { bind }: Binding): void {
  const devshard = program
    .command("devshard")
    .description("pay the network from an escrow of your own: check, open, look, settle");
  bind<CheckFlags>(
    addSource(
      devshard.command("check").description("say whether your key may open escrows, and what is missing"),
    ).option("-m, --model <id>", "the model to look for; default the provider's"),
    [],
    async (context, flags) => (await import("../commands/devshard.ts")).runDevshardCheck(context, flags),
  );
  bind<OpenFlags>(
    addSource(devshard.command("open").description("put GNK into a new escrow for one model; asks once"))
      .option("-m, --model <id>", "the model it pays for; default the provider's")
      .option("--amount <gnk>", "how much, such as 5 or 2.5; default devshard_amount, or the least")
      .option("--another", "also when there is one for this model already")
      .option("-y, --yes", "do not ask"),
    [],
    async (context, flags) => (await import("../commands/devshard.ts")).runDevshardOpen(context, flags),
  );
  bind<CloseFlags>(
    addSource(
      devshard
        .command("status")
        .description("your open escrows, or everything about one")
        .argument("[id]", "its number; default all that are open"),
    ),
    ["id"],
    async (context, flags) => (await import("../commands/devshard.ts")).runDevshardStatus(context, flags),
  );
  bind<CloseFlags>(
    addSource(
      devshard
        .command("close")
        .description("finalize and settle an escrow; what was not used comes back")
        .argument("[id]", "its number; default the one that is open"),
    ).option("-y, --yes", "do not ask"),
    ["id"],
    async (context, flags) => (await import("../commands/devshard.ts")).runDevshardClose(context, flags),
  );
  bind<DevshardFlags & { readonly id: string }>(
    addSource(
      devshard
        .command("rescue")
        .description("settle an escrow whose journal is lost, damaged or behind, from what its hosts have")
        .argument("<id>", "its number"),
    ).option("-y, --yes", "do not ask"),
    ["id"],
    async (context, flags) => (await import("../commands/devshard.ts")).runDevshardRescue(context, flags),
  );
  bind<AuditFlags>(
    addSource(
      devshard
        .command("audit")
        .description("recompute any escrow from its hosts: costs, misses, signatures, who disagrees; no key needed")
        .argument("<id>", "its number"),
    )
      .option("--host <url...>", "ask these instead of the hosts that the chain names")
      .option("--protocol <version>", "v3 or v4; default what the hosts are bound to"),
    ["id"],
    async (context, flags) => (await import("../commands/devshard-audit.ts")).runDevshardAudit(context, flags),
  );
}

function addSource(command: Command): Command {
  return command
    .option("--source-url <url>", "the node to ask; default the configured one")
    .option("--provider <name>", "the native provider whose key and network it is");
}
