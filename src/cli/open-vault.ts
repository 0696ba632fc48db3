import { stat } from "node:fs/promises";
import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import { readRegularText, UnusableFile } from "../internal/regular-file.ts";
import { Secret } from "../internal/secret.ts";
import { type AskPassphrase, Vault, type VaultPaths, vaultPaths } from "../vault/index.ts";
import type { CliContext } from "./context.ts";
import { promptHidden } from "./prompt.ts";

const TRIES = 3;

/** Where the vault of this run is: flags > variables > default folder, the same for every command. */
export function vaultPathsOf({ env, homeDir, platform, paths }: CliContext): VaultPaths {
  return vaultPaths({ env, homeDir, platform, flags: paths });
}

/** A clock whose waits Ctrl-C and SIGTERM end, for those who wait for a lock. */
export function interruptibleClock({ clock, signal }: Pick<CliContext, "clock" | "signal">): Clock {
  return { ...clock, nowMs: () => clock.nowMs(), sleep: (delayMs, own) => clock.sleep(delayMs, own ?? signal) };
}

/** Opens the vault of this run and asks for its passphrase when it has one, at a terminal up to three times. */
export async function openVault(context: CliContext): Promise<Vault> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const clock = interruptibleClock(context);
      return await Vault.open({ paths: vaultPathsOf(context), clock, passphrase: passphraseSource(context) });
    } catch (error) {
      const mayTryAgain = ZephError.is(error) && error.code === "vault_wrong_passphrase" && asksOnTerminal(context);
      if (!mayTryAgain || attempt === TRIES) throw error;
      context.stderr.write("That passphrase does not open the key file.\n");
    }
  }
}

/**
 * Where the passphrase comes from: the file that `ZEPH_VAULT_PASSPHRASE_FILE` names, else a hidden prompt when there is
 * a terminal, else nowhere, which makes the vault say `vault_locked`.
 */
export function passphraseSource(context: CliContext): AskPassphrase {
  return async () => {
    const path = passphraseFile(context);
    if (path !== undefined) return readPassphraseFile(path, context.platform);
    if (context.interactive) return promptHidden(context, "Passphrase of the vault's key file");
    return undefined;
  };
}

/** Would the passphrase be typed, and not read from a file? */
export function asksOnTerminal(context: CliContext): boolean {
  return context.interactive && passphraseFile(context) === undefined;
}

/** The file that a passphrase is read from in place of a prompt. */
export function passphraseFile({ env }: CliContext): string | undefined {
  return env.ZEPH_VAULT_PASSPHRASE_FILE === "" ? undefined : env.ZEPH_VAULT_PASSPHRASE_FILE;
}

const MAX_PASSPHRASE_BYTES = 64 * 1024;

async function readPassphraseFile(path: string, platform: NodeJS.Platform): Promise<Secret> {
  const unusable = (cause?: unknown) => {
    const isOurs = cause instanceof UnusableFile;
    const detail = isOurs ? `the passphrase file ${cause.message}` : `the passphrase file ${path} cannot be read`;
    return new ZephError("vault_locked", { detail, hint: isOurs ? cause.hint : undefined, cause });
  };
  try {
    const text = await readRegularText(path, { maxBytes: MAX_PASSPHRASE_BYTES });
    if (text === undefined) throw unusable();
    if (platform !== "win32" && ((await stat(path)).mode & 0o077) !== 0) {
      throw new ZephError("vault_permissions", { detail: path, hint: `Run: chmod 600 ${path}` });
    }
    const passphrase = text.replace(/\r?\n$/, "");
    if (passphrase === "") throw new ZephError("vault_locked", { detail: `the passphrase file ${path} is empty` });
    return new Secret(passphrase);
  } catch (error) {
    throw ZephError.is(error) ? error : unusable(error);
  }
}
