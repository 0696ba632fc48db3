import { basename } from "node:path";
import { chooseBackup, listVaultBackups, restoreVault, type VaultBackup } from "../../vault/restore.ts";
import type { RunCommand } from "../context.ts";
import { interruptibleClock, passphraseSource, vaultPathsOf } from "../open-vault.ts";
import { renderTable } from "../render/table.ts";
import { writeResult } from "../write-result.ts";

export interface VaultRestoreFlags {
  /** Number in the list, name or path of a backup; without it they are listed. */
  readonly backup?: string;
}

/** `zeph vault restore [BACKUP]`: lists earlier states of the vault and its key, or brings one back. */
export const runVaultRestore: RunCommand<VaultRestoreFlags> = async (context, { backup: wanted }) => {
  const paths = vaultPathsOf(context);
  // Asked for once, although two look.
  let asked: ReturnType<ReturnType<typeof passphraseSource>> | undefined;
  const passphrase = () => {
    asked ??= passphraseSource(context)();
    return asked;
  };
  const { backups, copyOfCurrent } = await listVaultBackups({ paths, passphrase });
  if (wanted === undefined) {
    const list = backups.map((backup, index) => [
      `${index + 1}`,
      dateOf(backup),
      describe(backup, paths.keyFile),
      basename(backup.path),
    ]);
    const copy = copyOfCurrent === undefined ? "" : `A copy of the vault as it is now: ${copyOfCurrent}\n`;
    const next =
      backups.length === 0
        ? `There is no other state of ${paths.vaultFile} to bring back.\n`
        : "Bring one back with `zeph vault restore NUMBER`; what is there now is kept.\n";
    return writeResult(context, {
      data: { vaultFile: paths.vaultFile, backups: backups.map(toData), copyOfCurrent: copyOfCurrent ?? null },
      answer: list.length === 0 ? "" : renderTable(list),
      notice: `${copy}${next}`,
    });
  }
  const backup = chooseBackup(backups, wanted);
  const restored = await restoreVault({ paths, backup, passphrase, clock: interruptibleClock(context) });
  const { vaultFile, keyFile, entryCount, vaultBackupPath, keyBackupPath } = restored;
  const kept = [vaultBackupPath, keyBackupPath].filter((path) => path !== undefined);
  return writeResult(context, {
    data: {
      restored: backup.path,
      madeAt: new Date(backup.madeAtMs).toISOString(),
      vaultFile: vaultFile ?? null,
      keyFile: keyFile ?? null,
      secrets: entryCount ?? null,
      vaultBackupPath: vaultBackupPath ?? null,
      keyBackupPath: keyBackupPath ?? null,
    },
    notice: [
      `Brought back ${[vaultFile, keyFile].filter((path) => path !== undefined).join(" and ")} of ${dateOf(backup)}`,
      entryCount === undefined ? ".\n" : `: ${count(entryCount)}.\n`,
      ...kept.map((path) => `As it was: ${path}\n`),
    ].join(""),
  });
};

function toData({ kind, path, madeAtMs, entryCount, keyFile }: VaultBackup, index: number) {
  return {
    number: index + 1,
    kind,
    path,
    madeAt: new Date(madeAtMs).toISOString(),
    secrets: entryCount ?? null,
    ...(kind === "vault" ? { keyFile: keyFile ?? null } : {}),
  };
}

function dateOf({ madeAtMs }: VaultBackup): string {
  return `${new Date(madeAtMs).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function describe({ kind, entryCount, keyFile }: VaultBackup, currentKey: string): string {
  if (kind === "key") return "key file";
  if (entryCount === undefined) return "no key here opens it";
  return `${count(entryCount)}${keyFile === currentKey ? "" : ", with its own key"}`;
}

function count(entries: number): string {
  return entries === 1 ? "1 secret" : `${entries} secrets`;
}
