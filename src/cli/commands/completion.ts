import { posix, win32 } from "node:path";
import { zephFolders } from "../../config/paths.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { bashCompletion } from "../completion/bash.ts";
import { cachedModelIds } from "../completion/cached-models.ts";
import type { CommandTree } from "../completion/command-tree.ts";
import { fishCompletion } from "../completion/fish.ts";
import { powershellCompletion } from "../completion/powershell.ts";
import { zshCompletion } from "../completion/zsh.ts";
import type { CliContext } from "../context.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";

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
