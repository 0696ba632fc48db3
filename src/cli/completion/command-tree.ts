import type { Command, Option } from "commander";

/** A command as completion scripts need to know it. */
export interface CommandTree {
  /** Words after `zeph`; empty for the program itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly CompletionOption[];
  readonly commands: readonly CommandTree[];
}

export interface CompletionOption {
  /** With its dashes, as `--json`. */
  readonly name: string;
  readonly description: string;
  readonly value: ValueKind;
}

/** What may follow an option: nothing, one of a few words, a file, or something only the user knows. */
export type ValueKind =
  | { readonly kind: "none" | "file" | "model" | "provider" | "free" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

/**
 * The visible commands and options of a commander program, as plain data. Options of the program itself that are meant
 * for every command (their help group says so) are those of every command.
 */
export function toCommandTree(command: Command): CommandTree {
  const everywhere = command.options
    .filter(({ helpGroupHeading }) => helpGroupHeading !== undefined)
    .flatMap(toOptions);
  return toTree(command, [], everywhere);
}

function toTree(command: Command, path: readonly string[], inherited: readonly CompletionOption[]): CommandTree {
  const help = command.createHelp();
  const own = help.visibleOptions(command).flatMap(toOptions);
  return {
    path,
    description: command.description(),
    options: [...own, ...inherited.filter(({ name }) => !own.some((option) => option.name === name))],
    commands: help
      .visibleCommands(command)
      .filter((each) => each.name() !== "help")
      .map((each) => toTree(each, [...path, each.name()], inherited)),
  };
}

/** All commands of a tree, the program first. */
export function allCommands(tree: CommandTree): readonly CommandTree[] {
  return [tree, ...tree.commands.flatMap(allCommands)];
}

function toOptions(option: Option): readonly CompletionOption[] {
  const { long, short, description } = option;
  const value = valueKindOf(option);
  return [long, short].flatMap((name) => (name === undefined ? [] : [{ name, description, value }]));
}

function valueKindOf({ flags, argChoices, required, optional, long }: Option): ValueKind {
  if (argChoices !== undefined) return { kind: "choice", choices: argChoices };
  if (!required && !optional) return { kind: "none" };
  if (long === "--model") return { kind: "model" };
  if (long === "--provider") return { kind: "provider" };
  return { kind: /<(?:path|file)>/.test(flags) ? "file" : "free" };
}

/** The names of all options that take this kind of value, wherever they stand. */
export function optionsWith(tree: CommandTree, kind: ValueKind["kind"]): readonly string[] {
  const names = allCommands(tree).flatMap(({ options }) =>
    options.filter(({ value }) => value.kind === kind).map(({ name }) => name),
  );
  return [...new Set(names)].sort();
}

/** Options with a fixed set of values, each once. */
export function choiceOptions(tree: CommandTree): ReadonlyMap<string, readonly string[]> {
  return new Map(
    allCommands(tree).flatMap(({ options }) =>
      options.flatMap(({ name, value }) => (value.kind === "choice" ? [[name, value.choices] as const] : [])),
    ),
  );
}
