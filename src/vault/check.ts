import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Clock, systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { entryFault } from "./entries.ts";
import {
  backupTimeMs,
  changePair,
  listBackups,
  readSecretFile,
  readVaultFiles,
  replaceFile,
  resolveLinks,
  type VaultBytes,
  type VaultPaths,
  vaultLeftovers,
  withVaultLock,
} from "./files.ts";
import { type AskPassphrase, inspectAgeFile, type KeyFile, readKeyFile } from "./key.ts";
import { openContents, type VaultContents } from "./vault.ts";

/** One thing that is not as it should be. No finding shows a value. */
export interface VaultFinding {
  readonly id:
    | "vault.open"
    | "vault.file_mode"
    | "vault.key_mode"
    | "vault.folder_mode"
    | "vault.format"
    | "vault.key_backup"
    | "vault.leftover"
    | "vault.entry";
  /** An error keeps zeph from working or a secret from being one; a warning does not. */
  readonly severity: "error" | "warning";
  readonly message: string;
  /** What to type. */
  readonly mend: string;
}

export interface VaultReport {
  readonly paths: VaultPaths;
  /** Do key and vault fit, and is what comes out names and texts? */
  readonly opens: boolean;
  /** Number of secrets, known when it opens. */
  readonly entryCount: number | undefined;
  readonly passphraseProtected: boolean | undefined;
  readonly findings: readonly VaultFinding[];
}

export interface CheckVaultOptions {
  readonly paths: VaultPaths;
  /** Modes are checked except on `win32`. */
  readonly platform: NodeJS.Platform;
  readonly passphrase?: AskPassphrase | undefined;
  /** Tells how old a lock is. Default: the system's. */
  readonly clock?: Pick<Clock, "nowMs">;
}

/** Looks at a vault without changing anything. Faults of the vault are findings, not errors; it throws none of them. */
export async function checkVault({
  paths,
  platform,
  passphrase,
  clock = systemClock,
}: CheckVaultOptions): Promise<VaultReport> {
  const findings = platform === "win32" ? [] : await checkModes(paths);
  findings.push(...(await checkLeftovers(paths, clock)));
  const report = { paths, opens: false, entryCount: undefined, passphraseProtected: undefined };
  try {
    const bytes = await readVaultFiles(paths);
    const keyFile = await readKeyFile(bytes.key, passphrase);
    findings.push(...checkFormat(paths, bytes, keyFile));
    findings.push(...checkStatedRecipient(paths, keyFile));
    const { passphraseProtected } = keyFile;
    if (passphraseProtected) findings.push(...(await checkKeyBackups(paths, keyFile)));
    const contents = await openContents(bytes.vault, keyFile);
    findings.push(...checkEntries(contents));
    return { ...report, opens: true, entryCount: contents.size, passphraseProtected, findings };
  } catch (error) {
    if (!ZephError.is(error) || error.code === "cancelled") throw error;
    findings.push({ id: "vault.open", severity: "error", message: error.message, mend: mendOf(error, paths) });
    return { ...report, findings };
  }
}

/** The usual advice of this error is to run this check. */
function mendOf(error: ZephError, { keyFile, vaultFile }: VaultPaths): string {
  if (error.code !== "vault_unreadable" || !error.hint.includes("zeph vault check")) return error.hint;
  return `Put back the files that belong together, ${shellQuote(keyFile)} and ${shellQuote(vaultFile)}: \`zeph vault restore\` lists what is kept of them. To begin anew: \`zeph vault init --force\`.`;
}

async function checkModes({ keyFile, vaultFile }: VaultPaths): Promise<VaultFinding[]> {
  const folders = [...new Set([dirname(keyFile), dirname(vaultFile)])];
  const wanted = [
    { id: "vault.key_mode", path: keyFile, mode: "600", severity: "error" },
    { id: "vault.file_mode", path: vaultFile, mode: "600", severity: "error" },
    ...folders.map((path) => ({ id: "vault.folder_mode", path, mode: "700", severity: "warning" }) as const),
  ] as const;
  const findings: VaultFinding[] = [];
  for (const { id, path, mode, severity } of wanted) {
    const bits = await modeOf(path);
    if (bits === undefined || (bits & 0o077) === 0) continue;
    const message = `${path} has mode ${bits.toString(8)}: other users of this computer can reach it`;
    findings.push({ id, severity, message, mend: `chmod ${mode} ${shellQuote(path)}` });
  }
  return findings;
}

/** `undefined` when it is missing or cannot be looked at: opening it will say so better. */
async function modeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mode }) => mode & 0o777,
    () => undefined,
  );
}

/** What a killed process or a full disk has left. It is in nobody's way. */
async function checkLeftovers(paths: VaultPaths, clock: Pick<Clock, "nowMs">): Promise<VaultFinding[]> {
  // What cannot even be looked at is told when it is opened.
  const left = await vaultLeftovers(paths, clock.nowMs()).catch(() => []);
  return left.map((path) => ({
    id: "vault.leftover",
    severity: "warning",
    message: `${path} was left by a change that was cut short; the next change of the vault sees to it`,
    mend: "zeph doctor --fix",
  }));
}

