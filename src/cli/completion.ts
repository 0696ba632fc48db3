import { readdir } from "node:fs/promises";
import { join, posix, win32 } from "node:path";
import type { Command, Option } from "commander";
import { readRegularText } from "../base/files.ts";
import type { CliContext } from "../base/world.ts";
import { zephFolders } from "../config/files.ts";
import { ZephError } from "../errors.ts";
import { setupOf } from "./setup.ts";
import { writeResult } from "./terminal.ts";

export interface CompletionFlags {
  /** `bash`, `zsh`, `fish` or `powershell`; the scripts themselves ask for `models` and `providers`. */
  readonly shell?: string;
}

const SCRIPTS: Readonly<Record<string, (tree: CommandTree) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
  powershell: powershellCompletion,
};

/**
 * `zeph completion [SHELL]`: the script that makes a shell complete zeph's commands, flags, models and providers. Without
 * a name it is the shell that `$SHELL` names.
 */
export async function runCompletion(
  context: CliContext,
  { shell: named }: CompletionFlags,
  tree: CommandTree,
): Promise<number> {
  const shell = named ?? ownShell(context);
  if (shell === "models") return writeWords(context, await cachedModelIds(zephFolders(context).cache));
  if (shell === "providers") return writeWords(context, await providerNames(context));
  const script = shell === undefined ? undefined : SCRIPTS[shell.toLowerCase()];
  if (script === undefined) {
    throw new ZephError("usage", {
      detail: shell === undefined ? "which shell?" : `"${shell}" is no shell zeph knows`,
      hint: 'One of bash, zsh, fish, powershell; for bash: eval "$(zeph completion bash)"',
    });
  }
  const text = script(tree);
  // On a screen the script itself is of no use: say where it belongs.
  const notice = context.stdout.isTTY === true ? `Use it with: ${USES[shell?.toLowerCase() ?? ""]}\n` : "";
  return writeResult(context, { data: { shell, script: text }, answer: text, exact: true, notice });
}

/** How a shell takes the script in, for good. */
const USES: Readonly<Record<string, string>> = {
  bash: "echo 'eval \"$(zeph completion bash)\"' >> ~/.bashrc",
  zsh: "echo 'eval \"$(zeph completion zsh)\"' >> ~/.zshrc",
  fish: "zeph completion fish > ~/.config/fish/completions/zeph.fish",
  powershell: "Add-Content $PROFILE 'zeph completion powershell | Out-String | Invoke-Expression'",
};

/** Windows has no `$SHELL` of its own; where one is set there (Git Bash), it counts. */
function ownShell({ env, platform }: Pick<CliContext, "env" | "platform">): string | undefined {
  const path = env.SHELL ?? "";
  if (path === "") return platform === "win32" ? "powershell" : undefined;
  const name = (platform === "win32" ? win32 : posix).basename(path).replace(/\.exe$/i, "");
  const shell = name === "pwsh" ? "powershell" : name;
  return SCRIPTS[shell.toLowerCase()] === undefined ? undefined : shell;
}

async function providerNames(context: CliContext): Promise<readonly string[]> {
  try {
    const { loaded } = await setupOf(context, {}, "silent");
    return loaded.config.providers.map(({ name }) => name).filter((name) => /^[\w.-]+$/.test(name));
  } catch (error) {
    // In the middle of a command line nobody can be told what is wrong with the configuration.
    if (ZephError.is(error)) return [];
    throw error;
  }
}

function writeWords(context: CliContext, words: readonly string[]): number {
  // What holds a blank or a sign that is not seen would be several words of the command line, or other ones.
  const plain = words.filter((word) => !/[\s\p{C}\p{Default_Ignorable_Code_Point}]/u.test(word));
  return writeResult(context, { data: plain, answer: plain.map((word) => `${word}\n`).join("") });
}

/** A command as completion scripts need to know it. */
interface CommandTree {
  /** Words after `zeph`; empty for the program itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly CompletionOption[];
  readonly commands: readonly CommandTree[];
}

interface CompletionOption {
  /** With its dashes, as `--json`. */
  readonly name: string;
  readonly description: string;
  readonly value: ValueKind;
}

/** What may follow an option: nothing, one of a few words, a file, or something only the user knows. */
type ValueKind =
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
function optionsWith(tree: CommandTree, kind: ValueKind["kind"]): readonly string[] {
  const names = allCommands(tree).flatMap(({ options }) =>
    options.filter(({ value }) => value.kind === kind).map(({ name }) => name),
  );
  return [...new Set(names)].sort();
}

/** Options with a fixed set of values, each once. */
function choiceOptions(tree: CommandTree): ReadonlyMap<string, readonly string[]> {
  return new Map(
    allCommands(tree).flatMap(({ options }) =>
      options.flatMap(({ name, value }) => (value.kind === "choice" ? [[name, value.choices] as const] : [])),
    ),
  );
}

