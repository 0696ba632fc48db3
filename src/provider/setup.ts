import { type ReadTextFile, readTextFile } from "../base/files.ts";
import { Secret } from "../base/secret.ts";
import { type Clock, once } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import type { Broker } from "../brokers/records.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers } from "../brokers/registry.ts";
import type { PathContext } from "../config/files.ts";
import { describeOrigin } from "../config/layer.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import type { CompatibleProvider, GonkaProvider } from "../config/providers.ts";
import {
  decideVaultBackend,
  findSecret,
  olderSecretNameFor,
  type ResolvedSecret,
  resolveSecret,
  type SecretNames,
  secretNameFor,
  type VaultBackendDecision,
} from "../config/secrets.ts";
import { bindKey, type OwnRecords, originOf, ownRecords, readKeyOrigins, recordsIn } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import { existingVaultFiles, type VaultPaths, vaultPaths } from "../vault/files.ts";
import type { AskPassphrase } from "../vault/key.ts";
import { Vault } from "../vault/vault.ts";
import { isAddress, isLoopback, normalizeBaseURL } from "../wire/endpoint.ts";

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
 *
 * @param read what was read for this command already, for one who asks again with other flags
 */
export async function loadSetup(given: SetupWorld, read: AlreadyRead = nothingRead(given)): Promise<Setup> {
  const world: SetupWorld & PathContext = { ...given, readFile: read.file };
  const { env, flags = {} } = world;
  const checks = { isAddress: (text: string, prefix: string) => isAddress(text, { prefix }), isLoopback };
  const loaded = await loadConfig({ ...world, flags, readFile: read.file, checks });
  const paths = vaultPaths(world);
  const vaultFileCount = (await existingVaultFiles(paths)).length;
  const vaultIsHalf = vaultFileCount === 1;
  const backend = decideVaultBackend({
    flag: flags.vaultBackend,
    env,
    configured: loaded.config.vaultBackend,
    vaultFilesExist: vaultFileCount === 2,
    vaultIsHalf,
  });
  const { vault } = read;
  const resolved: Secret[] = [];
  const known = (found: ResolvedSecret): ResolvedSecret => {
    resolved.push(found.secret);
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
      if (places === "vault") where.env = { ...env, [canonical]: undefined };
      const found = await resolveSecret(await withBrokerVariable(world, config, loaded), where);
      await guardKey(world, config, loaded, found);
      return known(found);
    },
    async privateKey(config) {
      await placesOfKey(world, config.privateKeyNames.canonical, "private-key");
      return known(await resolveSecret(config.privateKeyNames, lookup(`provider "${config.name}"`)));
    },
    optionalSecret: (names, purpose) => findSecret(names, lookup(purpose)),
    knownSecrets: async () => [...resolved, ...(await vault.all()), ...secretsIn(env)],
  };
}

/** Texts of config files, and the opened vault: neither is read twice by one command. */
export interface AlreadyRead {
  readonly file: ReadTextFile;
  readonly vault: ReturnType<typeof vaultReader>;
}

export function nothingRead(world: SetupWorld): AlreadyRead {
  return { file: readingOnce(), vault: vaultReader(vaultPaths(world), world) };
}

