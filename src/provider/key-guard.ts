import type { Broker } from "../brokers/broker.ts";
import { BROKERS } from "../brokers/registry.ts";
import { bindKey, originOf, readKeyOrigins } from "../config/key-origins.ts";
import { type OwnRecords, ownRecords } from "../config/own-records.ts";
import type { PathContext } from "../config/paths.ts";
import { olderSecretNameFor, secretNameFor } from "../config/secret-names.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";

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

/**
 * Where a key that is stored now under this name belongs, by what the user's own file and the registry say, else by what
 * was said of the last one; `undefined` for names that are no provider's.
 */
async function originsForNewKey(context: PathContext, name: string): Promise<readonly string[] | undefined> {
  return originsByName(await ownRecords(context), name) ?? (await readKeyOrigins(context)).named(name);
}

/** Binds a key that is about to be stored, where its place is known; tells where. Throws `file_unwritable`. */
export async function bindNewKey(
  context: PathContext,
  name: string,
  secret: Secret,
): Promise<readonly string[] | undefined> {
  const origins = await originsForNewKey(context, name);
  if (origins !== undefined) await bindKey(context, { name, secret, origins });
  return origins;
}

/**
 * Where a secret that a config names may be looked for, whichever file it is: never in a variable of other programs, and in
 * the vault under a name of the user's own only when the user's own file says so. Throws `not_a_provider_key`.
 */
export async function placesOfKey(
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

/** May a broker's variable be looked at? Records of other files than the user's own may name any variable there is. */
export async function isBrokerVariable(context: PathContext, name: string): Promise<boolean> {
  if (brokerVariable(name) !== undefined) return true;
  return (await ownRecords(context)).brokers.some(({ keyEnv }) => keyEnv === name);
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