/** Larger ones were not written by us. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Ids of all models that were listed to this user before; nothing is asked over the network. */
async function cachedModelIds(cacheFolder: string): Promise<readonly string[]> {
  const files = await readdir(cacheFolder).catch((): string[] => []);
  const lists = files.filter((name) => /^models-[0-9a-f]+\.json$/.test(name));
  const ids = await Promise.all(lists.map((name) => readIds(join(cacheFolder, name))));
  return [...new Set(ids.flat())].sort();
}

async function readIds(path: string): Promise<readonly string[]> {
  try {
    const cached: unknown = JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? "");
    const models = typeof cached === "object" && cached !== null ? Reflect.get(cached, "models") : undefined;
    if (!Array.isArray(models)) return [];
    return models.flatMap((model: unknown) => {
      const id = typeof model === "object" && model !== null ? Reflect.get(model, "id") : undefined;
      // Shells break lines and words at these signs; a server could put commands behind them.
      return typeof id === "string" && /^[\w./:@+-]+$/.test(id) ? [id] : [];
    });
  } catch {
    // A damaged cache completes nothing.
    return [];
  }
}

/** Completion for bash 4 and later: `eval "$(zeph completion bash)"`. */
export function bashCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quoteForBash(path.join(" ")));
  const reply = (words: string) => `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`;
  const values = withoutEmpty([
    ...[...choiceOptions(tree)].map(([name, choices]) => `    ${name}) ${reply(choices.join(" "))}; return ;;`),
    `    ${optionsWith(tree, "model").join("|")}) ${reply("$(zeph completion models 2>/dev/null)")}; return ;;`,
    `    ${optionsWith(tree, "provider").join("|")}) ${reply("$(zeph completion providers 2>/dev/null)")}; return ;;`,
    `    ${optionsWith(tree, "file").join("|")}) COMPREPLY=($(compgen -f -- "$cur")); return ;;`,
    `    ${optionsWith(tree, "free").join("|")}) return ;;`,
  ]);
  const cases = commands.map(({ path, commands: below, options }) => {
    const words = [...below.map((each) => each.path.at(-1)), ...options.map(({ name }) => name)].join(" ");
    return `    ${quoteForBash(path.join(" "))}) ${reply(words)} ;;`;
  });
  return `# zeph completion for bash. Put this into ~/.bashrc: eval "$(zeph completion bash)"
_zeph() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}" trail="" longer i
  COMPREPLY=()
  case "$prev" in
${values.join("\n")}
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    longer="\${trail:+$trail }\${COMP_WORDS[i]}"
    case "$longer" in
      ${nested.join("|")}) trail="$longer" ;;
    esac
  done
  if [[ "$trail" == "config set" && "$prev" == model ]]; then
    ${reply("$(zeph completion models 2>/dev/null)")}
    return
  fi
  case "$trail" in
${cases.join("\n")}
  esac
}
complete -o default -F _zeph zeph
`;
}

function quoteForBash(text: string): string {
  return `"${text}"`;
}

/** A pattern without words would be an error of syntax. */
function withoutEmpty(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !line.startsWith("    )"));
}

/** Completion for zsh: a file `_zeph` in a folder of `$fpath`, or `source <(zeph completion zsh)`. */
export function zshCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quoteForZsh(path.join(" ")));
  const dynamic = (what: string) => `compadd -- \${(f)"$(zeph completion ${what} 2>/dev/null)"}; return ;;`;
  const values = withoutEmpty([
    ...[...choiceOptions(tree)].map(([name, choices]) => `    ${name}) compadd -- ${choices.join(" ")}; return ;;`),
    `    ${optionsWith(tree, "model").join("|")}) ${dynamic("models")}`,
    `    ${optionsWith(tree, "provider").join("|")}) ${dynamic("providers")}`,
    `    ${optionsWith(tree, "file").join("|")}) _files; return ;;`,
    `    ${optionsWith(tree, "free").join("|")}) return ;;`,
  ]);
  const cases = commands.map(({ path, commands: below, options }) => {
    const entries = [
      ...below.map((each) => describe(each.path.at(-1) ?? "", each.description)),
      ...options.map(({ name, description }) => describe(name, description)),
    ];
    return `    ${quoteForZsh(path.join(" "))}) candidates=(${entries.join(" ")}) ;;`;
  });
  return `#compdef zeph
# zeph completion for zsh. Put this into ~/.zshrc, after compinit: source <(zeph completion zsh)
_zeph() {
  local trail='' longer
  local -a candidates
  local -i i
  case "\${words[CURRENT - 1]}" in
${values.join("\n")}
  esac
  for ((i = 2; i < CURRENT; i++)); do
    longer="\${trail:+$trail }\${words[i]}"
    case "$longer" in
      ${nested.join("|")}) trail="$longer" ;;
    esac
  done
  case "$trail" in
${cases.join("\n")}
  esac
  _describe 'zeph' candidates || _files
}
if [[ "\${funcstack[1]}" == _zeph ]]; then _zeph "$@"; else compdef _zeph zeph; fi
`;
}

