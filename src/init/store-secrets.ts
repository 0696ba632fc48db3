import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { InitSession } from "./init-session.ts";
import { shortPath } from "./short-path.ts";

export interface StoreSecretsOptions {
  readonly entries: ReadonlyMap<string, Secret>;
  /**
   * How a different value under the same name may be replaced at a terminal: `confirmed`, a yes is enough; `typed`, a word
   * must be typed. Where nobody can be asked only `--force` does it.
   */
  readonly replacement: "confirmed" | "typed";
}

/**
 * Stores accepted secrets at once and reads them back. Nothing that is stored is replaced silently; the encrypted backup
 * of the vault keeps it anyway. Throws `cancelled`, `vault_entry_exists`, and what hinders opening the vault.
 */
export async function storeSecrets(session: InitSession, { entries, replacement }: StoreSecretsOptions): Promise<void> {
  const { secrets, world, tell } = session;
  const names = [...entries.keys()];
  if (secrets.backend === "env") {
    tell.warn(
      `Secrets are kept in the environment here, so this key is used for the test and then forgotten.\nSet the variable ${names.join(" and ")} where zeph runs. This is meant for CI.`,
    );
    return;
  }
  const others: string[] = [];
  for (const [name, value] of entries) {
    const stored = secrets.kept.includes(name) ? undefined : await secrets.stored(name);
    if (stored !== undefined && stored.reveal() !== value.reveal()) others.push(name);
  }
  if (others.length > 0) await confirmReplacement(session, others.join(" and "), replacement);
  const { stored, replaced, backupPath } = await secrets.keep(entries);
  const place = `${names.join(" and ")} in the vault ${shortPath(world.vaultPaths.vaultFile, world)}`;
  if (stored.length === 0) return tell.done(`Already stored as ${place}`);
  if (replaced.length === 0) return tell.done(`Stored as ${place}`);
  const before = backupPath === undefined ? "" : `\nBefore: ${shortPath(backupPath, world)}`;
  tell.done(`Replaced ${place}${before}`);
}

async function confirmReplacement(
  { ask, request, tell }: InitSession,
  names: string,
  replacement: "confirmed" | "typed",
): Promise<void> {
  if (request.force) return;
  if (ask === undefined) {
    throw new ZephError("vault_entry_exists", {
      detail: names,
      hint: "Add --force to replace it with the one that was given; the vault as it was is kept as a backup.",
    });
  }
  tell.warn(`The vault has another ${names} already. An encrypted backup of it will be kept.`);
  const agreed =
    replacement === "confirmed"
      ? await ask.confirm({ message: "Replace it?", initial: true })
      : (await ask.text({ message: 'Type "replace" to replace it' })) === "replace";
  if (!agreed) throw new ZephError("cancelled", { detail: `${names} was left as it is` });
}