/** What zeph reads and keeps, but Zeph does not read, or somebody else does too. */
function checkFormat({ keyFile, vaultFile }: VaultPaths, { vault }: VaultBytes, key: KeyFile): VaultFinding[] {
  const file = inspectAgeFile(vault);
  if (file === undefined) return [];
  const faults: string[] = [];
  if (file.armored) faults.push("is armoured text, which Zeph does not read");
  if (file.recipientTypes.length > 1) faults.push("can be opened with a second key too");
  const [from, by, to] = [shellQuote(vaultFile), shellQuote(keyFile), shellQuote(`${vaultFile}.new`)];
  const mend = `Changes keep it so. In the plain form, for this key alone: age -d -i ${by} ${from} | age -r ${key.recipient} -o ${to}, then put it in its place.`;
  return faults.map((fault) => ({ id: "vault.format", severity: "warning", message: `${vaultFile} ${fault}`, mend }));
}

function checkStatedRecipient({ keyFile }: VaultPaths, { recipient, statedRecipient }: KeyFile): VaultFinding[] {
  if (statedRecipient === undefined || statedRecipient === recipient) return [];
  const message = `${keyFile} names a public key in its comment that does not belong to its key`;
  return [
    { id: "vault.format", severity: "warning", message, mend: `Correct the comment to: # public key: ${recipient}` },
  ];
}

/** A passphrase protects nothing while the same key lies beside it without one. */
async function checkKeyBackups({ keyFile }: VaultPaths, { recipient }: KeyFile): Promise<VaultFinding[]> {
  const findings: VaultFinding[] = [];
  for (const path of await listBackups(await resolveLinks(keyFile))) {
    const bytes = await readSecretFile(path);
    // Never asked for a passphrase: a protected one is no fault, and one of another key opens nothing here.
    const backup = bytes && (await readKeyFile(bytes).catch(() => undefined));
    if (backup?.recipient !== recipient) continue;
    const message = `${path} is the key without its passphrase: whoever reads it can open the vault`;
    findings.push({ id: "vault.key_backup", severity: "warning", message, mend: `rm ${shellQuote(path)}` });
  }
  return findings;
}

function checkEntries(contents: VaultContents): VaultFinding[] {
  return [...contents].flatMap(([name, value]): VaultFinding[] => {
    const fault = entryFault(name, value.reveal());
    if (fault === undefined) return [];
    return [
      {
        id: "vault.entry",
        severity: "error",
        message: `${name} ${fault}`,
        mend: `zeph vault set ${shellQuote(name)} --force`,
      },
    ];
  });
}

function shellQuote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** An earlier state of the vault or of its key file. */
export interface VaultBackup {
  readonly kind: "vault" | "key";
  readonly path: string;
  /** Milliseconds since the Unix epoch, from its name. */
  readonly madeAtMs: number;
  /** Of a vault that opens: how many secrets it has. */
  readonly entryCount: number | undefined;
  /** Of a vault: the key file that opens it, today's or a backup; `undefined` when none here does. */
  readonly keyFile: string | undefined;
}

export interface VaultBackups {
  /** What differs from the files as they are, newest first, vaults before keys. */
  readonly backups: readonly VaultBackup[];
  /** The copy of the vault as it is now. */
  readonly copyOfCurrent: string | undefined;
}

export interface ListVaultBackupsOptions {
  readonly paths: VaultPaths;
  /** Called when the key file is protected; without an answer what it opens stays unknown. */
  readonly passphrase?: AskPassphrase | undefined;
}

/** What can be brought back. Changes nothing; throws only `cancelled`. */
export async function listVaultBackups({ paths, passphrase }: ListVaultBackupsOptions): Promise<VaultBackups> {
  const [vaultFile, keyFile] = [await resolveLinks(paths.vaultFile), await resolveLinks(paths.keyFile)];
  const keys = await readableKeys(paths, passphrase);
  const [vaultNow, keyNow] = [await bytesOf(vaultFile), await bytesOf(keyFile)];
  const backups: VaultBackup[] = [];
  let copyOfCurrent: string | undefined;
  for (const path of await listBackups(vaultFile)) {
    const bytes = await bytesOf(path);
    if (bytes === undefined) continue;
    if (isSame(bytes, vaultNow)) copyOfCurrent ??= path;
    else backups.push({ kind: "vault", path, madeAtMs: backupTimeMs(path) ?? 0, ...(await openerOf(bytes, keys)) });
  }
  for (const path of await listBackups(keyFile)) {
    if (isSame(await bytesOf(path), keyNow)) continue;
    backups.push({ kind: "key", path, madeAtMs: backupTimeMs(path) ?? 0, entryCount: undefined, keyFile: undefined });
  }
  return { backups, copyOfCurrent };
}

