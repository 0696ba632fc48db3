import { loadSetup, type Setup } from "../provider/setup.ts";
import type { CliContext } from "./context.ts";
import { passphraseSource } from "./open-vault.ts";

/** Config and secrets of the user who runs this command. `--provider` and `--model` win over everything. */
export function setupOf(
  context: CliContext,
  choice: { readonly provider?: string | undefined; readonly model?: string | undefined } = {},
): Promise<Setup> {
  const { env, homeDir, platform, cwd, clock, random, fetch, paths } = context;
  return loadSetup({
    env,
    homeDir,
    platform,
    cwd,
    clock,
    random,
    fetch,
    askPassphrase: passphraseSource(context),
    flags: { ...paths, ...choice },
  });
}
