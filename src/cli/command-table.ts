import { type Command, Option } from "commander";
import type { CliContext, World } from "../base/world.ts";
import type { AskFlags } from "./commands/ask.ts";
import type {
  ChatsDeleteFlags,
  ChatsExportFlags,
  ChatsIdFlags,
  ChatsListFlags,
  ChatsRenameFlags,
} from "./commands/chats.ts";
import type { ConfigMigrateFlags, ConfigSetFlags, ConfigShowFlags, ConfigTrustFlags } from "./commands/config.ts";
import type { DoctorFlags } from "./commands/doctor.ts";
import type { ExplainFlags } from "./commands/explain.ts";
import type { InitFlags } from "./commands/init.ts";
import type { ModelsFlags, ProvidersFlags } from "./commands/providers.ts";
import type { ServeFlags } from "./commands/serve.ts";
import type { UsageFlags } from "./commands/usage.ts";
import type { VaultBindFlags } from "./commands/vault.ts";
import type { CompletionFlags } from "./completion.ts";

/** Connects commands to the work behind them. One per command line. */
export interface Binding {
  /**
   * Runs `load` when the command is chosen, with the context and its flags; positional arguments join the flags under
   * the names given. `load` imports the command's module, so that no command pays for another.
   */
  bind<Flags>(
    command: Command,
    argumentNames: readonly string[],
    load: (context: CliContext, flags: Flags) => Promise<number>,
  ): Command;
  readonly exitCode: () => number;
}

export function binding(world: World): Binding {
  let exitCode = 0;
  return {
    bind(command, argumentNames, load) {
      command.action(async (...given: unknown[]) => {
        const flags = command.optsWithGlobals();
        argumentNames.forEach((name, index) => {
          if (given[index] !== undefined) flags[name] = given[index];
        });
        exitCode = await load(toContext(world, flags as GlobalFlags), flags as never);
      });
      return command;
    },
    exitCode: () => exitCode,
  };
}

/** Every command takes these, before or after its name; they stand at the root. */
export function addGlobalOptions(command: Command): Command {
  return command
    .addOption(new Option("--config <path>", "config file to use instead of the usual ones").helpGroup("Everywhere:"))
    .addOption(new Option("--vault <backend>", "where secrets are: age (default) or env").helpGroup("Everywhere:"))
    .addOption(new Option("--vault-key <path>", "key file of the vault").helpGroup("Everywhere:"))
    .addOption(new Option("--vault-path <path>", "the vault itself").helpGroup("Everywhere:"))
    .addOption(new Option("--json", "print one JSON object on standard output").helpGroup("Everywhere:"))
    .addOption(new Option("--verbose", "tell more on standard error").helpGroup("Everywhere:"))
    .addOption(new Option("--non-interactive", "never ask anything").helpGroup("Everywhere:"))
    .addOption(new Option("--color <when>", "colour").choices(["auto", "always", "never"]).helpGroup("Everywhere:"));
}

/** Flags that every command takes, as commander hands them over. */
interface GlobalFlags {
  readonly config?: string;
  readonly vault?: string;
  readonly vaultKey?: string;
  readonly vaultPath?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly yes?: boolean;
  readonly nonInteractive?: boolean;
  readonly color?: "auto" | "always" | "never";
}

/** The world plus what the global flags say about it. */
export function toContext(world: World, flags: GlobalFlags): CliContext {
  const isTerminal = world.stdin.isTTY === true && world.stderr.isTTY === true;
  const saysNo = flags.yes === true || flags.nonInteractive === true || (world.env.CI ?? "") !== "";
  return {
    ...world,
    interactive: isTerminal && !saysNo,
    json: flags.json === true,
    verbose: flags.verbose === true,
    color: useColor(world, flags.color ?? "auto"),
    paths: {
      ...(flags.config === undefined ? {} : { config: flags.config }),
      ...(flags.vaultKey === undefined ? {} : { vaultKey: flags.vaultKey }),
      ...(flags.vaultPath === undefined ? {} : { vaultFile: flags.vaultPath }),
      ...(flags.vault === undefined ? {} : { vaultBackend: flags.vault }),
    },
  };
}

/** no-color.org: any non-empty NO_COLOR; then FORCE_COLOR; then whether both outputs are capable terminals. */
function useColor({ env, stdout, stderr }: World, choice: "auto" | "always" | "never"): boolean {
  if (choice !== "auto") return choice === "always";
  if ((env.NO_COLOR ?? "") !== "") return false;
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  return stdout.isTTY === true && stderr.isTTY === true && env.TERM !== "dumb";
}

