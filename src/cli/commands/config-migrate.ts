import { findConfigFiles } from "../../config/find-config-files.ts";
import { maskSecrets } from "../../config/migrate/mask-secrets.ts";
import { type Migration, migrateConfig } from "../../config/migrate/migrate-config.ts";
import { fileToMigrate } from "../../config/migration-hint.ts";
import { readTextFile } from "../../config/read-text-file.ts";
import { writeConfig } from "../../config/write.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { style } from "../render/style.ts";
import { unifiedDiff } from "../render/unified-diff.ts";
import { writeResult } from "../write-result.ts";

export interface ConfigMigrateFlags {
  /** `--diff`: show what would change, not the whole result. */
  readonly diff?: boolean;
  /** `--in-place`: write the file; the old one is kept beside it. */
  readonly inPlace?: boolean;
}

/** `zeph config migrate`: a config of Zeph or of an older zeph in today's form. Prints it unless told to write it. */
export const runConfigMigrate: RunCommand<ConfigMigrateFlags> = async (context, { diff = false, inPlace = false }) => {
  const { path, text } = await findFile(context);
  const migration = migrateConfig(text);
  const isChanged = migration.text !== text;
  const changes = { path, changed: isChanged, changes: migration.changes };
  if (inPlace) {
    const written = isChanged
      ? await writeConfig(path, migration.text, { previous: text, clock: context.clock })
      : undefined;
    const done = written?.backupPath === undefined ? "" : `The old one is kept as ${written.backupPath}.\n`;
    return writeResult(context, {
      data: { ...changes, backupPath: written?.backupPath ?? null },
      notice: isChanged ? `${summary(migration)}${path} is written.\n${done}` : `${path} is up to date.\n`,
    });
  }
  // Terminals and files that a listing goes to are no place for keys.
  const [before, after] = [maskSecrets(text), maskSecrets(migration.text)];
  const difference = unifiedDiff(before, after);
  const notice = isChanged
    ? `${summary(migration)}Nothing is written yet; keys are masked here. To write it: zeph config migrate --in-place\n`
    : `${path} is up to date.\n`;
  return writeResult(context, {
    data: diff ? { ...changes, diff: difference } : { ...changes, text: after },
    answer: diff ? colored(difference, context) : after,
    exact: !diff,
    notice,
  });
};

/** Throws `config_not_found` when there is none. */
async function findFile(context: CliContext): Promise<{ readonly path: string; readonly text: string }> {
  const files = await findConfigFiles({ ...context, flags: context.paths, readFile: readTextFile });
  const file = fileToMigrate(files);
  if (file === undefined) throw new ZephError("config_not_found", { detail: files.writePath });
  return file;
}

function summary({ changes }: Migration): string {
  return changes.map(({ message }) => `- ${message}\n`).join("");
}

function colored(difference: string, { color }: CliContext): string {
  const { red, green, dim } = style(color);
  return difference.replace(/^.*$/gm, (line) => {
    if (line.startsWith("@@")) return dim(line);
    return line.startsWith("-") ? red(line) : line.startsWith("+") ? green(line) : line;
  });
}
