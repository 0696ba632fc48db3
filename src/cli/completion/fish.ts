import { allCommands, type CommandTree, type CompletionOption } from "./command-tree.ts";

/** Completion for fish: `zeph completion fish > ~/.config/fish/completions/zeph.fish`. */
export function fishCompletion(tree: CommandTree): string {
  const commands = allCommands(tree);
  const nested = commands.filter(({ path }) => path.length > 0).map(({ path }) => quote(path.join(" ")));
  const lines = commands.flatMap(({ path, commands: below, options }) => {
    const at = `-n ${quote(`__zeph_at ${quote(path.join(" "))}`)}`;
    return [
      ...below.map((each) => `complete -c zeph ${at} -a ${each.path.at(-1)} -d ${quote(each.description)}`),
      ...options.map((option) => `complete -c zeph ${at} ${optionWords(option)} -d ${quote(option.description)}`),
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
      return `${flag} -x -a ${quote(value.choices.join(" "))}`;
    case "model":
      return `${flag} -x -a '(zeph completion models 2>/dev/null)'`;
    case "provider":
      return `${flag} -x -a '(zeph completion providers 2>/dev/null)'`;
    case "free":
      return `${flag} -x`;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
