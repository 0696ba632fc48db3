import { readdir } from "node:fs/promises";
import { join, posix, win32 } from "node:path";
import { readRegularText } from "../base/files.ts";
import { asObject } from "../base/json.ts";
import type { CliContext, World } from "../base/world.ts";
import { zephFolders } from "../config/files.ts";
import { ZephError } from "../errors.ts";
import {
  COMMANDS,
  type CommandEntry,
  GLOBAL_OPTIONS,
  GROUPS,
  HELP_OPTION,
  type Run,
  VERSION_OPTION,
} from "./command-table.ts";
import { writeResult } from "./terminal.ts";

/**
 * `zeph completion [SHELL]`: the lines that make a shell ask `zeph completion -- WORDS` what may come next. Without a name
 * it is the shell that `$SHELL` names.
 */
export const runCompletion: Run<"completion"> = async (context, { shell: named }) => {
  const shell = (named ?? ownShell(context))?.toLowerCase();
  const stub = shell === undefined ? undefined : STUBS[shell];
  if (stub === undefined) {
    throw new ZephError("usage", {
      detail: shell === undefined ? "which shell?" : `"${named}" is no shell zeph knows`,
      hint: 'One of bash, zsh, fish, powershell; for bash: eval "$(zeph completion bash)"',
    });
  }
  // On a screen the script itself is of no use: say where it belongs.
  const notice = context.stdout.isTTY === true ? `Use it with: ${stub.use}\n` : "";
  return writeResult(context, { data: { shell, script: stub.script }, answer: stub.script, exact: true, notice });
};

/** Each takes the words up to the cursor to zeph, and files where zeph has nothing to say. */
const STUBS: Readonly<Record<string, { readonly use: string; readonly script: string }>> = {
  bash: {
    use: "echo 'eval \"$(zeph completion bash)\"' >> ~/.bashrc",
    script: `# zeph completion for bash. Put this into ~/.bashrc: eval "$(zeph completion bash)"
_zeph() {
  local IFS=$'\\n'
  COMPREPLY=($(zeph completion -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _zeph zeph
`,
  },
  zsh: {
    use: "echo 'eval \"$(zeph completion zsh)\"' >> ~/.zshrc",
    script: `#compdef zeph
# zeph completion for zsh. Put this into ~/.zshrc, after compinit: source <(zeph completion zsh)
_zeph() {
  local -a candidates
  candidates=("\${(@f)$(zeph completion -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=("\${(@)candidates//:/\\\\:}")
  candidates=("\${(@)candidates/$'\\t'/:}")
  if [[ -n "$candidates" ]]; then _describe 'zeph' candidates; else _files; fi
}
if [[ "\${funcstack[1]}" == _zeph ]]; then _zeph "$@"; else compdef _zeph zeph; fi
`,
  },
  fish: {
    use: "zeph completion fish > ~/.config/fish/completions/zeph.fish",
    script: `# zeph completion for fish: zeph completion fish > ~/.config/fish/completions/zeph.fish
function __zeph_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l candidates (zeph completion -- $before[2..-1] "$current" 2>/dev/null)
    if test (count $candidates) -gt 0
        printf '%s\\n' $candidates
    else
        __fish_complete_path "$current"
    end
end
complete -c zeph -f -a '(__zeph_complete)'
`,
  },
  powershell: {
    use: "Add-Content $PROFILE 'zeph completion powershell | Out-String | Invoke-Expression'",
    script: `# zeph completion for PowerShell. Put this into $PROFILE: zeph completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName zeph -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  if ($wordToComplete -eq '') { $words += '""' }
  zeph completion -- @words 2>$null | ForEach-Object {
    $name, $about = $_ -split "\`t", 2
    [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $(if ($about) { $about } else { $name }))
  }
}
`,
  },
};

/** Windows has no `$SHELL` of its own; where one is set there (Git Bash), it counts. */
function ownShell({ env, platform }: Pick<CliContext, "env" | "platform">): string | undefined {
  const path = env.SHELL ?? "";
  if (path === "") return platform === "win32" ? "powershell" : undefined;
  const name = (platform === "win32" ? win32 : posix).basename(path).replace(/\.exe$/i, "");
  const shell = name === "pwsh" ? "powershell" : name;
  return STUBS[shell.toLowerCase()] === undefined ? undefined : shell;
}

