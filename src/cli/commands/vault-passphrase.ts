import { ZephError } from "../../errors/zeph-error.ts";
import type { Secret } from "../../internal/secret.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { openVault, passphraseFile } from "../open-vault.ts";
import { promptHidden } from "../prompt.ts";
import { readStdinSecret } from "../read-stdin-secret.ts";
import { writeResult } from "../write-result.ts";

export interface VaultPassphraseFlags {
  /** `--remove`: take the passphrase away. */
  readonly remove?: boolean;
  /** `--stdin`: read the new passphrase from standard input. */
  readonly stdin?: boolean;
}

/** `zeph vault passphrase`: sets or changes the passphrase of the key file, or takes it away. Secrets stay as they are. */
export const runVaultPassphrase: RunCommand<VaultPassphraseFlags> = async (context, { remove, stdin }) => {
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
  const passphrase = remove === true ? undefined : await newPassphrase(context, stdin === true);
  const { backupPath } = await vault.protect(passphrase);
  return writeResult(context, {
    data: { keyFile, passphraseProtected: passphrase !== undefined, changed: true, backupPath },
    notice: noticeOf(context, { keyFile, backupPath, isProtected: passphrase !== undefined, wasProtected }),
  });
};

/** Asks twice at a terminal. Throws `not_interactive` where nobody can be asked. */
async function newPassphrase(context: CliContext, fromStdin: boolean): Promise<Secret> {
  if (fromStdin) return readStdinSecret(context);
  if (!context.interactive) {
    const hint = "Pipe the new passphrase in: zeph vault passphrase --stdin";
    throw new ZephError("not_interactive", { hint });
  }
  const passphrase = await promptHidden(context, "New passphrase");
  await promptHidden(context, "The same passphrase again", {
    validate: (again) => (again.reveal() === passphrase.reveal() ? undefined : "This is not the same."),
  });
  return passphrase;
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
