import { allCommands, type CommandTree, choiceOptions, optionsWith } from "./command-tree.ts";

/** Completion for zsh: a file `_zeph` in a folder of `$fpath`, or `source <(zeph completion zsh)`. */
export function zshCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quote(path.join(" ")));
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
    return `    ${quote(path.join(" "))}) candidates=(${entries.join(" ")}) ;;`;
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

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** `name:what it is`; a colon in the name would end it. */
function describe(name: string, description: string): string {
  return quote(`${name.replaceAll(":", "\\:")}:${description}`);
}

/** A pattern without words would be an error of syntax. */
function withoutEmpty(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !line.startsWith("    )"));
}
