import type { Command } from "commander";
import type { VaultBindFlags } from "../commands/vault-bind.ts";
import type { Binding } from "./bind.ts";

export function addVaultCommands(program: Command, { bind }: Binding): void {
  const vault = program.command("vault").description("keep secrets in an age-encrypted vault");

  bind(
    vault
      .command("init")
      .description("make a key file and an empty vault")
      .option("--force", "replace a vault that is there; both files are kept as backups")
      .option("--protect", "protect the key file with a passphrase")
      .option("-y, --yes", "stand for the typed confirmation of --force"),
    [],
    async (context, flags: object) => (await import("../commands/vault.ts")).runVaultInit(context, flags),
  );
  bind<{ name: string }>(
    vault
      .command("set")
      .description("store a secret, from a hidden prompt or standard input")
      .argument("<name>", "name of the secret, e.g. ZEPH_COMPATIBLE_GONKAGATE_API_KEY")
      .argument("[value]", "refused: the shell history would keep it")
      .option("--stdin", "read the value from standard input")
      .option("--force", "replace a value that is there"),
    ["name", "value"],
    async (context, flags) => (await import("../commands/vault.ts")).runVaultSet(context, flags),
  );
  bind<{ name: string }>(
    vault.command("get").description("print a secret, and nothing else").argument("<name>", "name of the secret"),
    ["name"],
    async (context, flags) => (await import("../commands/vault.ts")).runVaultGet(context, flags),
  );
  bind(
    vault.command("list").description("print the names of all secrets"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("../commands/vault.ts")).runVaultList(context, flags),
  );
  bind<{ name: string }>(
    vault.command("rm").description("remove a secret; a backup is kept").argument("<name>", "name of the secret"),
    ["name"],
    async (context, flags) => (await import("../commands/vault.ts")).runVaultRemove(context, flags),
  );
  bind<VaultBindFlags>(
    vault
      .command("bind")
      .description("say where a key may be sent, when that has changed")
      .argument("<name>", "name of the secret, or of a variable that holds the key")
      .argument("<origins...>", "the address it is for, e.g. https://api.example.com"),
    ["name", "origins"],
    async (context, flags) => (await import("../commands/vault-bind.ts")).runVaultBind(context, flags),
  );
  bind(
    vault.command("check").description("say what is wrong with the vault and how to mend it"),
    [],
    async (context, flags: Record<string, unknown>) =>
      (await import("../commands/vault.ts")).runVaultCheck(context, flags),
  );
  bind(
    vault
      .command("restore")
      .description("list earlier states of the vault and its key with their dates, or bring one back")
      .argument("[backup]", "number in the list, or name, of the state to bring back; what is there now is kept"),
    ["backup"],
    async (context, flags: object) => (await import("../commands/vault-restore.ts")).runVaultRestore(context, flags),
  );
  bind(
    vault
      .command("passphrase")
      .description("protect the key file with a passphrase, change it, or take it away; a backup is kept")
      .option("--stdin", "read the new passphrase from standard input")
      .option("--remove", "take the passphrase away"),
    [],
    async (context, flags: object) =>
      (await import("../commands/vault-passphrase.ts")).runVaultPassphrase(context, flags),
  );
  bind(
    vault
      .command("import")
      .description("take over keys from a .env file, or from known variables and the config")
      .argument("[file]", "a .env file; without it, known variables of the environment and keys in the config")
      .option("-y, --yes", "do not ask")
      .option("--force", "replace values that are there")
      .option("--move", "also take the keys out of the config; a copy of it is kept"),
    ["file"],
    async (context, flags: object) => (await import("../commands/vault-import.ts")).runVaultImport(context, flags),
  );
}