export function addChatCommands(program: Command, { bind }: Binding): void {
  bind<AskFlags>(
    withChatOptions(program.command("chat").description("talk in the terminal; with words, as ask does")),
    ["prompt"],
    async (context, flags) => {
      const [{ isConversation, runChat, setUpFirst }, { chatDependencies }] = await Promise.all([
        import("./commands/ask.ts"),
        import("./session.ts"),
      ]);
      const ended = await setUpFirst(context, flags);
      if (ended !== undefined) return ended;
      const kind = isConversation(context, flags) ? "conversation" : "question";
      return runChat(context, flags, await chatDependencies(context, flags, kind));
    },
  );
  bind<AskFlags>(
    withChatOptions(program.command("ask").description("one question, one answer; only the answer on standard output")),
    ["prompt"],
    async (context, flags) => {
      const [{ runAsk }, { chatDependencies }] = await Promise.all([
        import("./commands/ask.ts"),
        import("./session.ts"),
      ]);
      return runAsk(context, flags, await chatDependencies(context, flags, "question"));
    },
  );
  bind(
    program.command("templates").description("list the templates that `zeph ask -t` takes"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("./commands/providers.ts")).runTemplates(context, flags),
  );
  addChatsCommands(program, { bind });
  bind<UsageFlags>(
    program
      .command("usage")
      .description("tokens, cost, errors and times by day, provider, model and client, from this computer's own ledger")
      .option("--by <step>", "hour, day or month; default day")
      .option("--days <number>", "how many days, today included; default 30, by hour 2, by month 400")
      .option("--csv", "a line for each day, provider, model and client, for a spreadsheet"),
    [],
    async (context, flags) => (await import("./commands/usage.ts")).runUsage(context, flags),
  );
  bind<ModelsFlags>(
    program
      .command("models")
      .description("list what the provider offers now, with context length and prices")
      .option("--provider <name>", "a configured provider; default the default one"),
    [],
    async (context, flags) => (await import("./commands/providers.ts")).runModels(context, flags),
  );
  bind<ProvidersFlags>(
    program
      .command("providers")
      .description("list the configured providers")
      .option("--brokers", "list the brokers zeph knows, with their sign-up pages"),
    [],
    async (context, flags) => (await import("./commands/providers.ts")).runProviders(context, flags),
  );
}