function quoteForZsh(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** `name:what it is`; a colon in the name would end it. */
function describe(name: string, description: string): string {
  return quoteForZsh(`${name.replaceAll(":", "\\:")}:${description}`);
}

/** Completion for fish: `zeph completion fish > ~/.config/fish/completions/zeph.fish`. */
export function fishCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quoteForFish(path.join(" ")));
  const lines = commands.flatMap(({ path, commands: below, options }) => {
    const at = `-n ${quoteForFish(`__zeph_at ${quoteForFish(path.join(" "))}`)}`;
    return [
      ...below.map((each) => `complete -c zeph ${at} -a ${each.path.at(-1)} -d ${quoteForFish(each.description)}`),
      ...options.map(
        (option) => `complete -c zeph ${at} ${optionWords(option)} -d ${quoteForFish(option.description)}`,
      ),
    ];
  });
  return `# zeph completion for fish: zeph completion fish > ~/.config/fish/completions/zeph.fish
function __zeph_trail
    set -l trail
    for word in (commandline -opc)[2..-1]
        set -l longer (string join ' ' $trail $word)
        if contains -- $longer ${nested.join(" ")}
            set trail $trail $word
        end
    end
    string join ' ' $trail
end
function __zeph_at
    set -l trail (__zeph_trail)
    test "$trail" = "$argv[1]"
end
complete -c zeph -f
${lines.join("\n")}
`;
}

function optionWords({ name, value }: CompletionOption): string {
  const flag = name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`;
  switch (value.kind) {
    case "none":
      return flag;
    case "file":
      return `${flag} -r -F`;
    case "choice":
      return `${flag} -x -a ${quoteForFish(value.choices.join(" "))}`;
    case "model":
      return `${flag} -x -a '(zeph completion models 2>/dev/null)'`;
    case "provider":
      return `${flag} -x -a '(zeph completion providers 2>/dev/null)'`;
    case "free":
      return `${flag} -x`;
  }
}

function quoteForFish(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** Completion for PowerShell 5 and later: `zeph completion powershell | Out-String | Invoke-Expression`. */
export function powershellCompletion(tree: CommandTree): string {
  const table = allCommands(tree).map(({ path, commands, options }) => {
    const entries = [
      ...commands.map((each) => entry(each.path.at(-1) ?? "", each.description)),
      ...options.map(({ name, description }) => entry(name, description)),
    ];
    return `    ${quoteForPowershell(path.join(" "))} = @(${entries.join(", ")})`;
  });
  const choices = [...choiceOptions(tree)].map(
    ([name, words]) => `    ${quoteForPowershell(name)} = @(${words.map((word) => entry(word, word)).join(", ")})`,
  );
  const list = (names: readonly string[]) => `@(${names.map(quoteForPowershell).join(", ")})`;
  return `# zeph completion for PowerShell. Put this into $PROFILE: zeph completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName zeph -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $tree = @{
${table.join("\n")}
  }
  $choices = @{
${choices.join("\n")}
  }
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($wordToComplete -ne '' -and $words.Count -gt 0) { $words = @($words | Select-Object -First ($words.Count - 1)) }
  $previous = if ($words.Count -gt 0) { $words[-1] } else { '' }
  $trail = ''
  foreach ($word in $words) {
    $longer = if ($trail -eq '') { $word } else { "$trail $word" }
    if ($tree.ContainsKey($longer)) { $trail = $longer }
  }
  $candidates = if ($choices.ContainsKey($previous)) { $choices[$previous] }
    elseif (${list(optionsWith(tree, "model"))} -contains $previous) { zeph completion models 2>$null | ForEach-Object { , @($_, $_) } }
    elseif (${list(optionsWith(tree, "provider"))} -contains $previous) { zeph completion providers 2>$null | ForEach-Object { , @($_, $_) } }
    elseif (${list([...optionsWith(tree, "free"), ...optionsWith(tree, "file")])} -contains $previous) { @() }
    else { $tree[$trail] }
  $candidates | Where-Object { $_[0] -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterValue', $_[1])
  }
}
`;
}

function entry(name: string, description: string): string {
  return `@(${quoteForPowershell(name)}, ${quoteForPowershell(description === "" ? name : description)})`;
}

function quoteForPowershell(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
