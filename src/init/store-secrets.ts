import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { InitSession } from "./init-session.ts";
import { shortPath } from "./short-path.ts";

export interface StoreSecretsOptions {
  readonly entries: ReadonlyMap<string, Secret>;
  /**
   * How a different value under the same name may be replaced: `confirmed`, a yes is enough, and without a terminal it is
   * taken for granted; `typed`, a word must be typed, or `--force` given.
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
  await secrets.keep(entries);
  tell.done(`Stored as ${names.join(" and ")} in the vault ${shortPath(world.vaultPaths.vaultFile, world)}`);
}

async function confirmReplacement(
  { ask, request, tell }: InitSession,
  names: string,
  replacement: "confirmed" | "typed",
): Promise<void> {
  if (request.force) return;
  if (ask === undefined) {
    if (replacement === "confirmed") return;
    throw new ZephError("vault_entry_exists", { detail: names });
  }
  tell.warn(`The vault has another ${names} already. An encrypted backup of it will be kept.`);
  const agreed =
    replacement === "confirmed"
      ? await ask.confirm({ message: "Replace it?", initial: true })
      : (await ask.text({ message: 'Type "replace" to replace it' })) === "replace";
  if (!agreed) throw new ZephError("cancelled", { detail: `${names} was left as it is` });
}
