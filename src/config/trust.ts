import { createHash } from "node:crypto";
import { posix, win32 } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { readTextFile, writeFileAtomic } from "../base/files.ts";
import { changingFile } from "../base/lock.ts";
import type { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { type ConfigFile, configPaths, type PathContext, zephFolders } from "./files.ts";
import { describeFault, isSecretField, isTable, type Layer, type Table, tablesAt } from "./layer.ts";
import { checkLayer, effectiveName, PROVIDERS, RECORD_SCHEMAS, recordKind, sectionsSchema } from "./schema.ts";
import { secretNameFor } from "./secrets.ts";
import { isFault, readFileLayer } from "./toml.ts";

/** All that a file nobody agreed to may say: the model, and the sizes of answers. */
const HARMLESS_FIELDS: ReadonlySet<string> = new Set(["model", "embedding_model", "max_tokens"]);

/** They only say which record is meant. */
const NAMING_FIELDS: ReadonlySet<string> = new Set(["name", "type"]);

/** A project file that was not agreed to, and what of it is not used. */
export interface UntrustedFile {
  readonly path: string;
  /** The user was asked, and said no. */
  readonly isRefused: boolean;
  readonly ignored: readonly IgnoredField[];
  /** Names of the providers that it would add. */
  readonly providerNames: readonly string[];
  /** Why it cannot even be read, as "is a named pipe, not a file": there is nothing to agree to. */
  readonly fault?: string | undefined;
}

interface IgnoredField {
  /** As `base_url of provider "gonkagate"` or `[local_gateway] host`. Without signs that a terminal obeys. */
  readonly place: string;
  /** What it says, shortened; keys are masked. */
  readonly value: string;
}

/**
 * What is left of a project file that comes with whatever was checked out: model and answer sizes of providers that the
 * user's own file has. It can add no provider, choose none, move no address and name no secret. `layer` is absent when
 * nothing is left, `untrusted` when nothing was taken away.
 */
export function restrictLayer(
  file: ConfigFile,
  layer: Layer,
  user: Layer | undefined,
): { readonly layer?: Layer; readonly untrusted?: UntrustedFile } {
  const own = user === undefined ? [] : tablesAt(user, PROVIDERS).map(({ values }) => values);
  const ignored = ignoredSections(layer.values, user?.values ?? {});
  const providerNames: string[] = [];
  const kept: Table[] = [];
  const indices: number[] = [];
  for (const [index, { values }] of tablesAt(layer, PROVIDERS).entries()) {
    const name = effectiveName(values);
    const record = own.find((each) => effectiveName(each) === name && each.type === (values.type ?? each.type));
    const provider = `provider ${JSON.stringify(clean(name ?? ""))}`;
    if (name === undefined || record === undefined) {
      if (name !== undefined) providerNames.push(name);
      ignored.push({ place: `the whole ${provider}`, value: shown("base_url", values.base_url ?? values.type) });
      continue;
    }
    const fields = Object.entries(values).filter(([field, value]) => !isDeepStrictEqual(value, record[field]));
    const known = new Set([...Object.keys(RECORD_SCHEMAS[recordKind(record.type)].fields), "base_url"]);
    for (const [field, value] of fields) {
      if (HARMLESS_FIELDS.has(field) || NAMING_FIELDS.has(field) || !known.has(field)) continue;
      ignored.push({ place: `${field} of ${provider}`, value: shown(field, value) });
    }
    kept.push({
      ...Object.fromEntries(fields.filter(([field]) => HARMLESS_FIELDS.has(field))),
      ...(record.type === undefined ? {} : { type: record.type }),
      name,
    });
    indices.push(index);
  }
  const rest: Layer = {
    values: { llm: { providers: kept } },
    originOf([, , index, ...path]) {
      return layer.originOf([...PROVIDERS, indices[Number(index)] ?? 0, ...path]);
    },
  };
  const [fault] = kept.length === 0 ? [] : checkLayer(rest);
  if (fault !== undefined) return { untrusted: unusable(file, describeFault(fault)) };
  return {
    ...(kept.length === 0 ? {} : { layer: rest }),
    ...(ignored.length === 0 ? {} : { untrusted: { ...about(file), ignored, providerNames } }),
  };
}

/** A file that nobody agreed to must not keep a command from working, either. */
export function unusable(file: ConfigFile, reason: string): UntrustedFile {
  return { ...about(file), ignored: [{ place: "all of it", value: clean(reason) }], providerNames: [] };
}

/** One sentence for the user, with the command that agrees. */
export function describeUntrusted({ path, ignored, fault }: UntrustedFile): string {
  if (fault !== undefined) {
    return `${clean(path)} is not trusted, and nothing of it is used: it ${clean(fault)}. If it is yours, mend it, then run: ${trustCommand(path)}`;
  }
  const places = ignored.map(({ place }) => place);
  const listed = places.length > 6 ? [...places.slice(0, 5), `${places.length - 5} more`] : places;
  return `${clean(path)} is not trusted: of a file that comes with a folder, only models and answer sizes are used. Left out: ${listed.join(", ")}. If it is yours, run: ${trustCommand(path)}`;
}

/** In its own folder the command finds the file by itself, which spares odd names a lesson in quoting. */
export function trustCommand(path: string): string {
  return /^[\w./\\:@+-]+$/.test(path) ? `zeph config trust ${path}` : "zeph config trust";
}

function about({ path, trust, fault }: ConfigFile) {
  return { path, isRefused: trust === "refused", fault };
}

/** Of the sections zeph reads; what is for other programs is nobody's business. */
function ignoredSections(values: Table, own: Table): IgnoredField[] {
  return Object.keys(sectionsSchema.fields).flatMap((section) => {
    const [table, ownTable] = [values[section], own[section]];
    if (Array.isArray(table)) {
      return table.map((entry: unknown) => ({
        place: `[[${section}]] ${clean(String(isTable(entry) ? (entry.id ?? "") : ""))}`.trim(),
        value: shown("base_url", isTable(entry) ? entry.base_url : entry),
      }));
    }
    if (!isTable(table)) return table === undefined ? [] : [{ place: section, value: shown("", table) }];
    const known = section === "llm" ? LLM_FIELDS : undefined;
    return Object.entries(table)
      .filter(([field]) => known?.has(field) ?? true)
      .filter(([field, value]) => !isTable(ownTable) || !isDeepStrictEqual(value, ownTable[field]))
      .map(([field, value]) => ({ place: `[${section}] ${clean(field)}`, value: shown(field, value) }));
  });
}

const LLM_FIELDS: ReadonlySet<string> = new Set(["fallback"]);

function shown(field: string, value: unknown): string {
  if (isSecretField(field)) return "[redacted]";
  const text = typeof value === "string" ? value : JSON.stringify(value, (_key, each) => toPlain(each));
  return clean((text ?? "").replace(/[?#].*$/, ""));
}

function toPlain(value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** The file's author chose these words: they must not paint the terminal, nor hide what stands beside them. */
function clean(text: string): string {
  const plain = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}

/** A provider as one file alone has it, without what other files and variables make of it. */
interface OwnRecord {
  readonly name: string;
  /** Name of the secret it uses. */
  readonly secretName: string;
  readonly baseURL: string;
}

/** A broker of `[[brokers]]` in the user's own file. */
interface OwnBroker {
  readonly keyEnv: string;
  readonly baseURL: string;
}

export interface OwnRecords {
  readonly providers: readonly OwnRecord[];
  readonly brokers: readonly OwnBroker[];
}

const NOTHING: OwnRecords = { providers: [], brokers: [] };

/**
 * What the user's own file says about addresses: the one in the config folder, whatever file `--config`, `ZEPH_CONFIG`
 * or the working folder bring, and whatever variables say. A file that cannot be read says nothing.
 */
export async function ownRecords(context: PathContext): Promise<OwnRecords> {
  const { readFile = readTextFile } = context;
  const { user } = configPaths({ ...context, cwd: context.homeDir });
  for (const path of user) {
    const text = await readFile(path).catch(() => undefined);
    if (text !== undefined) return recordsIn(path, text);
  }
  return NOTHING;
}

/** The addresses that one file gives. */
export function recordsIn(path: string, text: string): OwnRecords {
  const layer = readFileLayer(path, text);
  if (isFault(layer)) return NOTHING;
  return {
    providers: tablesAt(layer, PROVIDERS).flatMap(({ values }) => {
      const { type, base_url: baseURL, api_key_env: configured } = values;
      const name = effectiveName(values);
      if (type !== "compatible" || name === undefined || typeof baseURL !== "string" || !URL.canParse(baseURL))
        return [];
      return [{ name, baseURL, secretName: typeof configured === "string" ? configured : secretNameFor(name) }];
    }),
    brokers: tablesAt(layer, ["brokers"]).flatMap(({ values: { key_env: keyEnv, base_url: baseURL } }) =>
      typeof keyEnv === "string" && typeof baseURL === "string" && URL.canParse(baseURL) ? [{ keyEnv, baseURL }] : [],
    ),
  };
}

/** Where one key may be sent. */
interface Binding {
  readonly name: string;
  /** Of name and value: a key that was put in its place by another program is not bound by it. */
  readonly fingerprint: string;
  /** As `https://api.example.com` or `http://127.0.0.1:8080`. */
  readonly origins: readonly string[];
}

/**
 * Which keys were stored for which origins. It lies beside the vault and not inside: the vault stays what Zeph and the
 * `age` tool know, and a variable can be bound too. No key stands in it.
 */
interface KeyOrigins {
  /** Where this very key may go; `undefined` when that was never said. */
  of(name: string, secret: Secret): readonly string[] | undefined;
  /** Where keys of this name were last sent; `undefined` when none was bound. */
  named(name: string): readonly string[] | undefined;
}

/** Reads the bindings: `key-origins.json` in the config folder. A damaged file binds nothing. */
export async function readKeyOrigins(context: PathContext): Promise<KeyOrigins> {
  const bindings = await readBindings(context);
  return {
    of: (name, secret) => bindings.find((each) => isFor(each, name, secret))?.origins,
    named: (name) => bindings.findLast((each) => each.name === name)?.origins,
  };
}

/** Says where a key may be sent from now on, in the place of what was said of it before. Throws `file_unwritable`. */
export async function bindKey(
  context: PathContext,
  { name, secret, origins }: { readonly name: string; readonly secret: Secret; readonly origins: readonly string[] },
): Promise<void> {
  await changeBindings(context, (before) => {
    const others = before.filter((each) => !isFor(each, name, secret));
    // Earlier keys of the name may come back with a backup of the vault; a few are enough.
    const earlier = others.filter((each) => each.name === name).slice(0, -4);
    const kept = others.filter((each) => !earlier.includes(each));
    return [...kept, { name, fingerprint: fingerprintOf(name, secret), origins }];
  });
}

/** Forgets all keys of a name, for one that was removed. Throws `file_unwritable`. */
export async function unbindKey(context: PathContext, name: string): Promise<void> {
  if ((await readBindings(context)).every((each) => each.name !== name)) return;
  await changeBindings(context, (before) => before.filter((each) => each.name !== name));
}

/**
 * The origin of an address: scheme, host and port. Throws `wrong_url` for what has none.
 *
 * @example originOf("https://api.example.com/v1") // "https://api.example.com"
 */
export function originOf(url: string): string {
  const text = url.trim();
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const { protocol, origin } = URL.canParse(absolute) ? new URL(absolute) : { protocol: "", origin: "" };
  if (protocol === "https:" || protocol === "http:") return origin;
  throw new ZephError("wrong_url", {
    detail: "an origin is written like https://host.example or http://127.0.0.1:8080",
  });
}

function isFor(binding: Binding, name: string, secret: Secret): boolean {
  return binding.name === name && binding.fingerprint === fingerprintOf(name, secret);
}

function fingerprintOf(name: string, secret: Secret): string {
  return createHash("sha256").update(`${name}\0${secret.reveal().trim()}`).digest("hex").slice(0, 32);
}

/** Where they lie. */
export function keyOriginsPath(context: PathContext): string {
  const { join } = context.platform === "win32" ? win32 : posix;
  return join(zephFolders(context).config, "key-origins.json");
}

async function readBindings(context: PathContext): Promise<readonly Binding[]> {
  try {
    const value: unknown = JSON.parse((await readTextFile(keyOriginsPath(context))) ?? "{}");
    const keys: readonly unknown[] = isTable(value) && Array.isArray(value.keys) ? value.keys : [];
    return keys.flatMap((entry) => {
      if (!isTable(entry) || !Array.isArray(entry.origins)) return [];
      const { name, fingerprint } = entry;
      const origins = entry.origins.filter((origin): origin is string => typeof origin === "string");
      return typeof name === "string" && typeof fingerprint === "string" ? [{ name, fingerprint, origins }] : [];
    });
  } catch {
    // Said above: what is not known to be bound is judged anew, and never sent on a guess.
    return [];
  }
}

async function changeBindings(
  context: PathContext,
  change: (before: readonly Binding[]) => readonly Binding[],
): Promise<void> {
  await changingFile(keyOriginsPath(context), async (lock) => {
    const keys = change(await readBindings(context));
    await lock.assertHeld();
    await writeFileAtomic(keyOriginsPath(context), `${JSON.stringify({ version: 1, keys }, undefined, 2)}\n`);
  });
}
