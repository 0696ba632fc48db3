import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { readTextFile } from "../config/read-text-file.ts";
import {
  decideVaultBackend,
  findSecret,
  type ResolvedSecret,
  resolveSecret,
  type VaultBackendDecision,
} from "../config/resolve-secret.ts";
import type { SecretNames } from "../config/secret-names.ts";
import type { Clock } from "../internal/clock.ts";
import { once } from "../internal/once.ts";
import { Secret } from "../internal/secret.ts";
import { isAddress } from "../protocol/address.ts";
import { isLoopback } from "../protocol/endpoint.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { type AskPassphrase, existingVaultFiles, Vault, type VaultPaths, vaultPaths } from "../vault/index.ts";

/** What of the outside world a user's set-up is read from. */
export interface SetupWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly cwd: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly fetch: FetchFunction;
  /** Asked once, when the vault's key file has a passphrase. */
  readonly askPassphrase?: AskPassphrase;
  readonly flags?: {
    readonly config?: string | undefined;
    readonly provider?: string | undefined;
    readonly model?: string | undefined;
    readonly vaultKey?: string | undefined;
    readonly vaultFile?: string | undefined;
    readonly vaultBackend?: string | undefined;
  };
}

/** A user's configuration together with the place of their secrets. */
export interface Setup {
  readonly world: SetupWorld;
  readonly loaded: LoadedConfig;
  readonly vaultPaths: VaultPaths;
  readonly vaultBackend: VaultBackendDecision;
  /** Throws `secret_missing` naming the secret and the command that stores it. */
  secret(names: SecretNames, purpose: string, inline?: Secret): Promise<ResolvedSecret>;
  /** As `secret`, for those one can do without. */
  optionalSecret(names: SecretNames, purpose: string): Promise<ResolvedSecret | undefined>;
  /**
   * What must not stand in a prompt: secrets that were resolved, everything in the vault if it was opened, and keys in
   * the environment. Addresses are public.
   */
  knownSecrets(): Promise<readonly Secret[]>;
}

/**
 * Reads config and vault location of this user, by the rules every command shares. Throws `config_invalid`,
 * `config_not_found`, `vault_backend_unknown`. The vault itself is opened on first use.
 */
export async function loadSetup(world: SetupWorld): Promise<Setup> {
  const { env, homeDir, platform, cwd, flags = {} } = world;
  const loaded = await loadConfig({
    env,
    homeDir,
    platform,
    cwd,
    flags: { config: flags.config, provider: flags.provider, model: flags.model, vaultBackend: flags.vaultBackend },
    readFile: readTextFile,
    checks: { isAddress: (text, prefix) => isAddress(text, { prefix }), isLoopback },
  });
  const paths = vaultPaths({ env, homeDir, platform, flags: vaultFlags(flags) });
  const vaultFileCount = (await existingVaultFiles(paths)).length;
  const vaultIsHalf = vaultFileCount === 1;
  const backend = decideVaultBackend({
    flag: flags.vaultBackend,
    env,
    configured: loaded.config.vaultBackend,
    vaultFilesExist: vaultFileCount === 2,
    vaultIsHalf,
  });
  const vault = vaultReader(paths, world);
  const resolved: Secret[] = [];
  const known = <Found extends { readonly secret: Secret } | undefined>(found: Found): Found => {
    if (found !== undefined) resolved.push(found.secret);
    return found;
  };
  const lookup = (purpose: string) => ({
    backend: backend.backend,
    vaultGet: vault.get,
    env,
    purpose,
    vaultIsHalf: vaultIsHalf && backend.origin === "default",
  });
  return {
    world,
    loaded,
    vaultPaths: paths,
    vaultBackend: backend,
    secret: async (names, purpose, inline) => known(await resolveSecret(names, { ...lookup(purpose), inline })),
    optionalSecret: (names, purpose) => findSecret(names, lookup(purpose)),
    knownSecrets: async () => [...resolved, ...(await vault.all()), ...secretsIn(env)],
  };
}

function vaultFlags({ vaultKey, vaultFile }: NonNullable<SetupWorld["flags"]>) {
  return {
    ...(vaultKey === undefined ? {} : { vaultKey }),
    ...(vaultFile === undefined ? {} : { vaultFile }),
  };
}

/** Variables that hold keys, ours and those of brokers' own tools. `ZEPH_VAULT_KEY` is a path. */
const SECRET_VARIABLE = /^(?:ZEPH|GONKA)\w*_(?:API_KEY|PRIVATE_KEY|TOKEN)$|^ZEPH_SECRET_/;

function secretsIn(env: SetupWorld["env"]): readonly Secret[] {
  return Object.entries(env).flatMap(([name, value]) =>
    SECRET_VARIABLE.test(name) && value !== undefined ? [new Secret(value)] : [],
  );
}

/** Opens the vault at most once, and only when a secret is looked for in it. */
function vaultReader(paths: VaultPaths, { clock, askPassphrase }: SetupWorld) {
  let vault: Vault | undefined;
  const open = once(async () => {
    vault = await Vault.open({ paths, clock, ...(askPassphrase === undefined ? {} : { passphrase: askPassphrase }) });
    return vault;
  });
  return {
    get: async (name: string) => (await open()).get(name),
    async all(): Promise<readonly Secret[]> {
      const names = vault?.names().filter((name) => !name.endsWith("_ADDRESS")) ?? [];
      return names.flatMap((name) => vault?.get(name) ?? []);
    },
  };
}