function addChatsCommands(program: Command, { bind }: Pick<Binding, "bind">): void {
  const chats = program
    .command("chats")
    .description("look at, rename, delete and export the conversations that were kept");
  const ID = "its id, the beginning of one, a part of the title, or last";
  bind<ChatsListFlags>(
    chats
      .command("list", { isDefault: true })
      .description("list them, newest first; with words, those that hold all of them")
      .argument("[words...]", "words to look for")
      .option("--limit <number>", "most that are shown; default 30"),
    ["words"],
    async (context, flags) => (await import("./commands/chats.ts")).runChatsList(context, flags),
  );
  bind<ChatsIdFlags>(
    chats.command("show").description("show the whole conversation").argument("<id>", ID),
    ["id"],
    async (context, flags) => (await import("./commands/chats.ts")).runChatsShow(context, flags),
  );
  bind<ChatsRenameFlags>(
    chats
      .command("rename")
      .description("give it another title")
      .argument("<id>", ID)
      .argument("<title...>", "the title"),
    ["id", "title"],
    async (context, flags) => (await import("./commands/chats.ts")).runChatsRename(context, flags),
  );
  bind<ChatsDeleteFlags>(
    chats
      .command("delete")
      .alias("rm")
      .description("delete conversations for good; there is no backup")
      .argument("[ids...]", ID)
      .option("--all", "all of them")
      .option("-y, --yes", "do not ask"),
    ["ids"],
    async (context, flags) => (await import("./commands/chats.ts")).runChatsDelete(context, flags),
  );
  bind<ChatsExportFlags>(
    chats
      .command("export")
      .description("write it as Markdown or JSON")
      .argument("<id>", ID)
      .addOption(new Option("--format <format>", "default what the file's ending says").choices(["markdown", "json"]))
      .option("-o, --output <file>", "a new file; default standard output"),
    ["id"],
    async (context, flags) => (await import("./commands/chats.ts")).runChatsExport(context, flags),
  );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function withChatOptions(command: Command): Command {
  return command
    .argument("[prompt...]", "the question; joined with what comes on standard input")
    .option("-m, --model <id>", "model to use; `zeph models` lists them")
    .option("-p, --provider <name>", "configured provider to use")
    .option("-s, --system <text>", "instruction to the model")
    .option("-f, --file <path>", "a text that goes with the question (repeatable)", collect)
    .option("-a, --attach <file>", "an image that goes with it, for models that take them (repeatable)", collect)
    .option("-t, --template <name>", "put the question into a template; `zeph templates` lists them")
    .option("-c, --continue", "go on with the conversation that was kept last")
    .option("--load <id>", "go on with another one; `zeph chats` lists them")
    .option("--private", "do not keep this conversation")
    .option("--max-tokens <number>", "longest answer")
    .option("--temperature <number>", "0 to 2")
    .option("--top-p <number>", "0 to 1; look only at the most likely words")
    .option("--frequency-penalty <number>", "-2 to 2; above 0 repeats less")
    .option("--presence-penalty <number>", "-2 to 2; above 0 changes the subject more")
    .option("--no-stream", "wait for the whole answer")
    .option("--hide-reasoning", "do not show the model's thinking")
    .option("--debug-dump <folder>", "write each request there as JSON, without keys and known secrets");
}

const INIT_EXAMPLES = `
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
      .addHelpText("after", INIT_EXAMPLES),
    [],
    async (context, flags) => (await import("./commands/init.ts")).runInit(context, flags),
  );
}

const SERVE_EXAMPLES = `
Examples:
  zeph serve                                    then set the client's base URL to http://127.0.0.1:8424/v1
  zeph serve --alias gpt-4o=ID                  for a client whose model names are fixed
  zeph serve --alias 'claude-*=ID'              for every name that begins so
  zeph serve --cors http://localhost:3000       for a web page of yours
`;

export function addServeCommand(program: Command, { bind }: Binding): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  bind<ServeFlags>(
    program
      .command("serve")
      .description("an OpenAI- and Anthropic-compatible endpoint on this computer, for other programs")
      .option("-p, --port <number>", "port; 0 takes any free one (default 8424)")
      .option("--host <address>", "address to listen on (default 127.0.0.1)")
      .option("--provider <name>", "a configured provider; default the default one")
      .option("-m, --model <id>", "model for requests that name none")
      .option("--alias <name=id>", "another name for a model; may be given more than once", collect)
      .option("--no-auth", "ask for no key; on this computer only")
      .option("--show-key", "print the key although it is not new")
      .option("--cors <origin>", "let web pages of this origin call; may be given more than once", collect)
      .option(
        "--allow-host <name>",
        "another name clients may use for this computer, e.g. host.docker.internal",
        collect,
      )
      .option("--always-stream", "ask the provider for streams only; whole answers are put together here")
      .option("--no-clean-up", "send requests as they come, without making them fit the network's rules")
      .option("--quiet", "no line per request")
      .option("--workers <number>", "processes that share the port, for those who share the endpoint (default 1)")
      .option(
        "--store <address>",
        "where ledger, daily limit and kept answers are: file (default), or redis://HOST:PORT",
      )
      .option("--store-lost <rule>", "when a daily limit is set and the shared store is lost: refuse (default) or pass")
      .addHelpText("after", SERVE_EXAMPLES),
    [],
    async (context, flags) => (await import("./commands/serve.ts")).runServe(context, flags),
  );
}

export function addDoctorCommands(program: Command, { bind }: Binding): void {
  bind<DoctorFlags>(
    addDoctorOptions(program.command("doctor").description("say whether a chat would work, and what to do if not")),
    [],
    async (context, flags) => (await import("./commands/doctor.ts")).runDoctorCommand(context, flags),
  );
  bind<ExplainFlags>(
    program
      .command("explain")
      .description("tell the story of the last failed request, or what an error code means")
      .argument("[id]", "of another one: its own id, or the request id of the server; or an error code")
      .option("--last", "the last one, which is the default"),
    ["id"],
    async (context, flags) => (await import("./commands/explain.ts")).runExplain(context, flags),
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

export function addConfigCommands(program: Command, { bind }: Binding): void {
  const config = program.command("config").description("look at and change the configuration");
  bind<ConfigShowFlags>(
    config
      .command("show")
      .description("print every value in force; keys are masked")
      .option("--origin", "say where each value comes from"),
    [],
    async (context, flags) => (await import("./commands/config.ts")).runConfigShow(context, flags),
  );
  bind<Record<never, never>>(
    config.command("path").description("print where the configuration is read from and written to"),
    [],
    async (context, flags) => (await import("./commands/config.ts")).runConfigPath(context, flags),
  );
  bind<ConfigSetFlags>(
    config
      .command("set")
      .description("set the model of a provider, or the default provider")
      .argument("<key>", "model or provider")
      .argument("<value>", "a model id, or a provider's name")
      .option("--provider <name>", "whose model; default the default provider's"),
    ["key", "value"],
    async (context, flags) => (await import("./commands/config.ts")).runConfigSet(context, flags),
  );
  bind<ConfigTrustFlags>(
    config
      .command("trust")
      .description("agree to the config file of a folder, with the content it has now")
      .argument("[path]", "the file; default the one of this folder")
      .option("--list", "print the files that were agreed to or refused")
      .option("--revoke", "take the answer back"),
    ["path"],
    async (context, flags) => (await import("./commands/config.ts")).runConfigTrust(context, flags),
  );
  const migrate = config.command("migrate").description("bring a file of Zeph or of an older zeph to today's form");
  // The name of the command in Zeph.
  for (const command of [migrate, program.command("migrate-config", { hidden: true })]) {
    bind<ConfigMigrateFlags>(
      command
        .option("--diff", "print what would change, instead of the whole result")
        .option("--in-place", "write the file; the old one is kept beside it"),
      [],
      async (context, flags) => (await import("./commands/config.ts")).runConfigMigrate(context, flags),
    );
  }
}

export function addVaultCommands(program: Command, { bind }: Binding): void {
  const vault = program.command("vault").description("keep secrets in an age-encrypted vault");

  bind(
    vault
      .command("init")
      .description("make a key file and an empty vault")
      .option("--force", "replace a vault that is there; both files are kept as backups")
      .option("--protect", "protect the key file with a passphrase")
      .option("-y, --yes", "stand for the typed confirmation of --force"),
    [],
    async (context, flags: object) => (await import("./commands/vault.ts")).runVaultInit(context, flags),
  );
  bind<{ name: string }>(
    vault
      .command("set")
      .description("store a secret, from a hidden prompt or standard input")
      .argument("<name>", "name of the secret, e.g. ZEPH_COMPATIBLE_GONKAGATE_API_KEY")
      .argument("[value]", "refused: the shell history would keep it")
      .option("--stdin", "read the value from standard input")
      .option("--force", "replace a value that is there"),
    ["name", "value"],
    async (context, flags) => (await import("./commands/vault.ts")).runVaultSet(context, flags),
  );
  bind<{ name: string }>(
    vault.command("get").description("print a secret, and nothing else").argument("<name>", "name of the secret"),
    ["name"],
    async (context, flags) => (await import("./commands/vault.ts")).runVaultGet(context, flags),
  );
  bind(
    vault.command("list").description("print the names of all secrets"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("./commands/vault.ts")).runVaultList(context, flags),
  );
  bind<{ name: string }>(
    vault.command("rm").description("remove a secret; a backup is kept").argument("<name>", "name of the secret"),
    ["name"],
    async (context, flags) => (await import("./commands/vault.ts")).runVaultRemove(context, flags),
  );
  bind<VaultBindFlags>(
    vault
      .command("bind")
      .description("say where a key may be sent, when that has changed")
      .argument("<name>", "name of the secret, or of a variable that holds the key")
      .argument("<origins...>", "the address it is for, e.g. https://api.example.com"),
    ["name", "origins"],
    async (context, flags) => (await import("./commands/vault.ts")).runVaultBind(context, flags),
  );
  bind(
    vault.command("check").description("say what is wrong with the vault and how to mend it"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("./commands/vault.ts")).runVaultCheck(context, flags),
  );
  bind(
    vault
      .command("restore")
      .description("list earlier states of the vault and its key with their dates, or bring one back")
      .argument("[backup]", "number in the list, or name, of the state to bring back; what is there now is kept"),
    ["backup"],
    async (context, flags: object) => (await import("./commands/vault.ts")).runVaultRestore(context, flags),
  );
  bind(
    vault
      .command("passphrase")
      .description("protect the key file with a passphrase, change it, or take it away; a backup is kept")
      .option("--stdin", "read the new passphrase from standard input")
      .option("--remove", "take the passphrase away"),
    [],
    async (context, flags: object) => (await import("./commands/vault.ts")).runVaultPassphrase(context, flags),
  );
  bind(
    vault
      .command("import")
      .description("take over keys from a .env file, or from known variables and the config")
      .argument("[file]", "a .env file; without it, known variables of the environment and keys in the config")
      .option("-y, --yes", "do not ask")
      .option("--force", "replace values that are there")
      .option("--move", "also take the keys out of the config; a copy of it is kept"),
    ["file"],
    async (context, flags: object) => (await import("./commands/vault-import.ts")).runVaultImport(context, flags),
  );
}

export function addCompletionCommand(program: Command, { bind }: Binding): void {
  bind<CompletionFlags>(
    program
      .command("completion")
      .description("print the script that makes your shell complete zeph's commands")
      .argument("[shell]", "bash, zsh, fish or powershell; default what $SHELL says"),
    ["shell"],
    async (context, flags) => {
      const [{ runCompletion }, { toCommandTree }] = await Promise.all([
        import("./completion.ts"),
        import("./completion.ts"),
      ]);
      return runCompletion(context, flags, toCommandTree(program));
    },
  );
}
