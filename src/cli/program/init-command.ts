import type { Command } from "commander";
import type { InitFlags } from "../commands/init.ts";
import type { Binding } from "./bind.ts";

const EXAMPLES = `
Examples:
  zeph init                                                     in the terminal: three questions
  zeph init --yes --broker gonkagate --key-stdin --model auto < key.txt
  zeph init --yes --path native --source-url http://127.0.0.1:8000 --key-stdin < key.hex
`;

export function addInitCommand(program: Command, { bind }: Binding): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  bind<InitFlags>(
    program
      .command("init")
      .description("set up: access, key, model, and a first reply")
      .option("-y, --yes", "ask nothing; what is missing is an error")
      .option("--path <path>", "gateway (a broker's key) or native (signed requests)")
      .option("--broker <id>", "broker to use; `zeph providers --brokers` lists them")
      .option("--base-url <url>", "any OpenAI-compatible endpoint")
      .option("--model <id>", "model to use, or auto for the first that fits")
      .option("--name <name>", "name of the provider in the config")
      .option("--key-stdin", "read the key from standard input")
      .option("--key-env <name>", "take the key from this environment variable")
      .option("--full", "also ask for the settings that have a good default")
      .option("--no-test", "send no test message")
      .option("-o, --output <path>", "config file to write")
      .option("--default", "make it the default provider")
      .option("--no-default", "leave the default provider as it is")
      .option("--force", "replace a stored key, or a config that cannot be read, without asking")
      .option("--source-url <url>", "native: a node to find the others from")
      .option("--node <url[,address]>", "native: a node to use (repeatable)", collect)
      .option("--key-name <name>", "native: take this key from inferenced")
      .option("--keyring-backend <backend>", "native: keyring backend of inferenced")
      .option("--keyring-home <path>", "native: home folder of inferenced")
      .option("--prefix <prefix>", "native: address prefix of the network; default gonka")
      .option("--expect-address <address>", "native: refuse a key of another address")
      .addHelpText("after", EXAMPLES),
    [],
    async (context, flags) => (await import("../commands/init.ts")).runInit(context, flags),
  );
}
