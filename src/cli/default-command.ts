import type { Command } from "commander";

/** Answered by the program itself, whatever else is on the line. */
const OWN_FLAGS: ReadonlySet<string> = new Set(["-h", "--help", "-V", "--version"]);

/**
 * `zeph` alone, or with options only, is a chat; so are words behind an option that only a chat has (`zeph -m ID hello`),
 * and one argument that can only be a question (`zeph "why is the sky blue?"`). Any other word that is no command stays an
 * error, also behind options of every command: it may be a slip, and must not be sent to a model, and paid for.
 */
export function withDefaultCommand(program: Command, argv: readonly string[]): string[] {
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
