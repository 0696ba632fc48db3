import { type InlineKey, inlineKeys, replaceInlineKey } from "../config/edit.ts";
import { findConfigFiles } from "../config/find-config-files.ts";
import { readTextFile } from "../config/read-text-file.ts";
import { writeConfig } from "../config/write.ts";
import type { CliContext } from "./context.ts";

/** A config file of the user that holds keys in plain text. */
export interface FileWithKeys {
  readonly path: string;
  readonly text: string;
  readonly keys: readonly InlineKey[];
}

/**
 * The user's own config file, or the one that `--config` names, when it holds keys. A file of the folder one happens to
 * work in is left out: what it holds may be anybody's, and must not come to lie in the vault under a name in use.
 */
export async function findInlineKeys(context: CliContext): Promise<FileWithKeys | undefined> {
  const { found } = await findConfigFiles({ ...context, flags: context.paths, readFile: readTextFile });
  const file = found.find(({ role }) => role !== "project");
  const keys = inlineKeys(file?.text ?? "");
  return file === undefined || keys.length === 0 ? undefined : { path: file.path, text: file.text, keys };
}

/** Puts the names of these secrets in the place of the keys. Gives the copy of the file as it was, keys included. */
export async function moveInlineKeys(
  { clock }: Pick<CliContext, "clock">,
  { path, text }: FileWithKeys,
  keys: readonly InlineKey[],
): Promise<string | undefined> {
  const changed = keys.reduce(replaceInlineKey, text);
  return (await writeConfig(path, changed, { previous: text, clock })).backupPath;
}
