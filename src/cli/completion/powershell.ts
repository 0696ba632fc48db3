import { allCommands, type CommandTree, choiceOptions, optionsWith } from "./command-tree.ts";

/** Completion for PowerShell 5 and later: `zeph completion powershell | Out-String | Invoke-Expression`. */
export function powershellCompletion(tree: CommandTree): string {
  const table = allCommands(tree).map(({ path, commands, options }) => {
    const entries = [
      ...commands.map((each) => entry(each.path.at(-1) ?? "", each.description)),
      ...options.map(({ name, description }) => entry(name, description)),
    ];
    return `    ${quote(path.join(" "))} = @(${entries.join(", ")})`;
  });
  const choices = [...choiceOptions(tree)].map(
    ([name, words]) => `    ${quote(name)} = @(${words.map((word) => entry(word, word)).join(", ")})`,
  );
  const list = (names: readonly string[]) => `@(${names.map(quote).join(", ")})`;
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
  return `@(${quote(name)}, ${quote(description === "" ? name : description)})`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
