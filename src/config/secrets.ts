import { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";

/** Where secrets are kept. */
type VaultBackend = "age" | "env";

export interface VaultBackendDecision {
  readonly backend: VaultBackend;
  /** What decided, as `flag --vault`, `env ZEPH_VAULT_BACKEND`, `[vault] backend`, `vault files` or `default`. */
  readonly origin: string;
  /** One line for the user, when the choice was made for lack of a better one. */
  readonly notice?: string;
}

/**
 * Decides the backend, once for every command: `--vault`, then `ZEPH_VAULT_BACKEND`, then `[vault] backend`, then age
 * when both vault files exist, then the environment with a notice. Throws `vault_backend_unknown`; a name that is not
 * known is never replaced by something else.
 */
export function decideVaultBackend(given: {
  readonly flag?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly configured?: string | undefined;
  readonly vaultFilesExist: boolean;
  /** One of the two files is there without the other. */
  readonly vaultIsHalf?: boolean;
}): VaultBackendDecision {
  const choices = [
    ["flag --vault", given.flag],
    ["env ZEPH_VAULT_BACKEND", given.env.ZEPH_VAULT_BACKEND],
    ["[vault] backend", given.configured],
  ] as const;
  for (const [origin, name] of choices) {
    if (name !== undefined && name.trim() !== "") return { backend: parseBackend(name, origin), origin };
  }
  if (given.vaultFilesExist) return { backend: "age", origin: "vault files" };
  if (given.vaultIsHalf === true) {
    const notice =
      "One of the two vault files is missing, so secrets are read from environment variables. `zeph vault check` says which.";
    return { backend: "env", origin: "default", notice };
  }
  return {
    backend: "env",
    origin: "default",
    notice: "There is no vault, so secrets are read from environment variables. `zeph init` makes a vault.",
  };
}

function parseBackend(name: string, origin: string): VaultBackend {
  const backend = name.trim().toLowerCase();
  if (backend === "age" || backend === "env") return backend;
  const detail = backend === "keyring" ? `keyring (${origin}) is not supported yet` : `"${name}" (${origin})`;
  throw new ZephError("vault_backend_unknown", { detail });
}

export interface ResolvedSecret {
  readonly secret: Secret;
  /** Under which name it was found. */
  readonly name: string;
  readonly source: "vault" | "env" | "config";
  /** One line for the user; names only, never values. */
  readonly notice?: string;
}

interface SecretLookup {
  readonly backend: VaultBackend;
  /** Reads the vault: `undefined` when it has no such name. Not called under the `env` backend. */
  readonly vaultGet: (name: string) => Promise<string | Secret | undefined>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A key written into the config itself. */
  readonly inline?: Secret | undefined;
  /** One of the two vault files is there without the other: the secret may well be in there. */
  readonly vaultIsHalf?: boolean;
  /** Whom the secret is for, in the error: `provider "gonkagate"`. */
  readonly purpose: string;
}

/**
 * The one policy for finding a secret (requirements B35).
 *
 * 1. A key inside the config record is used, with a notice: it is the most specific, and Zeph does the same.
 * 2. Under `age` the vault is asked. When it has no such name, or does not exist, a variable of that name or one of its
 *    aliases is taken with a notice. The requirements would read the environment under `env` only; issue 2 accepts the
 *    variables in any case, and somebody who has set one and has stored nothing can only mean it. A stored secret wins
 *    over a variable, which is then mentioned by name. A vault that exists and cannot be opened is an error, never a
 *    reason to look elsewhere.
 * 3. Under `env` (CI) only the environment is asked.
 *
 * Throws `secret_missing` with the name and the command that stores it.
 */
export async function resolveSecret(names: SecretNames, lookup: SecretLookup): Promise<ResolvedSecret> {
  const found = await findSecret(names, lookup);
  if (found === undefined) throw missing(names, lookup);
  return found;
}

/** As {@link resolveSecret}, for secrets one can do without: `undefined` when there is none. */
export async function findSecret(names: SecretNames, lookup: SecretLookup): Promise<ResolvedSecret | undefined> {
  if (lookup.inline !== undefined) {
    const notice = `The key of ${lookup.purpose} stands in the config file in plain text; move it into the vault with \`zeph vault import\`.`;
    return { secret: lookup.inline, name: names.canonical, source: "config", notice };
  }
  const variable = [...names.stored, ...names.aliases].find((name) => (lookup.env[name] ?? "").trim() !== "");
  if (lookup.backend === "age") {
    const stored = await findInVault(names, lookup);
    if (stored !== undefined) {
      if (variable === undefined) return stored;
      return { ...stored, notice: `The variable ${variable} is set but not used: the vault has ${stored.name}.` };
    }
  }
  if (variable === undefined) return undefined;
  const secret = new Secret((lookup.env[variable] ?? "").trim());
  const found = { secret, name: variable, source: "env" } as const;
  if (lookup.backend === "env") return found;
  return { ...found, notice: `The vault has no ${names.canonical}; the variable ${variable} is used.` };
}

async function findInVault(names: SecretNames, lookup: SecretLookup): Promise<ResolvedSecret | undefined> {
  for (const name of names.stored) {
    const value = await getUnlessNoVault(name, lookup);
    const secret = value === undefined ? undefined : Secret.from(value);
    if (secret !== undefined && secret.reveal() !== "") return { secret, name, source: "vault" };
  }
  return undefined;
}

async function getUnlessNoVault(name: string, lookup: SecretLookup): Promise<string | Secret | undefined> {
  try {
    return await lookup.vaultGet(name);
  } catch (error) {
    if (ZephError.is(error) && (error.code === "vault_not_found" || error.code === "vault_entry_not_found")) {
      return undefined;
    }
    throw error;
  }
}

function missing(names: SecretNames, { backend, purpose, vaultIsHalf }: SecretLookup): ZephError {
  const name = names.canonical;
  if (vaultIsHalf === true) {
    return new ZephError("secret_missing", {
      detail: `${name}, the secret of ${purpose}: one of the two vault files is missing, and it is not in the environment`,
      hint: "Run `zeph vault check`: it says which file to put back.",
    });
  }
  const places = backend === "age" ? "neither in the vault nor in the environment" : "not in the environment";
  const hint =
    backend === "age"
      ? `Store it with \`zeph vault set ${name}\`, or run \`zeph init\`.`
      : `Set the variable ${name}, or run \`zeph init\` to keep it in a vault.`;
  return new ZephError("secret_missing", { detail: `${name}, the secret of ${purpose}, is ${places}`, hint });
}

/** Names of the two native secrets. */
export const GONKA_PRIVATE_KEY = "ZEPH_GONKA_PRIVATE_KEY";
export const GONKA_ADDRESS = "ZEPH_GONKA_ADDRESS";

/**
 * The name of a broker record's secret: the record's name in upper case, every character outside A-Z and 0-9 as `_`.
 *
 * @example secretNameFor("gonka-broker") // "ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY"
 */
export function secretNameFor(providerName: string): string {
  return `ZEPH_COMPATIBLE_${providerName.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_API_KEY`;
}

/** The spelling older Zeph versions wrote, which only changed the case. Read, never written. */
export function olderSecretNameFor(providerName: string): string {
  return `ZEPH_COMPATIBLE_${providerName.toUpperCase()}_API_KEY`;
}

/** Variables other programs use for the same secrets. They are looked for in the environment only, never written. */
const ENVIRONMENT_ALIASES: Readonly<Record<string, readonly string[]>> = {
  [secretNameFor("gonkagate")]: ["GONKAGATE_API_KEY"],
  [GONKA_PRIVATE_KEY]: ["GONKA_PRIVATE_KEY"],
  [GONKA_ADDRESS]: ["GONKA_ADDRESS"],
};

/** Where one secret may be found, best name first. */
export interface SecretNames {
  /** The name to store under and to show. */
  readonly canonical: string;
  /** Names to look up in vault and environment, the canonical one first. */
  readonly stored: readonly string[];
  /** Names to look up in the environment only. */
  readonly aliases: readonly string[];
}

/** The names of a broker record's key. `configured` is its `api_key_env`, `brokerKeyEnv` the broker's own variable. */
export function apiKeyNames(
  providerName: string,
  options: { readonly configured?: string | undefined; readonly brokerKeyEnv?: string | undefined } = {},
): SecretNames {
  const rule = secretNameFor(providerName);
  const canonical = options.configured ?? rule;
  const older = olderSecretNameFor(providerName);
  const brokerAlias = options.brokerKeyEnv === undefined ? [] : [options.brokerKeyEnv];
  return {
    canonical,
    stored: unique(canonical === rule ? [canonical, older] : [canonical]),
    aliases: unique([...(ENVIRONMENT_ALIASES[canonical] ?? []), ...brokerAlias]),
  };
}

/** The names of one of the two native secrets; a record may name another private key with `api_key_env`. */
export function nativeSecretNames(canonical: string): SecretNames {
  return { canonical, stored: [canonical], aliases: ENVIRONMENT_ALIASES[canonical] ?? [] };
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}
