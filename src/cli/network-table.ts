import type { Command } from "commander";
import { addDoctorOptions, type Binding } from "./command-table.ts";
import type { ConnectFlags } from "./commands/connect.ts";
import type { CheckFlags, CloseFlags, DevshardFlags, OpenFlags } from "./commands/devshard.ts";
import type { AuditFlags } from "./commands/devshard-audit.ts";
import type { DoctorFlags } from "./commands/doctor.ts";
import type { AccountFlags } from "./commands/gonka.ts";
import type { SignFlags, VerifyFlags } from "./commands/gonka-sign.ts";
import type { LaunchFlags } from "./commands/launch.ts";
import type { SandboxFlags } from "./commands/sandbox.ts";
import type { NetworkFlags } from "./setup.ts";

export function addGonkaCommands(program: Command, { bind }: Binding): void {
  const gonka = program.command("gonka").description("look at the network, and at requests signed with your own key");
  bind<DoctorFlags>(
    addDoctorOptions(gonka.command("doctor").description("say whether signed requests would work")),
    [],
    async (context, flags) => (await import("./commands/doctor.ts")).runGonkaDoctor(context, flags),
  );
  addViews(gonka, bind);
  addSignatures(gonka, bind);
}

/** What the network says now. Nothing is signed. */
function addViews(gonka: Command, bind: Binding["bind"]): void {
  bind<NetworkFlags>(
    addSource(gonka.command("status").description("version, chain, epoch, and who may ask whom")),
    [],
    async (context, flags) => (await import("./commands/gonka.ts")).runGonkaStatus(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("models").description("what the network serves now, with its own prices")),
    [],
    async (context, flags) => (await import("./commands/gonka.ts")).runGonkaModels(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("participants").description("the hosts of this epoch, and how far the list is proven")),
    [],
    async (context, flags) => (await import("./commands/gonka.ts")).runGonkaParticipants(context, flags),
  );
  bind<AccountFlags>(
    addSource(
      gonka
        .command("account")
        .description("an account's balance and public key")
        .argument("[address]", "default: the address of your key"),
    ),
    ["address"],
    async (context, flags) => (await import("./commands/gonka.ts")).runGonkaAccount(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("pricing").description("what a token of each model costs on the network")),
    [],
    async (context, flags) => (await import("./commands/gonka.ts")).runGonkaPricing(context, flags),
  );
}

/** For debugging, with the words of `inferenced signature`. */
function addSignatures(gonka: Command, bind: Binding["bind"]): void {
  bind<SignFlags>(
    gonka
      .command("sign")
      .description("sign the body of a request with your key, and send nothing")
      .option("--file <path>", "the body, byte for byte; default standard input")
      .option("--endpoint-account <address>", "the node it is for; default the first configured one")
      .option("--timestamp <nanoseconds>", "since 1970; default now")
      .option("--provider <name>", "whose key; default the native provider"),
    [],
    async (context, flags) => (await import("./commands/gonka-sign.ts")).runGonkaSign(context, flags),
  );
  bind<VerifyFlags>(
    addSource(
      gonka
        .command("verify")
        .description("say whether a node would accept a signature")
        .option("--file <path>", "the body, byte for byte; default standard input")
        .option("--signature <text>", "what Authorization would say")
        .option("--endpoint-account <address>", "the node it is for")
        .option("--timestamp <nanoseconds>", "what X-Timestamp would say")
        .option("--account-address <address>", "who signed; default your own key's")
        .option("--public-key <base64>", "the signer's; default what the network has published"),
    ),
    [],
    async (context, flags) => (await import("./commands/gonka-sign.ts")).runGonkaVerify(context, flags),
  );
}

function addSource(command: Command): Command {
  return command
    .option("--source-url <url>", "the node to ask; default the configured one")
    .option("--provider <name>", "the native provider whose network it is");
}

/** Escrows: the native way of today's network. */
export function addDevshardCommands(program: Command, { bind }: Binding): void {
  const devshard = program
    .command("devshard")
    .description("pay the network from an escrow of your own: check, open, look, settle");
  bind<CheckFlags>(
    addChainSource(
      devshard.command("check").description("say whether your key may open escrows, and what is missing"),
    ).option("-m, --model <id>", "the model to look for; default the provider's"),
    [],
    async (context, flags) => (await import("./commands/devshard.ts")).runDevshardCheck(context, flags),
  );
  bind<OpenFlags>(
    addChainSource(devshard.command("open").description("put GNK into a new escrow for one model; asks once"))
      .option("-m, --model <id>", "the model it pays for; default the provider's")
      .option("--amount <gnk>", "how much, such as 5 or 2.5; default devshard_amount, or the least")
      .option("--another", "also when there is one for this model already")
      .option("-y, --yes", "do not ask"),
    [],
    async (context, flags) => (await import("./commands/devshard.ts")).runDevshardOpen(context, flags),
  );
  bind<CloseFlags>(
    addChainSource(
      devshard
        .command("status")
        .description("your open escrows, or everything about one")
        .argument("[id]", "its number; default all that are open"),
    ),
    ["id"],
    async (context, flags) => (await import("./commands/devshard.ts")).runDevshardStatus(context, flags),
  );
  bind<CloseFlags>(
    addChainSource(
      devshard
        .command("close")
        .description("finalize and settle an escrow; what was not used comes back")
        .argument("[id]", "its number; default the one that is open"),
    ).option("-y, --yes", "do not ask"),
    ["id"],
    async (context, flags) => (await import("./commands/devshard.ts")).runDevshardClose(context, flags),
  );
  bind<DevshardFlags & { readonly id: string }>(
    addChainSource(
      devshard
        .command("rescue")
        .description("settle an escrow whose journal is lost, damaged or behind, from what its hosts have")
        .argument("<id>", "its number"),
    ).option("-y, --yes", "do not ask"),
    ["id"],
    async (context, flags) => (await import("./commands/devshard.ts")).runDevshardRescue(context, flags),
  );
  bind<AuditFlags>(
    addChainSource(
      devshard
        .command("audit")
        .description("recompute any escrow from its hosts: costs, misses, signatures, who disagrees; no key needed")
        .argument("<id>", "its number"),
    )
      .option("--host <url...>", "ask these instead of the hosts that the chain names")
      .option("--protocol <version>", "v3 or v4; default what the hosts are bound to"),
    ["id"],
    async (context, flags) => (await import("./commands/devshard-audit.ts")).runDevshardAudit(context, flags),
  );
}

function addChainSource(command: Command): Command {
  return command
    .option("--source-url <url>", "the node to ask; default the configured one")
    .option("--provider <name>", "the native provider whose key and network it is");
}

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
    async (context, flags) => (await import("./commands/sandbox.ts")).runSandbox(context, flags),
  );
}

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
    async (context, flags) => (await import("./commands/launch.ts")).runLaunch(context, flags),
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
    async (context, flags) => (await import("./commands/connect.ts")).runConnect(context, flags),
  );
}
