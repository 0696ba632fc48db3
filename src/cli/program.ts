import { existsSync } from "node:fs";
import { arch, release } from "node:os";
import { join } from "node:path";
import { versions } from "node:process";
import { Command, CommanderError, Option } from "commander";
import { scrub } from "../base/secret.ts";
import type { CliContext, RunCommand, World } from "../base/world.ts";
import { zephFolders } from "../config/files.ts";
import { EXIT, ZephError } from "../errors.ts";
import { VERSION } from "../version.ts";
import {
  COMMANDS,
  type CommandEntry,
  type CommandWords,
  GLOBAL_OPTIONS,
  type GlobalFlags,
  GROUPS,
  HELP_OPTION,
  type Run,
  VERSION_OPTION,
} from "./command-table.ts";
import { noticesTold, renderError, renderJson, show, tellOnce } from "./terminal.ts";

/** What each command does. Its code is loaded when it is chosen, and not before. */
const RUN: { readonly [Words in CommandWords]: Run<Words> } = {
  init: async (...given) => (await import("./commands/init.ts")).runInit(...given),
  chat: async (...given) => (await import("./session.ts")).runChatCommand(...given),
  ask: async (...given) => (await import("./session.ts")).runAskCommand(...given),
  templates: async (...given) => (await import("./commands/providers.ts")).runTemplates(...given),
  compare: async (...given) => (await import("./commands/compare.ts")).runCompare(...given),
  "chats list": async (...given) => (await import("./commands/chats.ts")).runChatsList(...given),
  "chats show": async (...given) => (await import("./commands/chats.ts")).runChatsShow(...given),
  "chats rename": async (...given) => (await import("./commands/chats.ts")).runChatsRename(...given),
  "chats delete": async (...given) => (await import("./commands/chats.ts")).runChatsDelete(...given),
  "chats export": async (...given) => (await import("./commands/chats.ts")).runChatsExport(...given),
  usage: async (...given) => (await import("./commands/usage.ts")).runUsage(...given),
  models: async (...given) => (await import("./commands/providers.ts")).runModels(...given),
  providers: async (...given) => (await import("./commands/providers.ts")).runProviders(...given),
  "config show": async (...given) => (await import("./commands/config.ts")).runConfigShow(...given),
  "config path": async (...given) => (await import("./commands/config.ts")).runConfigPath(...given),
  "config set": async (...given) => (await import("./commands/config.ts")).runConfigSet(...given),
  "config trust": async (...given) => (await import("./commands/config.ts")).runConfigTrust(...given),
  "config migrate": async (...given) => (await import("./commands/config.ts")).runConfigMigrate(...given),
  "migrate-config": async (...given) => (await import("./commands/config.ts")).runConfigMigrate(...given),
  "vault init": async (...given) => (await import("./commands/vault.ts")).runVaultInit(...given),
  "vault set": async (...given) => (await import("./commands/vault.ts")).runVaultSet(...given),
  "vault get": async (...given) => (await import("./commands/vault.ts")).runVaultGet(...given),
  "vault list": async (...given) => (await import("./commands/vault.ts")).runVaultList(...given),
  "vault rm": async (...given) => (await import("./commands/vault.ts")).runVaultRemove(...given),
  "vault bind": async (...given) => (await import("./commands/vault.ts")).runVaultBind(...given),
  "vault check": async (...given) => (await import("./commands/vault.ts")).runVaultCheck(...given),
  "vault restore": async (...given) => (await import("./commands/vault.ts")).runVaultRestore(...given),
  "vault passphrase": async (...given) => (await import("./commands/vault.ts")).runVaultPassphrase(...given),
  "vault import": async (...given) => (await import("./commands/vault-import.ts")).runVaultImport(...given),
  doctor: async (...given) => (await import("./commands/doctor.ts")).runDoctorCommand(...given),
  explain: async (...given) => (await import("./commands/explain.ts")).runExplain(...given),
  "gonka doctor": async (...given) => (await import("./commands/doctor.ts")).runGonkaDoctor(...given),
  "gonka status": async (...given) => (await import("./commands/gonka.ts")).runGonkaStatus(...given),
  "gonka models": async (...given) => (await import("./commands/gonka.ts")).runGonkaModels(...given),
  "gonka participants": async (...given) => (await import("./commands/gonka.ts")).runGonkaParticipants(...given),
  "gonka account": async (...given) => (await import("./commands/gonka.ts")).runGonkaAccount(...given),
  "gonka pricing": async (...given) => (await import("./commands/gonka.ts")).runGonkaPricing(...given),
  "gonka sign": async (...given) => (await import("./commands/gonka-sign.ts")).runGonkaSign(...given),
  "gonka verify": async (...given) => (await import("./commands/gonka-sign.ts")).runGonkaVerify(...given),
  "devshard check": async (...given) => (await import("./commands/devshard.ts")).runDevshardCheck(...given),
  "devshard open": async (...given) => (await import("./commands/devshard.ts")).runDevshardOpen(...given),
  "devshard status": async (...given) => (await import("./commands/devshard.ts")).runDevshardStatus(...given),
  "devshard close": async (...given) => (await import("./commands/devshard.ts")).runDevshardClose(...given),
  "devshard rescue": async (...given) => (await import("./commands/devshard.ts")).runDevshardRescue(...given),
  "devshard audit": async (...given) => (await import("./commands/devshard-audit.ts")).runDevshardAudit(...given),
  completion: async (...given) => (await import("./completion.ts")).runCompletion(...given),
  serve: async (...given) => (await import("./commands/serve.ts")).runServe(...given),
  open: async (...given) => (await import("./commands/open.ts")).runOpen(...given),
  launch: async (...given) => (await import("./commands/launch.ts")).runLaunch(...given),
  connect: async (...given) => (await import("./commands/connect.ts")).runConnect(...given),
  sandbox: async (...given) => (await import("./commands/sandbox.ts")).runSandbox(...given),
};

