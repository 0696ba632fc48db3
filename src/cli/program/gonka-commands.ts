import type { Command } from "commander";
import type { DoctorFlags } from "../commands/doctor.ts";
import type { AccountFlags } from "../commands/gonka-account.ts";
import type { SignFlags } from "../commands/gonka-sign.ts";
import type { VerifyFlags } from "../commands/gonka-verify.ts";
import type { NetworkFlags } from "../network-source.ts";
import type { Binding } from "./bind.ts";
import { addDoctorOptions } from "./doctor-commands.ts";

export function addGonkaCommands(program: Command, { bind }: Binding): void {
  const gonka = program.command("gonka").description("look at the network, and at requests signed with your own key");
  bind<DoctorFlags>(
    addDoctorOptions(gonka.command("doctor").description("say whether signed requests would work")),
    [],
    async (context, flags) => (await import("../commands/doctor.ts")).runGonkaDoctor(context, flags),
  );
  addViews(gonka, bind);
  addSignatures(gonka, bind);
}

/** What the network says now. Nothing is signed. */
function addViews(gonka: Command, bind: Binding["bind"]): void {
  bind<NetworkFlags>(
    addSource(gonka.command("status").description("version, chain, epoch, and who may ask whom")),
    [],
    async (context, flags) => (await import("../commands/gonka-status.ts")).runGonkaStatus(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("models").description("what the network serves now, with its own prices")),
    [],
    async (context, flags) => (await import("../commands/gonka-models.ts")).runGonkaModels(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("participants").description("the hosts of this epoch, and how far the list is proven")),
    [],
    async (context, flags) => (await import("../commands/gonka-participants.ts")).runGonkaParticipants(context, flags),
  );
  bind<AccountFlags>(
    addSource(
      gonka
        .command("account")
        .description("an account's balance and public key")
        .argument("[address]", "default: the address of your key"),
    ),
    ["address"],
    async (context, flags) => (await import("../commands/gonka-account.ts")).runGonkaAccount(context, flags),
  );
  bind<NetworkFlags>(
    addSource(gonka.command("pricing").description("what a token of each model costs on the network")),
    [],
    async (context, flags) => (await import("../commands/gonka-pricing.ts")).runGonkaPricing(context, flags),
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
    async (context, flags) => (await import("../commands/gonka-sign.ts")).runGonkaSign(context, flags),
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
    async (context, flags) => (await import("../commands/gonka-verify.ts")).runGonkaVerify(context, flags),
  );
}

function addSource(command: Command): Command {
  return command
    .option("--source-url <url>", "the node to ask; default the configured one")
    .option("--provider <name>", "the native provider whose network it is");
}
