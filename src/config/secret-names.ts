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
