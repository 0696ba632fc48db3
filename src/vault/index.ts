/**
 * The age vault: `vault-key.txt` and `secrets.age`, readable by Zeph and by the `age` tool.
 *
 * @example
 * ```ts
 * import { homedir } from "node:os";
 * import { Secret, Vault, vaultPaths } from "zeph/vault";
 *
 * const paths = vaultPaths({ env: process.env, homeDir: homedir(), platform: process.platform });
 * const vault = await Vault.open({ paths });
 * await vault.set("ZEPH_SECRET_GITHUB", new Secret("…"));
 * const key = vault.get("ZEPH_COMPATIBLE_GONKAGATE_API_KEY")?.reveal();
 * ```
 *
 * @module
 */

export { Secret } from "../base/secret.ts";
export { ZephError } from "../errors.ts";
export {
  type CheckVaultOptions,
  checkVault,
  type ListVaultBackupsOptions,
  listVaultBackups,
  type RestoredVault,
  type RestoreVaultOptions,
  restoreVault,
  type VaultBackup,
  type VaultBackups,
  type VaultFinding,
  type VaultReport,
} from "./check.ts";
export {
  existingVaultFiles,
  listBackups,
  tidyVault,
  type VaultPaths,
  type VaultPathsOptions,
  vaultPaths,
} from "./files.ts";
export type { AskPassphrase } from "./key.ts";
export {
  Vault,
  type VaultChange,
  type VaultInitOptions,
  type VaultOpenOptions,
  type VaultProtectOptions,
  type VaultSetOptions,
} from "./vault.ts";