/** Runs one command line and returns its exit code. Every error of every command ends here, and only here in words. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  const asksForJson = argv.includes("--json");
  try {
    await refuseSecretArguments(argv);
    await remindOfEscrows(argv, world);
    return await buildProgram(world).run(argv);
  } catch (thrown) {
    const error = toZephError(thrown, world);
    const { color } = toContext(world, {});
    if (asksForJson) world.stdout.write(renderJson({ error }, noticesTold(world)));
    else show(world.stderr, renderError(error, { color }));
    if (argv.includes("--verbose") && thrown instanceof Error && !ZephError.is(thrown)) {
      show(world.stderr, `${thrown.stack ?? ""}\n`);
    }
    return error.exitCode;
  }
}

/** Money that is lost when nobody settles in time is spoken of at every start. Without a folder nothing is loaded. */
async function remindOfEscrows([command]: readonly string[], world: World): Promise<void> {
  if (command === "completion" || command === "devshard") return;
  const stateFolder = zephFolders(world).state;
  if (!existsSync(join(stateFolder, "devshard"))) return;
  const { deadlineNotices } = await import("../transport/devshard-index.ts");
  for (const notice of deadlineNotices(stateFolder, world.clock.nowMs())) tellOnce(world, notice);
}

function toZephError(thrown: unknown, world: World): ZephError {
  if (ZephError.is(thrown)) return thrown;
  if (world.signal.aborted) return new ZephError("cancelled");
  const detail = scrub(thrown instanceof Error ? thrown.message : String(thrown));
  return new ZephError("internal", { detail, cause: thrown });
}

const EXAMPLES = `
Examples:
  zeph init                       set up: access, key, model, first reply
  zeph                            chat in the terminal
  zeph "why is the sky blue?"     one answer on standard output, as zeph ask gives it
  zeph models                     what your provider offers now
  zeph launch claude              a coding agent on your provider
`;

/** The whole command tree as commander wants it. */
export function buildProgram(world: World): {
  readonly program: Command;
  run(argv: readonly string[]): Promise<number>;
} {
  const program = outfit(new Command("zeph"), world)
    .description("The Gonka network from the terminal: set up, chat, look after keys, serve other programs.")
    .version(VERSION, Object.keys(VERSION_OPTION)[0], VERSION_OPTION["-V, --version"])
    .addHelpText("before", EXAMPLES.trimStart())
    .showSuggestionAfterError(true);
  for (const option of optionsOf(GLOBAL_OPTIONS)) program.addOption(option.helpGroup("Everywhere:"));
  let exitCode: number = EXIT.ok;
  for (const [usage, entry] of Object.entries<CommandEntry>(COMMANDS)) {
    const words = usage.split(" ").filter((word) => /^\w/.test(word));
    const argumentNames = usage.split(" ").slice(words.length);
    const group = words.length === 1 ? program : groupNamed(program, words[0] ?? "", world);
    const { isDefault = false, isHidden = false } = entry;
    const command = outfit(group.command(words.at(-1) ?? "", { isDefault, hidden: isHidden }), world);
    command.description(entry.about);
    for (const name of argumentNames) command.argument(name, entry.args?.[bare(name)]);
    for (const option of optionsOf(entry.options)) command.addOption(option);
    if (entry.alias !== undefined) command.alias(entry.alias);
    if (entry.examples !== undefined) command.addHelpText("after", `\n${entry.examples}\n`);
    command.action(async (...given: unknown[]) => {
      const flags = command.optsWithGlobals();
      for (const [index, name] of argumentNames.entries()) {
        if (given[index] !== undefined) flags[bare(name)] = given[index];
      }
      // The types of the table say that these are the flags of this command.
      const run = RUN[words.join(" ") as CommandWords] as RunCommand<unknown>;
      exitCode = await run(toContext(world, flags), flags);
    });
  }
  return {
    program,
    async run(argv) {
      try {
        await program.parseAsync(withDefaultCommand(program, argv), { from: "user" });
        return exitCode;
      } catch (error) {
        if (error instanceof CommanderError && error.code === "commander.version") {
          if (argv.includes("--verbose")) world.stdout.write(surroundings(world));
          return EXIT.ok;
        }
        if (error instanceof CommanderError) return fromCommander(error, program, argv);
        throw error;
      }
    },
  };
}

