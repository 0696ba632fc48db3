import { arch, release } from "node:os";
import { versions } from "node:process";
import { Command, CommanderError } from "commander";
import { EXIT } from "../errors/catalogue.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import { VERSION } from "../version.ts";
import type { World } from "./context.ts";
import { withDefaultCommand } from "./default-command.ts";
import { addGlobalOptions, binding } from "./program/bind.ts";
import { addChatCommands } from "./program/chat-commands.ts";
import { addCompletionCommand } from "./program/completion-command.ts";
import { addConfigCommands } from "./program/config-commands.ts";
import { addDevshardCommands } from "./program/devshard-commands.ts";
import { addDoctorCommands } from "./program/doctor-commands.ts";
import { addGonkaCommands } from "./program/gonka-commands.ts";
import { addInitCommand } from "./program/init-command.ts";
import { addLaunchCommands } from "./program/launch-commands.ts";
import { addSandboxCommand } from "./program/sandbox-command.ts";
import { addServeCommand } from "./program/serve-command.ts";
import { addVaultCommands } from "./program/vault-commands.ts";

const EXAMPLES = `
Examples:
  zeph init                       set up: access, key, model, first reply
  zeph                            chat in the terminal
  zeph "why is the sky blue?"     one answer on standard output, as zeph ask gives it
  zeph models                     what your provider offers now
  zeph launch claude              a coding agent on your provider
`;

/** The whole command tree. Commands load their code when they are chosen, not before. */
export function buildProgram(world: World): {
  readonly program: Command;
  run(argv: readonly string[]): Promise<number>;
} {
  const program = new Command("zeph")
    .description("The Gonka network from the terminal: set up, chat, look after keys, serve other programs.")
    .version(VERSION, "-V, --version", "print the version")
    .addHelpText("before", EXAMPLES.trimStart())
    .showSuggestionAfterError(true);
  addGlobalOptions(program);
  const bound = binding(world);
  addInitCommand(program, bound);
  addChatCommands(program, bound);
  addConfigCommands(program, bound);
  addVaultCommands(program, bound);
  addDoctorCommands(program, bound);
  addGonkaCommands(program, bound);
  addDevshardCommands(program, bound);
  addCompletionCommand(program, bound);
  addServeCommand(program, bound);
  addLaunchCommands(program, bound);
  addSandboxCommand(program, bound);
  for (const command of [program, ...descendants(program)]) {
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => world.stdout.write(text),
        writeErr: () => {},
        getOutHelpWidth: () => Math.min(world.stdout.columns ?? 80, 100),
      })
      .configureHelp({ showGlobalOptions: true })
      .helpOption("-h, --help", "show this help");
  }
  return {
    program,
    async run(argv) {
      try {
        await program.parseAsync(withDefaultCommand(program, argv), { from: "user" });
        return bound.exitCode();
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

function descendants(command: Command): readonly Command[] {
  return command.commands.flatMap((each) => [each, ...descendants(each)]);
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
    ...(suggestion === undefined ? {} : { hint: `${suggestion.replace(/[()]/g, "")} See \`zeph --help\`.` }),
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
