import { ZephError } from "../errors/zeph-error.ts";
import type { Fault } from "./fault.ts";
import type { ConfigFiles } from "./find-config-files.ts";

/**
 * The command to type when a migration would mend all faults; `undefined` when it would not.
 *
 * @param faultsOf reads the same files with other texts
 */
export async function migrationHint(
  files: ConfigFiles,
  faultsOf: (migrated: ConfigFiles) => readonly Fault[],
): Promise<string | undefined> {
  const file = fileToMigrate(files);
  if (file === undefined) return undefined;
  // Loaded here only: a sound config has no use for it.
  const { migrateConfig } = await import("./migrate/migrate-config.ts");
  try {
    const { text } = migrateConfig(file.text);
    const found = files.found.map((each) => (each === file ? { ...each, text } : each));
    if (faultsOf({ ...files, found }).length > 0) return undefined;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
  const { explicit } = files.paths;
  const named = explicit?.from === "flag --config" ? ` --config ${explicit.path}` : "";
  return `Run: zeph config migrate --in-place${named}`;
}

/** The file that set-up would write, or the only one that there is. */
export function fileToMigrate({ found, writePath }: ConfigFiles): ConfigFiles["found"][number] | undefined {
  return found.find(({ path }) => path === writePath) ?? found.find(({ fault }) => fault === undefined);
}
