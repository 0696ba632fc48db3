import { posix, win32 } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";

/** The two files of a vault. They may lie in different folders. */
export interface VaultPaths {
  /** The age identity, `vault-key.txt`. */
  readonly keyFile: string;
  /** The encrypted secrets, `secrets.age`. */
  readonly vaultFile: string;
}

export interface VaultPathsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** Values of `--vault-key` and `--vault-path`, where given. */
  readonly flags?: { readonly vaultKey?: string; readonly vaultFile?: string };
}

/**
 * Where the vault is. The one function that every command asks, so that none can overlook an override.
 * Flags > `ZEPH_VAULT_KEY` / `ZEPH_VAULT_PATH` > `vault-key.txt` and `secrets.age` in the default folder, which is
 * `$XDG_CONFIG_HOME/zeph`, else `%APPDATA%/zeph`, else `~/.config/zeph`: the folder Zeph uses (bug-ops/zeph
 * crates/zeph-vault/src/age.rs). Throws `usage` for a flag that is given and empty, and for one path
 * in both roles.
 *
 * @example
 * ```ts
 * vaultPaths({ env: {}, homeDir: "/home/me", platform: "linux" }).vaultFile; // "/home/me/.config/zeph/secrets.age"
 * ```
 */
export function vaultPaths(options: VaultPathsOptions): VaultPaths {
  const { env, flags = {} } = options;
  const { join } = options.platform === "win32" ? win32 : posix;
  const paths = {
    keyFile:
      given(flags.vaultKey, "--vault-key") ?? set(env.ZEPH_VAULT_KEY) ?? join(defaultFolder(options), "vault-key.txt"),
    vaultFile:
      given(flags.vaultFile, "--vault-path") ?? set(env.ZEPH_VAULT_PATH) ?? join(defaultFolder(options), "secrets.age"),
  };
  if (paths.keyFile === paths.vaultFile) {
    throw new ZephError("usage", { detail: `${paths.keyFile} is named as key file and as vault file` });
  }
  return paths;
}

function defaultFolder({ env, homeDir, platform }: VaultPathsOptions): string {
  const { isAbsolute, join } = platform === "win32" ? win32 : posix;
  // The XDG specification tells to ignore relative paths: they would be another vault in every working folder.
  const parent = [env.XDG_CONFIG_HOME, env.APPDATA].find((folder) => folder !== undefined && isAbsolute(folder));
  return join(parent ?? join(homeDir, ".config"), "zeph");
}

/** An empty flag comes from an unset shell variable; falling back would touch another vault than the user meant. */
function given(value: string | undefined, flag: string): string | undefined {
  if (value === "") throw new ZephError("usage", { detail: `${flag} is empty`, hint: `Give ${flag} a path.` });
  return value;
}

function set(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