function groupNamed(program: Command, name: string, world: World): Command {
  const known = program.commands.find((command) => command.name() === name);
  return known ?? outfit(program.command(name), world).description(GROUPS[name] ?? "");
}

/** What all commands have in common. */
function outfit(command: Command, { stdout }: World): Command {
  const [flags, about] = Object.entries(HELP_OPTION)[0] ?? [];
  return command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: () => {},
      getOutHelpWidth: () => Math.min(stdout.columns ?? 80, 100),
    })
    .configureHelp({ showGlobalOptions: true })
    .helpOption(flags, about);
}

function optionsOf(options: CommandEntry["options"] = {}): readonly Option[] {
  return Object.entries(options).map(([written, words]) => {
    const isRepeatable = written.endsWith(">...");
    const flags = isRepeatable ? written.slice(0, -3) : written;
    const option =
      typeof words === "string" ? new Option(flags, words) : new Option(flags, words.about).choices(words.choices);
    return isRepeatable ? option.argParser(collect) : option;
  });
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** `[words...]` is called `words`. */
function bare(argument: string): string {
  return argument.replace(/[^\w-]/g, "");
}

/** The world plus what the global flags say about it. */
function toContext(world: World, flags: GlobalFlags): CliContext {
  const isTerminal = world.stdin.isTTY === true && world.stderr.isTTY === true;
  const saysNo = flags.yes === true || flags.nonInteractive === true || (world.env.CI ?? "") !== "";
  return {
    ...world,
    interactive: isTerminal && !saysNo,
    json: flags.json === true,
    verbose: flags.verbose === true,
    color: useColor(world, flags.color ?? "auto"),
    paths: {
      config: flags.config,
      vaultKey: flags.vaultKey,
      vaultFile: flags.vaultPath,
      vaultBackend: flags.vault,
    },
  };
}

/** no-color.org: any non-empty NO_COLOR; then FORCE_COLOR; then whether both outputs are capable terminals. */
function useColor({ env, stdout, stderr }: World, choice: string): boolean {
  if (choice !== "auto") return choice === "always";
  if ((env.NO_COLOR ?? "") !== "") return false;
  const force = env.FORCE_COLOR;
  if (force !== undefined) return force !== "0" && force !== "false";
  return stdout.isTTY === true && stderr.isTTY === true && env.TERM !== "dumb";
}

/** What a report of a fault should say besides the version. */
function surroundings({ platform }: World): string {
  return `node ${versions.node}\n${platform} ${release()} ${arch()}\n`;
}

/** Help and version come as errors too; they were printed and are no failure. */
function fromCommander(error: CommanderError, program: Command, argv: readonly string[]): number {
  if (error.exitCode === 0) return EXIT.ok;
  if (error.code === "commander.help") throw missingCommand(program, argv);
  const [what = "", suggestion] = scrub(error.message.replace(/^error: /, "")).split(/(?=\(Did you mean)/);
  throw new ZephError("usage", {
    detail: what.trim(),
    hint: suggestion === undefined ? undefined : `${suggestion.replace(/[()]/g, "")} See \`zeph --help\`.`,
  });
}

/** `zeph vault` alone, and `zeph help` about something that is not there. */
function missingCommand(program: Command, argv: readonly string[]): ZephError {
  let group = program;
  let path = "zeph";
  let stranger: string | undefined;
  for (const word of argv) {
    if (word.startsWith("-") || word === "help") continue;
    const next = group.commands.find((command) => command.name() === word);
    if (next === undefined) {
      stranger ??= word;
      continue;
    }
    group = next;
    path += ` ${word}`;
  }
  const names = group.commands.map((command) => command.name()).join(", ");
  const detail =
    stranger === undefined ? `\`${path}\` needs one of: ${names}` : `there is no "${scrub(stranger)}" to help with`;
  return new ZephError("usage", { detail, hint: `See \`${path} --help\`.` });
}

const SECRET_FLAGS = [
  "--api-key",
  "--key",
  "--private-key",
  "--token",
  "--passphrase",
  "--password",
  "--secret",
  "--mnemonic",
];
const SECRET_SHAPE = /^(?:gp|gpm|gnk-sk|jg|obk)-\S{6,}$|^(?:0x)?[0-9a-f]{64}$|^AGE-SECRET-KEY-1/i;

/** Flags that name something: what they are given is shown, stored, or asked for as a host. */
const NAME_FLAGS = new Set(
  `--account-address --alias --allow-host --base-url --broker --config --cors --endpoint-account --engine --expect-address
  --host --key-env --key-name --keyring-backend --keyring-home --model -m --name --node --output -o --path --prefix
  --provider -p --source-url --vault --vault-key --vault-path`.split(/\s+/),
);

/**
 * Refuses a secret given as an argument, before any parser can repeat it in a message. Throws
 * `secret_on_command_line` naming the flag, never the value.
 */
export async function refuseSecretArguments(argv: readonly string[]): Promise<void> {
  for (const argument of argv) {
    const flag = SECRET_FLAGS.find((name) => argument === name || argument.startsWith(`${name}=`));
    if (flag !== undefined) throw new ZephError("secret_on_command_line", { detail: `${flag} is not a flag of zeph` });
    if (SECRET_SHAPE.test(argument)) {
      throw new ZephError("secret_on_command_line", { detail: "an argument looks like a key" });
    }
  }
  const named = [...namedValues(argv)];
  // Most command lines name nothing; the brokers' records need not be loaded for them.
  if (named.length === 0) return;
  const { containsKey } = await import("../brokers/registry.ts");
  for (const { name, value } of named) {
    if (!containsKey(value)) continue;
    throw new ZephError("secret_on_command_line", { detail: `what is given to ${name} looks like a key` });
  }
}

/** What flags that name something, and `config set`, are given. */
function* namedValues(argv: readonly string[]): Generator<{ readonly name: string; readonly value: string }> {
  for (const [index, argument] of argv.entries()) {
    const [name = "", ...rest] = argument.split("=");
    if (NAME_FLAGS.has(name)) yield { name, value: rest.length > 0 ? rest.join("=") : (argv[index + 1] ?? "") };
    if (argument !== "set" || argv[index - 1] !== "config") continue;
    for (const value of argv.slice(index + 1)) yield { name: "config set", value };
  }
}

/** Answered by the program itself, whatever else is on the line. */
const OWN_FLAGS: ReadonlySet<string> = new Set(["-h", "--help", "-V", "--version"]);

/**
 * `zeph` alone, or with options only, is a chat; so are words behind an option that only a chat has (`zeph -m ID hello`),
 * and one argument that can only be a question (`zeph "why is the sky blue?"`). Any other word that is no command stays an
 * error, also behind options of every command: it may be a slip, and must not be sent to a model, and paid for.
 */
function withDefaultCommand(program: Command, argv: readonly string[]): string[] {
  if (argv[0] === "--init") return ["init", ...argv.slice(1)];
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? "";
    if (OWN_FLAGS.has(argument)) return [...argv];
    if (!argument.startsWith("-")) return isQuestion(program, argument) ? ["chat", ...argv] : [...argv];
    const option = program.options.find(({ short, long }) => argument === short || argument === long);
    if (option === undefined && !isJoinedOption(program, argument)) return ["chat", ...argv];
    if (option?.required === true) index += 1;
  }
  return ["chat", ...argv];
}

/** Several words in quotes, a question mark, or letters that no command is written with; `"vault list"` is a slip. */
function isQuestion(program: Command, argument: string): boolean {
  const words = argument.trim().split(/\s+/);
  if (words.length === 1) return /[?？]$/.test(argument) || /(?!\p{ASCII})\p{L}/u.test(argument);
  const [group, name, ...rest] = words;
  const inner = program.commands.find((command) => command.name() === group)?.commands ?? [];
  return rest.length > 0 || !inner.some((command) => command.name() === name);
}

/** `--config=PATH` */
function isJoinedOption(program: Command, argument: string): boolean {
  return program.options.some(({ long }) => long !== undefined && argument.startsWith(`${long}=`));
}
