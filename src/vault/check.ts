import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { inspectAgeFile } from "./age-file.ts";
import { listBackups } from "./backups.ts";
import { openContents, type VaultContents } from "./contents.ts";
import { type AskPassphrase, type KeyFile, readKeyFile } from "./key-file.ts";
import { entryFault } from "./known-entries.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";
import { readVaultFiles, resolveLinks, type VaultBytes, vaultLeftovers } from "./vault-files.ts";

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
  readonly passphrase?: AskPassphrase;
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
