import { allCommands, type CommandTree, choiceOptions, optionsWith } from "./command-tree.ts";

/** Completion for bash 4 and later: `eval "$(zeph completion bash)"`. */
export function bashCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quote(path.join(" ")));
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
    return `    ${quote(path.join(" "))}) ${reply(words)} ;;`;
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

function quote(text: string): string {
  return `"${text}"`;
}

/** A pattern without words would be an error of syntax. */
function withoutEmpty(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !line.startsWith("    )"));
}
