import { migrateConfig } from "../config/migrate/migrate-config.ts";
import { writeConfig } from "../config/write.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { type Facts, gatherFacts } from "./facts.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitSession } from "./init-session.ts";
import type { InitWorld } from "./init-world.ts";
import { shortPath } from "./short-path.ts";

/**
 * A config in the form of old Zeph versions is brought to today's form first: a record written beside the old ones would
 * leave a file that no migration can mend. Without a yes, or `--force` where nobody can be asked, throws
 * `config_invalid` with the command to type.
 */
export async function bringUpToDate(
  world: InitWorld,
  request: InitRequest,
  facts: Facts,
  { ask, tell }: Pick<InitSession, "ask" | "tell">,
): Promise<Facts> {
  const { configPath, configText } = facts;
  const text = configText === undefined ? undefined : withoutLegacyForm(configText);
  if (text === undefined) return facts;
  const path = shortPath(configPath, world);
  const message = `${path} is in the form of old Zeph versions. Bring it up to date? (A backup is kept.)`;
  if (!request.force && (await ask?.confirm({ message, initial: true })) !== true) {
    throw new ZephError("config_invalid", {
      detail: `${configPath} is in the form of old Zeph versions`,
      hint: "Run `zeph config migrate --in-place`, then `zeph init` again.",
    });
  }
  const { backupPath } = await writeConfig(configPath, text, { previous: configText, clock: world.clock });
  tell.done(`${path} is in today's form.${backupPath === undefined ? "" : ` Before: ${shortPath(backupPath, world)}`}`);
  return gatherFacts(world, request);
}

/** The file in today's form; `undefined` when it has no old one, or one that no migration can mend. */
function withoutLegacyForm(configText: string): string | undefined {
  try {
    const { text, changes } = migrateConfig(configText);
    return changes.some(({ rule }) => rule === "legacy_form") ? text : undefined;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}