export interface RestoreVaultOptions extends ListVaultBackupsOptions {
  readonly backup: VaultBackup;
  readonly clock?: Clock;
}

/** What bringing back has changed. */
export interface RestoredVault {
  readonly vaultFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly entryCount: number | undefined;
  /** The vault and the key file as they were before; absent where nothing was, or nothing changed. */
  readonly vaultBackupPath: string | undefined;
  readonly keyBackupPath: string | undefined;
}

/**
 * Puts a backup in the place of the vault, and the key that opens it in the place of the key file when that is another;
 * or a backup of the key file alone. What was there is kept as a backup. Throws `vault_unreadable` when no key here opens
 * it, `vault_busy` and `file_unwritable`; nothing has changed then.
 */
export async function restoreVault(options: RestoreVaultOptions): Promise<RestoredVault> {
  const { paths, backup, passphrase, clock = systemClock } = options;
  return withVaultLock(paths, clock, async (lock) => {
    const bytes = await bytesOf(backup.path);
    if (bytes === undefined) throw unreadable(`the backup ${backup.path} cannot be read`);
    const nothing = { vaultFile: undefined, keyFile: undefined, vaultBackupPath: undefined, keyBackupPath: undefined };
    if (backup.kind === "key") {
      const keyBackupPath = await replaceFile(paths.keyFile, bytes, { clock, lock });
      return { ...nothing, keyFile: paths.keyFile, entryCount: undefined, keyBackupPath };
    }
    const opener = await openerOf(bytes, await readableKeys(paths, passphrase));
    if (opener.keyFile === undefined) {
      throw unreadable(
        `no key here opens the backup ${backup.path}`,
        "Bring the key file back first, or name it with --vault-key.",
      );
    }
    const { entryCount } = opener;
    if (opener.keyFile === paths.keyFile) {
      const vaultBackupPath = await replaceFile(paths.vaultFile, bytes, { clock, lock });
      return { ...nothing, vaultFile: paths.vaultFile, entryCount, vaultBackupPath };
    }
    const key = await bytesOf(opener.keyFile);
    if (key === undefined) throw unreadable(`the key file ${opener.keyFile} cannot be read`);
    const kept = await changePair(paths, { key, vault: bytes, clock, lock });
    return { ...paths, entryCount, vaultBackupPath: kept.vault, keyBackupPath: kept.key };
  });
}

/**
 * The backup that is meant by `2`, a file name or a path. Throws `usage`, naming the command that lists them.
 */
export function chooseBackup(backups: readonly VaultBackup[], wanted: string): VaultBackup {
  const chosen = /^\d{1,4}$/.test(wanted)
    ? backups[Number(wanted) - 1]
    : backups.find(({ path }) => path === wanted || basename(path) === basename(wanted));
  if (chosen !== undefined) return chosen;
  throw new ZephError("usage", {
    detail: "there is no backup of this number or name",
    hint: "See them with `zeph vault restore`.",
  });
}

interface ReadableKey {
  readonly path: string;
  readonly file: KeyFile;
}

/** Today's key file and its backups, as far as they can be read; the passphrase is asked for once, for today's. */
async function readableKeys({ keyFile }: VaultPaths, askPassphrase: AskPassphrase | undefined): Promise<ReadableKey[]> {
  const keys: ReadableKey[] = [];
  let asked: ReturnType<AskPassphrase> | undefined;
  const ask = async () => {
    asked ??= askPassphrase?.() ?? Promise.resolve(undefined);
    return asked;
  };
  for (const path of [keyFile, ...(await listBackups(await resolveLinks(keyFile)))]) {
    const bytes = await bytesOf(path);
    if (bytes === undefined) continue;
    // Of a key that nobody asks for, only the passphrase that was given already is tried.
    const file = await readKeyFile(bytes, path === keyFile || asked !== undefined ? ask : undefined).catch(orCancelled);
    if (file !== undefined) keys.push({ path, file });
  }
  return keys;
}

async function openerOf(bytes: Uint8Array, keys: readonly ReadableKey[]) {
  for (const { path, file } of keys) {
    const contents = await openContents(bytes, file).catch(orCancelled);
    if (contents !== undefined) return { keyFile: path, entryCount: contents.size };
  }
  return { keyFile: undefined, entryCount: undefined };
}

/** What cannot be read opens nothing; only a person who leaves is to be heard. */
function orCancelled(error: unknown): undefined {
  if (ZephError.is(error) && error.code !== "cancelled") return undefined;
  throw error;
}

async function bytesOf(path: string): Promise<Uint8Array | undefined> {
  return readSecretFile(path).catch(() => undefined);
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}

function unreadable(detail: string, hint?: string): ZephError {
  return new ZephError("vault_unreadable", { detail, hint: hint ?? "See the backups with `zeph vault restore`." });
}
