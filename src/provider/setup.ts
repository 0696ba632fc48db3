import { mergeBrokers } from "../brokers/merge-brokers.ts";
import { BROKERS, brokerForBaseURL } from "../brokers/registry.ts";
import { bindKey, originOf } from "../config/key-origins.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { describeOrigin } from "../config/origin.ts";
import { recordsIn } from "../config/own-records.ts";
import type { CompatibleProvider, GonkaProvider } from "../config/provider.ts";
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
import { isLoopback, normalizeBaseURL } from "../protocol/endpoint.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { type AskPassphrase, existingVaultFiles, Vault, type VaultPaths, vaultPaths } from "../vault/index.ts";
import { isBrokerVariable, judgeKeyUse, placesOfKey, refuseKeyUse } from "./key-guard.ts";

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
  /** Asked before a stored key goes to an address that was never said to be its own. Absent: it does not go. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** Nothing is remembered, as for the doctor. Default false. */
  readonly readOnly?: boolean;
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
  /**
   * The key of a provider, if it may go to that provider's address: the only way to a key that is sent to anybody. Throws
   * `secret_missing`, `key_for_another_origin`, `key_origin_unknown`, `not_a_provider_key`.
   */
  apiKey(config: CompatibleProvider): Promise<ResolvedSecret>;
  /** The key that signs for a provider; it is sent to nobody. Throws `secret_missing`, `not_a_provider_key`. */
  privateKey(config: GonkaProvider): Promise<ResolvedSecret>;
  /** A secret one can do without, and that leaves this computer in no case. */
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
    async apiKey(config) {
      const where = { ...lookup(`provider "${config.name}"`), inline: config.inlineApiKey };
      const { canonical } = config.apiKeyNames;
      const places = where.inline === undefined ? await placesOfKey(world, canonical, "api-key") : "everywhere";
      const names = await withBrokerVariable(world, config, loaded);
      const resolved = await resolveSecret(
        names,
        places === "vault" ? { ...where, env: { ...env, [canonical]: undefined } } : where,
      );
      await guardKey(world, config, loaded, resolved);
      return known(resolved);
    },
    async privateKey(config) {
      await placesOfKey(world, config.privateKeyNames.canonical, "private-key");
      return known(await resolveSecret(config.privateKeyNames, lookup(`provider "${config.name}"`)));
    },
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

/** Under its own names, and in the variable of the broker whose address it is. */
async function withBrokerVariable(
  world: SetupWorld,
  { baseURL, apiKeyNames }: CompatibleProvider,
  { config }: LoadedConfig,
): Promise<SecretNames> {
  const keyEnv = brokerForBaseURL(baseURL, mergeBrokers(BROKERS, config.brokers))?.keyEnv;
  if (keyEnv === undefined || !(await isBrokerVariable(world, keyEnv))) return apiKeyNames;
  return { ...apiKeyNames, aliases: [...new Set([...apiKeyNames.aliases, keyEnv])] };
}

/** Throws unless the key may go to the provider's address. One that is known by its name only is bound from now on. */
async function guardKey(
  world: SetupWorld,
  { name: providerName, baseURL }: CompatibleProvider,
  loaded: LoadedConfig,
  { name, secret, source }: ResolvedSecret,
): Promise<void> {
  const origin = originOf(normalizeBaseURL(baseURL));
  const addressFrom = loaded.origins.get(`llm.providers.${providerName}.base_url`);
  const from = addressFrom === undefined ? "" : ` (${describeOrigin(addressFrom)})`;
  const refusal = { origin, wantedBy: `provider "${providerName}"${from}` };
  if (source === "config") {
    const origins = inlineOrigins(loaded, providerName);
    if (origins.includes(origin)) return;
    const key = { name: `the api_key of "${providerName}"` };
    const verdict = origins.length === 0 ? ({ kind: "unknown" } as const) : ({ kind: "elsewhere", origins } as const);
    throw refuseKeyUse(key, verdict, { ...refusal, mend: "Write base_url beside api_key, in the same file." });
  }
  const verdict = await judgeKeyUse(world, { name, secret, source }, { origin, providerName });
  const bind = async (origins: readonly string[]) => {
    if (world.readOnly !== true) await bindKey(world, { name, secret, origins });
  };
  if (verdict.kind === "allowed") {
    if (source !== "vault" || verdict.origins === undefined) return;
    // Where nothing can be written the same answer is found again next time.
    return bind(verdict.origins).catch(() => {});
  }
  if (verdict.kind === "unknown" && source === "vault" && world.confirm !== undefined) {
    const question = `${name} was stored without an address. Send it to ${origin} from now on, and nowhere else?`;
    if (await world.confirm(question)) return bind([origin]);
  }
  throw refuseKeyUse({ name }, verdict, refusal);
}

/** A key that stands in a file belongs to the address that stands beside it. */
function inlineOrigins({ origins, files }: LoadedConfig, providerName: string): readonly string[] {
  const keyFrom = origins.get(`llm.providers.${providerName}.api_key`);
  const file = files.found.find(({ path }) => keyFrom?.kind === "file" && path === keyFrom.path);
  if (file === undefined) return [];
  const { providers } = recordsIn(file.path, file.text);
  return providers.filter(({ name }) => name === providerName).map(({ baseURL }) => originOf(baseURL));
}
