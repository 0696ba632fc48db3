import { ZephError } from "../errors/zeph-error.ts";
import { keepBackup, stageFile, unwritable } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import type { HeldLock } from "../internal/lock-file.ts";
import type { Secret } from "../internal/secret.ts";
import { type KeyFile, protectKeyFile, readKeyFile } from "./key-file.ts";
import { readSecretFile } from "./read-secret-file.ts";
import { resolveLinks } from "./vault-files.ts";

export interface RewriteKeyFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly lock: HeldLock;
  readonly scryptWorkFactor?: number;
}

/**
 * Writes the same key anew, under a passphrase or without one, keeping the previous file as a backup. The new form is
 * opened before it takes the place of the old one: a key that cannot be read would lose every secret.
 */
export async function rewriteKeyFile(
  current: KeyFile,
  passphrase: Secret | undefined,
  { path, clock, lock, scryptWorkFactor }: RewriteKeyFileOptions,
): Promise<{ readonly keyFile: KeyFile; readonly backupPath: string | undefined }> {
  const text =
    passphrase === undefined ? current.text.reveal() : await protectKeyFile(current.text, passphrase, scryptWorkFactor);
  const bytes = new TextEncoder().encode(text);
  const keyFile = await readKeyFile(bytes, async () => passphrase);
  const identities = (file: KeyFile) => file.pairs.map(({ identity }) => identity.reveal()).join();
  if (identities(keyFile) !== identities(current))
    throw new ZephError("internal", { detail: "the key file would not hold the same key; it was left as it is" });
  const target = await resolveLinks(path);
  const staged = await stageFile(target, bytes);
  let backupPath: string | undefined;
  try {
    backupPath = await keepBackup(target, { clock });
    await lock.assertHeld();
    await staged.commit();
  } catch (error) {
    await staged.discard();
    throw unwritable(path, error);
  }
  const written = await readSecretFile(target);
  if (written === undefined || Buffer.compare(written, bytes) !== 0) {
    throw new ZephError("vault_unreadable", {
      detail: `${path} does not hold what was just written to it`,
      hint: `Check the disk; the key file as it was before is ${backupPath ?? "lost"}.`,
    });
  }
  return { keyFile, backupPath };
}
