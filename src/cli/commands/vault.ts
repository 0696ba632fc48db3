import { basename } from "node:path";
import { Secret, scrub } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { bindKey, originOf, unbindKey } from "../../config/trust.ts";
import { EXIT, ZephError } from "../../errors.ts";
import { bindNewKey } from "../../provider/setup.ts";
import { checkVault, chooseBackup, listVaultBackups, restoreVault, type VaultBackup } from "../../vault/check.ts";
import { assertEntryName, entryFault } from "../../vault/entries.ts";
import { existingVaultFiles, type VaultPaths } from "../../vault/files.ts";
import { Vault } from "../../vault/vault.ts";
import { isLoopback } from "../../wire/endpoint.ts";
import type { Flags, Run } from "../command-table.ts";
import {
  asksOnTerminal,
  interruptibleClock,
  openVault,
  passphraseFile,
  passphraseSource,
  promptConfirm,
  promptHidden,
  promptText,
  readStdinSecret,
  vaultPathsOf,
} from "../input.ts";
import { renderTable, show, writeResult } from "../terminal.ts";

/** `zeph vault init`: a new key pair and an empty vault. */
export const runVaultInit: Run<"vault init"> = async (context, flags) => {
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
async function confirmReplacement(context: CliContext, flags: Flags<"vault init">, existing: string[]): Promise<void> {
  if (flags.force !== true) throw new ZephError("vault_exists", { detail: existing.join(" and ") });
  if (flags.yes === true) return;
  const question = `This puts a new, empty vault in the place of ${existing.join(" and ")}. Type "replace" to go on`;
  if ((await promptText(context, question)).trim() === "replace") return;
  throw new ZephError("cancelled", { detail: "the vault was left as it is" });
}

async function typedTwice(context: CliContext, passphrase: Secret): Promise<Secret> {
  return promptHidden(context, "The same passphrase again", (again) =>
    again.reveal() === passphrase.reveal() ? undefined : "This is not the same.",
  );
}

async function newPassphrase(context: CliContext): Promise<Secret> {
  const passphrase = await passphraseSource(context)();
  if (passphrase === undefined) throw new ZephError("vault_locked", { detail: "there is no terminal to ask for one" });
  if (!asksOnTerminal(context)) return passphrase;
  return typedTwice(context, passphrase);
}

/** `zeph vault set NAME`: stores one secret, from the hidden prompt or, where that is no terminal, standard input. */
export const runVaultSet: Run<"vault set"> = async (context, { name, ...flags }) => {
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

/** `zeph vault get NAME`: the plain value on standard output, nothing else. */
export const runVaultGet: Run<"vault get"> = async (context, { name }) => {
  const value = (await openVault(context)).get(name)?.reveal();
  if (value === undefined) throw new ZephError("vault_entry_not_found", { detail: scrub(name) });
  return writeResult(context, { data: { name, value }, answer: `${value}\n`, exact: true });
};

/** `zeph vault list`: the names, sorted. */
export const runVaultList: Run<"vault list"> = async (context) => {
  const names = (await openVault(context)).names();
  const notice = names.length === 0 ? "The vault is empty.\n" : "";
  return writeResult(context, { data: { names }, answer: names.map((name) => `${name}\n`).join(""), notice });
};

/** `zeph vault rm NAME`: removes one secret; the vault as it was is kept as a backup. */
export const runVaultRemove: Run<"vault rm"> = async (context, { name }) => {
  const { backupPath } = await (await openVault(context)).remove(name);
  await unbindKey(context, name);
  const notice = `Removed ${name}. The vault as it was: ${backupPath}\n`;
  return writeResult(context, { data: { name, backupPath }, notice });
};

/** `zeph vault check`: what is wrong with the vault and how to mend it; exit code 17 when something is. */
export const runVaultCheck: Run<"vault check"> = async (context) => {
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

/** `zeph vault passphrase`: sets or changes the passphrase of the key file, or takes it away. Secrets stay as they are. */
export const runVaultPassphrase: Run<"vault passphrase"> = async (context, { remove, stdin }) => {
  if (remove === true && stdin === true)
    throw new ZephError("usage", { detail: "--remove and --stdin exclude each other" });
  const vault = await openVault(context);
  const { keyFile } = vault.paths;
  const wasProtected = vault.passphraseProtected;
  if (remove === true && !wasProtected)
    return writeResult(context, {
      data: { keyFile, passphraseProtected: false, changed: false, backupPath: null },
      notice: `${keyFile} has no passphrase.\n`,
    });
  const passphrase = remove === true ? undefined : await givenPassphrase(context, stdin === true);
  const { backupPath } = await vault.protect(passphrase);
  return writeResult(context, {
    data: { keyFile, passphraseProtected: passphrase !== undefined, changed: true, backupPath },
    notice: noticeOf(context, { keyFile, backupPath, isProtected: passphrase !== undefined, wasProtected }),
  });
};

/** Asks twice at a terminal. Throws `not_interactive` where nobody can be asked. */
async function givenPassphrase(context: CliContext, fromStdin: boolean): Promise<Secret> {
  if (fromStdin) return readStdinSecret(context);
  if (!context.interactive) {
    const hint = "Pipe the new passphrase in: zeph vault passphrase --stdin";
    throw new ZephError("not_interactive", { hint });
  }
  const passphrase = await promptHidden(context, "New passphrase");
  return typedTwice(context, passphrase);
}

interface Change {
  readonly keyFile: string;
  readonly backupPath: string | undefined;
  readonly isProtected: boolean;
  readonly wasProtected: boolean;
}

function noticeOf(context: CliContext, { keyFile, backupPath, isProtected, wasProtected }: Change): string {
  const lines = [
    isProtected
      ? `${keyFile} is protected by the ${wasProtected ? "new " : ""}passphrase. The \`age\` tool opens it, but Zeph does not.`
      : `${keyFile} has no passphrase any more: whoever can read it and the vault can read every secret.`,
    `As it was: ${backupPath}`,
  ];
  if (isProtected && !wasProtected)
    lines.push("That copy opens the vault without a passphrase: try `zeph vault check`, then delete it.");
  else if (isProtected) lines.push("That copy opens with the old passphrase: delete it when others know that one.");
  if (isProtected && passphraseFile(context) !== undefined)
    lines.push("Put the new passphrase into the file that ZEPH_VAULT_PASSPHRASE_FILE names, too.");
  return `${lines.join("\n")}\n`;
}

/**
 * `zeph vault bind NAME ORIGIN…`: says where a key may be sent, in the place of what was said before. For a key in the
 * vault, and for one in a variable of that name. Throws `vault_entry_not_found`, `insecure_url`, `wrong_url`.
 */
export const runVaultBind: Run<"vault bind"> = async (context, { name, origins: given }) => {
  assertEntryName(name);
  if (/PRIVATE_KEY$/.test(name)) {
    throw new ZephError("usage", { detail: "a private key signs and is sent to nobody, so it is bound to no address" });
  }
  const origins = [...new Set(given.map(originOf))];
  const open = origins.find((origin) => origin.startsWith("http:") && !isLoopback(origin));
  if (open !== undefined) throw new ZephError("insecure_url", { detail: open });
  const hasVault = (await existingVaultFiles(vaultPathsOf(context))).length > 0;
  const stored = hasVault ? (await openVault(context)).get(name) : undefined;
  const variable = (context.env[name] ?? "").trim();
  const keys = [...(stored === undefined ? [] : [stored]), ...(variable === "" ? [] : [new Secret(variable)])];
  if (keys.length === 0) {
    throw new ZephError("vault_entry_not_found", {
      detail: `${scrub(name)} is neither in the vault nor a variable that is set`,
    });
  }
  for (const secret of keys) await bindKey(context, { name, secret, origins });
  return writeResult(context, {
    data: { name, origins },
    notice: `${name} goes to ${origins.join(" and ")} from now on, and nowhere else.\n`,
  });
};

/** `zeph vault restore [BACKUP]`: lists earlier states of the vault and its key, or brings one back. */
export const runVaultRestore: Run<"vault restore"> = async (context, { backup: wanted }) => {
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