/** Reads each file at most once; what could not be read is tried again. */
export function readingOnce(): ReadTextFile {
  const texts = new Map<string, () => Promise<string | undefined>>();
  return (path) => {
    const read = texts.get(path) ?? once(() => readTextFile(path));
    texts.set(path, read);
    return read();
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
    vault = await Vault.open({ paths, clock, passphrase: askPassphrase });
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
  // Records of other files than the user's own may name any variable there is.
  const isOwn = async () => (await ownRecords(world)).brokers.some((broker) => broker.keyEnv === keyEnv);
  if (keyEnv === undefined || (brokerVariable(keyEnv) === undefined && !(await isOwn()))) return apiKeyNames;
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
  // Put into words only where something is refused: finding the line takes as long as half a start.
  const refusal = {
    origin,
    get wantedBy() {
      const from = addressFrom === undefined ? "" : ` (${describeOrigin(addressFrom)})`;
      return `provider "${providerName}"${from}`;
    },
  };
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

/** A key that was found, and the name it was found under. */
interface FoundKey {
  readonly name: string;
  readonly secret: Secret;
  readonly source: "vault" | "env";
}

/** May a key go to an origin? */
type KeyVerdict =
  /** `origins` where its place is known by its name, and it is not bound yet. */
  | { readonly kind: "allowed"; readonly origins?: readonly string[] | undefined }
  | { readonly kind: "elsewhere"; readonly origins: readonly string[] }
  /** Nobody ever said where it belongs. */
  | { readonly kind: "unknown" };

/**
 * The one rule for where a key goes (decision 0014). What it was bound to when it was stored; else, by its name, the
 * broker whose own variable it is, the user's own config file, the broker of that name. No other file, variable, flag or
 * `[[brokers]]` record has a say.
 *
 * @param providerName of the record that wants it; a variable of just its name that nothing is known of is the user's word
 */
export async function judgeKeyUse(
  context: PathContext,
  key: FoundKey,
  { origin, providerName }: { readonly origin: string; readonly providerName: string },
): Promise<KeyVerdict> {
  const bound = (await readKeyOrigins(context)).of(key.name, key.secret);
  if (bound !== undefined) return bound.includes(origin) ? { kind: "allowed" } : { kind: "elsewhere", origins: bound };
  const known = originsByName(await ownRecords(context), key.name);
  if (known !== undefined) {
    return known.includes(origin) ? { kind: "allowed", origins: known } : { kind: "elsewhere", origins: known };
  }
  const isPlainVariable = key.source === "env" && namesOf(providerName).includes(key.name);
  return { kind: isPlainVariable ? "allowed" : "unknown" };
}

/** Binds a key that is about to be stored, where its place is known; tells where. Throws `file_unwritable`. */
export async function bindNewKey(
  context: PathContext,
  name: string,
  secret: Secret,
): Promise<readonly string[] | undefined> {
  // By what the user's own file and the registry say, else by what was said of the last one.
  const origins = originsByName(await ownRecords(context), name) ?? (await readKeyOrigins(context)).named(name);
  if (origins !== undefined) await bindKey(context, { name, secret, origins });
  return origins;
}

/**
 * Where a secret that a config names may be looked for, whichever file it is: never in a variable of other programs, and in
 * the vault under a name of the user's own only when the user's own file says so. Throws `not_a_provider_key`.
 */
async function placesOfKey(
  context: PathContext,
  name: string,
  kind: "api-key" | "private-key",
): Promise<"everywhere" | "vault"> {
  const isUsual = kind === "api-key" ? API_KEY_NAME.test(name) : PRIVATE_KEY_NAME.test(name);
  if (isUsual) return "everywhere";
  if (kind === "api-key") {
    const { brokers, providers } = await ownRecords(context);
    if (brokerVariable(name) !== undefined || brokers.some(({ keyEnv }) => keyEnv === name)) return "everywhere";
    if ((await readKeyOrigins(context)).named(name) !== undefined) return "everywhere";
    if (!name.startsWith("ZEPH_") && providers.some(({ secretName }) => secretName === name)) return "vault";
  }
  throw new ZephError("not_a_provider_key", {
    detail: name,
    hint:
      kind === "api-key"
        ? `Store the key under its usual name with \`zeph init\`, or say where ${name} belongs: zeph vault bind ${name} ORIGIN`
        : "Store the key as ZEPH_GONKA_PRIVATE_KEY, or under another name that begins with ZEPH_ and ends in PRIVATE_KEY.",
  });
}

/** What is wrong with sending it there, and what to type. `mend` where it is something else than to bind it. */
export function refuseKeyUse(
  key: Pick<FoundKey, "name">,
  verdict: Exclude<KeyVerdict, { kind: "allowed" }>,
  { origin, wantedBy, mend }: { readonly origin: string; readonly wantedBy: string; readonly mend?: string },
): ZephError {
  const bind = `zeph vault bind ${key.name} ${origin}`;
  if (verdict.kind === "unknown") {
    return new ZephError("key_origin_unknown", {
      detail: `${wantedBy} would send ${key.name} to ${origin}`,
      hint: mend ?? `If that is right, run: ${bind}`,
    });
  }
  return new ZephError("key_for_another_origin", {
    detail: `${key.name} is for ${verdict.origins.join(" and ")}; ${wantedBy} would send it to ${origin}`,
    hint: mend ?? `If the key has moved there, run: ${bind}. Otherwise set the address back.`,
  });
}

/** Origins of all addresses of a broker. */
function originsOfBroker({ baseURL, otherBaseURLs = [] }: Broker): readonly string[] {
  const urls = [...(baseURL === undefined ? [] : [baseURL]), ...otherBaseURLs];
  return [...new Set(urls.map(originOf))];
}

/** Not the secrets of Zeph's tools, nor those of this program that are for other uses. */
const API_KEY_NAME = /^ZEPH_(?!SECRET_|VAULT_|LOCAL_GATEWAY_|SANDBOX_|GONKA_ADDRESS$)(?!.*PRIVATE_KEY)/;
const PRIVATE_KEY_NAME = /^(?:ZEPH_(?!SECRET_|VAULT_).*|GONKA_)PRIVATE_KEY$/;

function originsByName({ providers, brokers }: OwnRecords, name: string): readonly string[] | undefined {
  const variable = brokerVariable(name);
  if (variable !== undefined) return originsOfBroker(variable);
  const own = [
    ...providers.filter((record) => record.secretName === name || olderSecretNameFor(record.name) === name),
    ...brokers.filter(({ keyEnv }) => keyEnv === name),
  ];
  if (own.length > 0) return [...new Set(own.map(({ baseURL }) => originOf(baseURL)))];
  const broker = BROKERS.find(({ id }) => namesOf(id).includes(name));
  const origins = broker === undefined ? [] : originsOfBroker(broker);
  return origins.length === 0 ? undefined : origins;
}

/** The broker whose own tools keep their key in this variable. Only the registry says so: it is other programs' key. */
function brokerVariable(name: string): Broker | undefined {
  return BROKERS.find(({ keyEnv }) => keyEnv === name);
}

function namesOf(providerName: string): readonly string[] {
  return [secretNameFor(providerName), olderSecretNameFor(providerName)];
}
