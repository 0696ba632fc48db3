import { readTextFile } from "../config/read-text-file.ts";
import { rememberTrust } from "../config/trusted-files.ts";
import { describeUntrusted, type UntrustedFile } from "../config/untrusted-file.ts";
import { loadSetup, type Setup } from "../provider/setup.ts";
import type { CliContext } from "./context.ts";
import { tellOnce } from "./notices.ts";
import { passphraseSource } from "./open-vault.ts";
import { promptConfirm } from "./prompt.ts";

/**
 * Config and secrets of the user who runs this command. `--provider` and `--model` win over everything. A project file that
 * was not agreed to is asked about at a terminal, once for its content, and mentioned everywhere else.
 *
 * @param manner `silent` asks and tells nothing, as in the middle of a command line
 */
export async function setupOf(
  context: CliContext,
  choice: { readonly provider?: string | undefined; readonly model?: string | undefined } = {},
  manner: "open" | "silent" = "open",
): Promise<Setup> {
  const { env, homeDir, platform, cwd, clock, random, fetch, paths } = context;
  const load = () =>
    loadSetup({
      env,
      homeDir,
      platform,
      cwd,
      clock,
      random,
      fetch,
      askPassphrase: passphraseSource(context),
      flags: { ...paths, ...choice },
      ...(context.interactive ? { confirm: (question: string) => promptConfirm(context, question) } : {}),
    });
  const setup = await load();
  const { untrusted, files } = setup.loaded;
  if (untrusted === undefined || manner === "silent") return setup;
  const file = files.found.find(({ path }) => path === untrusted.path);
  const isAsked = context.interactive && !untrusted.isRefused && untrusted.fault === undefined;
  if (file !== undefined && isAsked) {
    const agreed = await promptConfirm(context, trustQuestion(untrusted));
    await rememberTrust(context, readTextFile, file, agreed ? "trusted" : "refused");
    if (agreed) return load();
  }
  tellOnce(context, describeUntrusted(untrusted));
  return setup;
}

/** What the file would decide, with the addresses it names: that is what one agrees to. */
function trustQuestion({ path, ignored }: UntrustedFile): string {
  const lines = ignored.map(({ place, value }) => `  ${place}${value === "" ? "" : ` = ${value}`}`);
  const shown = lines.length > 20 ? [...lines.slice(0, 19), `  and ${lines.length - 19} more`] : lines;
  return `${path} comes with this folder and wants to decide:\n${shown.join("\n")}\nIs it yours, and shall it?`;
}