/** `zeph completion -- WORDS`: what the last of the words may become, one a line, with what it is behind a tab. */
export async function completeWords(world: World, words: readonly string[]): Promise<void> {
  const lines = (await candidatesFor(world, words)).map(({ word, about }) =>
    about === "" ? word : `${word}\t${about}`,
  );
  world.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

interface Candidate {
  readonly word: string;
  readonly about: string;
}

async function candidatesFor(world: World, words: readonly string[]): Promise<readonly Candidate[]> {
  // bash takes `--flag=value` apart at the sign; PowerShell 5 loses an empty word.
  const given = words.filter((word, index) => word !== "=" || index === words.length - 1);
  const current = (given.at(-1) ?? "").replace(/^(?:=|"")$/, "");
  const before = given.slice(0, -1);
  if (before.includes("--")) return [];
  const { command, options, positional } = whereAmI(before);
  const previous = [...options, ...everyOption].find(({ names }) => names.includes(before.at(-1) ?? ""));
  const all = previous?.value === undefined ? await nextWords() : await valuesOf(previous.value);
  return all.filter(({ word }) => word.startsWith(current));

  async function nextWords(): Promise<readonly Candidate[]> {
    const value = POSITIONAL_VALUES[[command, ...positional].join(" ")];
    return [
      ...(value === undefined ? [] : await valuesOf(value)),
      ...(positional.length > 0 ? [] : wordsBelow(command)),
      ...options.flatMap(({ names, about }) => names.map((word) => ({ word, about }))),
    ];
  }

  async function valuesOf(value: string | readonly string[]): Promise<readonly Candidate[]> {
    const found =
      typeof value !== "string"
        ? value
        : value === "model"
          ? await knownModels(zephFolders(world).cache)
          : value === "provider"
            ? await knownProviders(world)
            : [];
    return found.map((word) => ({ word, about: "" }));
  }
}

/** What stands behind these words; by the command and the arguments before. */
const POSITIONAL_VALUES: Readonly<Record<string, string | readonly string[]>> = {
  "config set": ["model", "provider"],
  "config set model": "model",
  "config set provider": "provider",
  completion: Object.keys(STUBS),
};

interface CompletionOption {
  readonly names: readonly string[];
  readonly about: string;
  /** What follows it: `model`, `provider`, one of a few words, or something only the user or the file system knows. */
  readonly value: string | readonly string[] | undefined;
}

/** The command that words lead to, its options, and the arguments that were given to it. */
function whereAmI(before: readonly string[]) {
  let command = "";
  const positional: string[] = [];
  for (const [index, word] of before.entries()) {
    if (word.startsWith("-")) continue;
    const takesIt = everyOption.find(({ names }) => names.includes(before[index - 1] ?? ""))?.value !== undefined;
    if (takesIt) continue;
    const longer = command === "" ? word : `${command} ${word}`;
    const isCommand = positional.length === 0 && (longer in GROUPS || entries.some(({ words }) => words === longer));
    if (isCommand) command = longer;
    else positional.push(word);
  }
  const own = entries.find(({ words }) => words === command)?.entry.options;
  const options = [...optionsIn(own), ...(command === "" ? optionsIn(VERSION_OPTION) : []), ...everywhere];
  return { command, options, positional };
}

const everywhere = [...optionsIn(GLOBAL_OPTIONS), ...optionsIn(HELP_OPTION)];
const entries = Object.entries<CommandEntry>(COMMANDS).map(([usage, entry]) => ({
  words: usage.replace(/ [<[].*/, ""),
  entry,
}));

/** Also those that only a chat has: `zeph -m ID` is one. */
const everyOption = [...entries.flatMap(({ entry }) => optionsIn(entry.options)), ...everywhere];

/** The words that may follow those of a group; "" is zeph itself. */
function wordsBelow(group: string): readonly Candidate[] {
  const depth = group === "" ? 0 : group.split(" ").length;
  const below = entries
    .filter(({ words, entry }) => entry.isHidden !== true && (group === "" || words.startsWith(`${group} `)))
    .map(({ words, entry }) => {
      const [word = "", ...rest] = words.split(" ").slice(depth);
      return { word, about: rest.length === 0 ? entry.about : (GROUPS[word] ?? "") };
    });
  return below.filter(({ word }, index) => below.findIndex((each) => each.word === word) === index);
}

function optionsIn(options: CommandEntry["options"] = {}): readonly CompletionOption[] {
  return Object.entries(options).map(([written, words]) => {
    const [, names = "", kind] = /^([^<]*?)(?: <([^>]*)>.*)?$/.exec(written) ?? [];
    const about = typeof words === "string" ? words : words.about;
    const list = names.split(", ").reverse();
    const value = typeof words === "string" ? kindOfValue(list, kind) : words.choices;
    return { names: list, about, value };
  });
}

function kindOfValue(names: readonly string[], kind: string | undefined): string | undefined {
  if (kind === undefined) return undefined;
  if (names.includes("--model")) return "model";
  return names.includes("--provider") ? "provider" : "other";
}

async function knownProviders(world: World): Promise<readonly string[]> {
  try {
    const { loadSetup } = await import("../provider/setup.ts");
    const { loaded } = await loadSetup(world);
    return loaded.config.providers.map(({ name }) => name).filter((name) => /^[\w.-]+$/.test(name));
  } catch (error) {
    // In the middle of a command line nobody can be told what is wrong with the configuration.
    if (ZephError.is(error)) return [];
    throw error;
  }
}

/** Ids of all models that were listed to this user before; nothing is asked over the network. */
async function knownModels(cacheFolder: string): Promise<readonly string[]> {
  const files = await readdir(cacheFolder).catch((): string[] => []);
  const lists = files.filter((name) => /^models-[0-9a-f]+\.json$/.test(name));
  const ids = await Promise.all(lists.map((name) => idsIn(join(cacheFolder, name))));
  return [...new Set(ids.flat())].sort();
}

/** Larger ones were not written by us. */
const MAX_BYTES = 16 * 1024 * 1024;

async function idsIn(path: string): Promise<readonly string[]> {
  try {
    const models = asObject(JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? ""))?.models;
    if (!Array.isArray(models)) return [];
    const ids = models.map((model: unknown) => asObject(model)?.id);
    // Shells break lines and words at other signs; a server could put commands behind them.
    return ids.filter((id) => typeof id === "string" && /^[\w./:@+-]+$/.test(id)).map(String);
  } catch {
    // A damaged cache completes nothing.
    return [];
  }
}
