import { unbindKey } from "../../config/key-origins.ts";
import { EXIT } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import type { Secret } from "../../internal/secret.ts";
import { bindNewKey } from "../../provider/key-guard.ts";
import { assertEntryName } from "../../vault/entry-name.ts";
import { checkVault, existingVaultFiles, Vault, type VaultPaths } from "../../vault/index.ts";
import { entryFault } from "../../vault/known-entries.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { asksOnTerminal, interruptibleClock, openVault, passphraseSource, vaultPathsOf } from "../open-vault.ts";
import { promptConfirm, promptHidden, promptText } from "../prompt.ts";
import { readStdinSecret } from "../read-stdin-secret.ts";
import { show, writeResult } from "../write-result.ts";

export interface VaultInitFlags {
  /** `--force`: replace a vault that is there; both files are kept as backups. */
  readonly force?: boolean;
  /** `--yes`: stands for the typed confirmation of `--force`. */
  readonly yes?: boolean;
  /** `--protect`: ask for a passphrase that protects the key file. */
  readonly protect?: boolean;
}

/** `zeph vault init`: a new key pair and an empty vault. */
export const runVaultInit: RunCommand<VaultInitFlags> = async (context, flags) => {
  const paths = vaultPathsOf(context);
  const existing = await existingVaultFiles(paths);
  if (existing.length > 0) await confirmReplacement(context, flags, existing);
  const passphrase = flags.protect === true ? await newPassphrase(context) : undefined;
  await Vault.init({
    paths,
    clock: interruptibleClock(context),
    force: existing.length > 0,
    ...(passphrase === undefined ? {} : { passphrase }),
  });
  const kept = existing.length > 0 ? "The files that were there are kept beside them, with .bak in their names.\n" : "";
  const protection =
    passphrase === undefined
      ? "Whoever can read both files can read every secret in them.\n"
      : "With a passphrase the `age` tool opens the key file, but Zeph does not.\n";
  return writeResult(context, {
    data: { ...paths, replaced: existing, passphraseProtected: passphrase !== undefined },
    answer: `Key file: ${paths.keyFile}\nVault:    ${paths.vaultFile}\n`,
    notice: `${kept}${protection}`,
  });
};

/** Throws unless the user means it: `vault_exists` without `--force`, `not_interactive`, `cancelled`. */
async function confirmReplacement(context: CliContext, flags: VaultInitFlags, existing: string[]): Promise<void> {
  if (flags.force !== true) throw new ZephError("vault_exists", { detail: existing.join(" and ") });
  if (flags.yes === true) return;
  const question = `This puts a new, empty vault in the place of ${existing.join(" and ")}. Type "replace" to go on`;
  if ((await promptText(context, question)).trim() === "replace") return;
  throw new ZephError("cancelled", { detail: "the vault was left as it is" });
}

async function newPassphrase(context: CliContext): Promise<Secret> {
  const passphrase = await passphraseSource(context)();
  if (passphrase === undefined) throw new ZephError("vault_locked", { detail: "there is no terminal to ask for one" });
  if (!asksOnTerminal(context)) return passphrase;
  await promptHidden(context, "The same passphrase again", {
    validate: (again) => (again.reveal() === passphrase.reveal() ? undefined : "This is not the same."),
  });
  return passphrase;
}

export interface VaultSetFlags {
  readonly name: string;
  /** A value that was given as an argument. It is refused, whatever it is. */
  readonly value?: string;
  /** `--stdin`: read the value from standard input, also from a keyboard. What is piped in is read without it. */
  readonly stdin?: boolean;
  /** `--force`: replace a value that is there. */
  readonly force?: boolean;
}

/** `zeph vault set NAME`: stores one secret, from the hidden prompt or, where that is no terminal, standard input. */
export const runVaultSet: RunCommand<VaultSetFlags> = async (context, { name, ...flags }) => {
  if (flags.value !== undefined)
    throw new ZephError("secret_on_command_line", { detail: "zeph vault set takes a name only" });
  assertEntryName(name);
  const vault = await openVault(context);
  const exists = vault.get(name) !== undefined;
  const usesStdin = flags.stdin === true || context.stdin.isTTY !== true;
  if (exists && flags.force !== true) await confirmOverwrite(context, name, usesStdin);
  const value = usesStdin ? await readPiped(context, name) : await askValue(context, name);
  const { backupPath } = await vault.set(name, value, { replace: exists });
  const origins = await bindNewKey(context, name, value);
  const fault = entryFault(name, value.reveal());
  return writeResult(context, {
    data: {
      name,
      replaced: exists,
      vaultFile: vault.paths.vaultFile,
      backupPath,
      origins: origins ?? null,
      warning: fault && `the value ${fault}`,
    },
    notice: `Stored ${name} in ${vault.paths.vaultFile}.\n${origins === undefined ? "" : `It goes to ${origins.join(" and ")} and nowhere else.\n`}${fault === undefined ? "" : `Note: the value ${fault}.\n`}`,
  });
};

/** Standard input that carries the value cannot answer a question too. */
async function confirmOverwrite(context: CliContext, name: string, usesStdin: boolean): Promise<void> {
  if (usesStdin || !context.interactive) throw new ZephError("vault_entry_exists", { detail: name });
  if (await promptConfirm(context, `${name} is in the vault already. Replace it?`)) return;
  throw new ZephError("cancelled", { detail: `${name} was left as it is` });
}

/** Whoever did not mean to pipe anything is told after a second why nothing happens. */
async function readPiped(context: CliContext, name: string): Promise<Secret> {
  const cancelNotice = context.clock.schedule(1_000, () => {
    show(context.stderr, `Reading the value of ${name} from standard input, up to its end …\n`);
  });
  try {
    return await readStdinSecret(context);
  } finally {
    cancelNotice();
  }
}

async function askValue(context: CliContext, name: string): Promise<Secret> {
  if (context.interactive) return promptHidden(context, `Value of ${name}`);
  const hint = `Pipe the value in: zeph vault set ${name} < FILE`;
  throw new ZephError("not_interactive", { hint });
}

export interface VaultNameFlags {
  readonly name: string;
}

/** `zeph vault get NAME`: the plain value on standard output, nothing else. */
export const runVaultGet: RunCommand<VaultNameFlags> = async (context, { name }) => {
  const value = (await openVault(context)).get(name)?.reveal();
  if (value === undefined) throw new ZephError("vault_entry_not_found", { detail: scrub(name) });
  return writeResult(context, { data: { name, value }, answer: `${value}\n`, exact: true });
};

/** `zeph vault list`: the names, sorted. */
export const runVaultList: RunCommand<Readonly<Record<string, unknown>>> = async (context) => {
  const names = (await openVault(context)).names();
  const notice = names.length === 0 ? "The vault is empty.\n" : "";
  return writeResult(context, { data: { names }, answer: names.map((name) => `${name}\n`).join(""), notice });
};

/** `zeph vault rm NAME`: removes one secret; the vault as it was is kept as a backup. */
export const runVaultRemove: RunCommand<VaultNameFlags> = async (context, { name }) => {
  const { backupPath } = await (await openVault(context)).remove(name);
  await unbindKey(context, name);
  const notice = `Removed ${name}. The vault as it was: ${backupPath}\n`;
  return writeResult(context, { data: { name, backupPath }, notice });
};

/** `zeph vault check`: what is wrong with the vault and how to mend it; exit code 17 when something is. */
export const runVaultCheck: RunCommand<Readonly<Record<string, unknown>>> = async (context) => {
  const paths: VaultPaths = vaultPathsOf(context);
  const report = await checkVault({ paths, platform: context.platform, passphrase: passphraseSource(context) });
  const count = report.entryCount === 1 ? "1 secret" : `${report.entryCount} secrets`;
  const lines = [
    report.opens ? `✓ ${paths.vaultFile} opens: ${count}` : undefined,
    ...report.findings.flatMap(({ severity, message, mend }) => [
      `${severity === "error" ? "✗" : "!"} ${message}`,
      `  → ${mend}`,
    ]),
  ].filter((line) => line !== undefined);
  const healthy = report.findings.every((finding) => finding.severity !== "error");
  const exitCode = healthy ? EXIT.ok : EXIT.configOrVault;
  return writeResult(context, { data: { healthy, ...report }, answer: `${lines.join("\n")}\n`, exitCode });
};
