import { Secret } from "../base/secret.ts";
import { once } from "../base/time.ts";
import type { CliContext } from "../base/world.ts";
import type { Broker } from "../brokers/records.ts";
import { BROKERS, containsKey, looksLikeToken, mergeBrokers } from "../brokers/registry.ts";
import { findConfigFiles } from "../config/files.ts";
import { type LoadedConfig, loadConfig } from "../config/load.ts";
import { decideVaultBackend, type SecretNames, type VaultBackendDecision } from "../config/secrets.ts";
import { ZephError } from "../errors.ts";
import { readingOnce } from "../provider/setup.ts";
import { existingVaultFiles, type VaultPaths } from "../vault/files.ts";
import type { AskPassphrase } from "../vault/key.ts";
import { Vault } from "../vault/vault.ts";

/** What all steps of one set-up share. */
export interface InitSession {
  readonly world: InitWorld;
  readonly request: InitRequest;
  readonly facts: Facts;
  readonly secrets: SecretStore;
  readonly tell: Tell;
  /** Absent when nobody can be asked. */
  readonly ask: Ask | undefined;
}

/** The asker, or `missing_input` with the flag that would have answered. */
export function askOr(session: Pick<InitSession, "ask">, flag: string): Ask {
  if (session.ask !== undefined) return session.ask;
  throw new ZephError("missing_input", { detail: flag });
}

/** What the command line already answers. Everything that is absent is asked, found out, or has a default. */
export interface InitRequest {
  readonly path?: "gateway" | "native" | undefined;
  /** Id of a broker, `gonkagate` and so on, or `custom`. */
  readonly broker?: string | undefined;
  /** Address of the endpoint, in the place of the broker's own. */
  readonly baseURL?: string | undefined;
  /** Id from the live list, or `auto`: the last good one, else the first of the list. */
  readonly model?: string | undefined;
  /** Name of the provider record; default the broker's id, or `gonka`. */
  readonly name?: string | undefined;
  /** Where the key comes from when it is not asked for. */
  readonly key?: { readonly from: "stdin" } | { readonly from: "env"; readonly variable: string } | undefined;
  /** Send one real message before anything is written. */
  readonly test: boolean;
  /** Whether the record becomes the default one; absent: when it is the first. */
  readonly makeDefault?: boolean | undefined;
  /** Config file to write, in the place of the user's own. */
  readonly output?: string | undefined;
  /** Stands for the typed confirmation before a private key or an unreadable config is replaced. */
  readonly force: boolean;
  /** Ask for the settings that have a good default, too. */
  readonly full: boolean;
  readonly native: NativeRequest;
}

interface NativeRequest {
  /** A node or mirror of the network, from which the others are discovered. */
  readonly sourceUrl?: string | undefined;
  /** `URL` or `URL,ADDRESS`, in the place of discovery. */
  readonly nodes: readonly string[];
  /** Name of a key in the `inferenced` keyring. */
  readonly keyName?: string | undefined;
  readonly keyringBackend?: string | undefined;
  readonly keyringHome?: string | undefined;
  /** Address prefix; default what the network's nodes have. */
  readonly prefix?: string | undefined;
  /** The address the key must have. */
  readonly expectAddress?: string | undefined;
}

/** What set-up needs of the outside world. A command's context has all of it but the last three. */
export type InitWorld = Omit<CliContext, "stdout" | "json" | "verbose" | "color"> & {
  readonly vaultPaths: VaultPaths;
  /** Asked when the vault that is there has a passphrase. */
  readonly askPassphrase: AskPassphrase;
  /** The secret piped in for `--key-stdin`. */
  readonly readStdinSecret: () => Promise<Secret>;
};

export interface Choice<Value> {
  readonly value: Value;
  readonly label: string;
  readonly hint?: string | undefined;
}

/** What is wrong with an input, in words; `undefined` when nothing is. Asked again in place until then. */
type Check<Value> = (value: Value) => string | undefined;

/** Questions to the person at the terminal. Every one throws `cancelled` for Ctrl-C. */
export interface Ask {
  select<Value>(question: {
    readonly message: string;
    readonly choices: readonly Choice<Value>[];
    /** The choice that plain Enter takes; default the first. */
    readonly initial?: Value | undefined;
  }): Promise<Value>;
  /** Input that is not shown. `check` must not repeat the value. */
  hidden(question: { readonly message: string; readonly check?: Check<Secret> | undefined }): Promise<Secret>;
  text(question: {
    readonly message: string;
    readonly initial?: string | undefined;
    readonly placeholder?: string | undefined;
    readonly check?: Check<string> | undefined;
  }): Promise<string>;
  /** `initial` is what plain Enter means; default no. */
  confirm(question: { readonly message: string; readonly initial?: boolean }): Promise<boolean>;
}

/** Progress and findings, for whoever watches. */
export interface Tell {
  info(text: string): void;
  done(text: string): void;
  warn(text: string): void;
  fail(text: string): void;
  /** Does the work, and shows what is waited for and how long once it takes a moment. */
  work<T>(label: string, task: () => Promise<T>): Promise<T>;
}

/** More than the longest report of a doctor. */
const MAX_CHARS = 20_000;

/** Plain lines on standard error, for runs without questions. */
export function plainTell({ stderr }: Pick<InitWorld, "stderr">): Tell {
  const line = (sign: string) => (text: string) => {
    stderr.write(`${sign} ${printable(text, MAX_CHARS).replaceAll("\n", "\n  ")}\n`);
  };
  return { info: line("·"), done: line("✓"), warn: line("!"), fail: line("✗"), work: (_label, task) => task() };
}

/** Says nothing: for `--json`, where the result has it all. Warnings still matter to people who read logs. */
export function quietTell(world: Pick<InitWorld, "stderr">): Tell {
  const { warn, fail, work } = plainTell(world);
  return { info: () => {}, done: () => {}, warn, fail, work };
}

/** What a parser has against an input, in words; `undefined` when nothing is wrong with it. */
export function faultOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    if (ZephError.is(error)) return error.message;
    throw error;
  }
}

/** What a node or a file has to say; `undefined` where it cannot be had, which is no fault. */
export async function ifTold<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/** All that the questions were about. */
export type InitAnswers = GatewayAnswers | NativeAnswers;

interface CommonAnswers {
  /** Name of the provider record. */
  readonly name: string;
  /** `undefined` only where nothing can be asked of the network: the record then serves address and balance. */
  readonly model: string | undefined;
  /** What the user said about the default; `undefined`: the first record becomes it. */
  readonly makeDefault: boolean | undefined;
}

export interface GatewayAnswers extends CommonAnswers {
  readonly path: "gateway";
  /** Normalised. */
  readonly baseURL: string;
  /** Name of the key's entry in the vault. */
  readonly secretName: string;
}

export interface NativeAnswers extends CommonAnswers {
  readonly path: "native";
  readonly chainPrefix: string;
  readonly sourceUrl: string | undefined;
  /** `devshard`: chats are paid from escrows. Absent: signed requests. */
  readonly access: "devshard" | undefined;
  /** URLs end in `/v1`: Zeph appends `/chat/completions` to them as they stand. */
  readonly nodes: readonly { readonly url: string; readonly address: string; readonly name: string }[];
}

/** How a branch of the conversation ended. */
export type BranchOutcome =
  | ReadyOutcome
  /** The user turned to the other branch, perhaps with a key that fits there. */
  | { readonly kind: "gateway" | "native"; readonly pasted?: Secret | undefined };

export interface ReadyOutcome {
  readonly kind: "ready";
  readonly answers: InitAnswers;
  /** The accepted secrets by name; stored already, unless the backend keeps none. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Absent when no test message was wanted, or it failed and the user went on. */
  readonly reply?: TestReply | undefined;
  /** Address of the native account. */
  readonly address?: string | undefined;
}

/** The user's first reply. */
export interface TestReply {
  /** May be empty: a thinking model can use up all tokens before it says anything. */
  readonly text: string;
  readonly finishReason: string | undefined;
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly costUsd: number | undefined;
  readonly elapsedMs: number;
}

/** What is there before set-up begins. Nothing was changed to find it out. */
export interface Facts {
  /** The file that will be written. It need not exist. */
  readonly configPath: string;
  /** Whether the next plain `zeph` reads that file without being told. */
  readonly isUsualPath: boolean;
  /** Text of that file, when it exists. */
  readonly configText: string | undefined;
  /** The configuration in force; `undefined` when it has faults. */
  readonly config: LoadedConfig["config"] | undefined;
  readonly configFault: ZephError | undefined;
  /** A project file that has no say in this. */
  readonly untrusted: LoadedConfig["untrusted"];
  /** The file is begun anew, because the one that is there cannot be read and the user agreed. */
  readonly startsAfresh: boolean;
  /** The registry with the user's own records. */
  readonly brokers: readonly Broker[];
  readonly vault: VaultBackendDecision & { readonly files: readonly string[] };
}

/** Looks at config, vault and environment. Throws `vault_backend_unknown`, and what hinders reading the files. */
export async function gatherFacts(world: InitWorld, request: InitRequest): Promise<Facts> {
  // What is set up is what the files say: a variable must not decide where a key is tried out.
  const env = { ...world.env, ZEPH_LLM_BASE_URL: undefined, ZEPH_LLM_PROVIDER: undefined };
  const flags = { config: request.output ?? world.paths.config };
  const readFile = readingOnce();
  const where = { ...world, env, flags, readFile };
  const files = await findConfigFiles(where);
  let loaded: LoadedConfig | undefined;
  let configFault: ZephError | undefined;
  try {
    loaded = await loadConfig({ ...where, explicitFile: "optional" });
  } catch (error) {
    if (!ZephError.is(error) || error.code !== "config_invalid") throw error;
    configFault = error;
  }
  const config = loaded?.config;
  const vaultFiles = await existingVaultFiles(world.vaultPaths);
  const decision = decideVaultBackend({
    flag: world.paths.vaultBackend,
    env: world.env,
    configured: config?.vaultBackend,
    vaultFilesExist: vaultFiles.length === 2,
  });
  return {
    configPath: files.writePath,
    isUsualPath: request.output === undefined && world.paths.config === undefined,
    configText: await readFile(files.writePath),
    config,
    configFault,
    untrusted: loaded?.untrusted,
    startsAfresh: false,
    brokers: mergeBrokers(BROKERS, config?.brokers ?? []),
    // Set-up makes the vault, so that "there is none" is no reason to do without.
    vault: { ...(decision.origin === "default" ? { backend: "age", origin: "default" } : decision), files: vaultFiles },
  };
}

/** A secret that is there already. */
export interface FoundSecret {
  readonly secret: Secret;
  /** Under which name. */
  readonly name: string;
  readonly source: "vault" | "environment";
}

/** What storing has changed. */
interface KeptSecrets {
  readonly stored: readonly string[];
  /** Those of them that had another value. */
  readonly replaced: readonly string[];
  /** The vault as it was before, encrypted. */
  readonly backupPath?: string | undefined;
}

/** Where set-up keeps secrets: in the vault, or nowhere under the `env` backend. */
type SecretStore = ReturnType<typeof secretStore>;

export function secretStore(world: InitWorld, { vault: facts }: Pick<Facts, "vault">, opener: VaultOpener) {
  /** Names stored so far by this run, and those of them whose other value gave way. */
  const kept: string[] = [];
  const replaced: string[] = [];
  const usesVault = facts.backend === "age";
  // With one file of the two missing, opening says which; making a new vault beside it would lose the other.
  let opened = facts.files.length > 0 ? once(() => opener.open()) : undefined;

  /** What the vault has under exactly this name. */
  async function stored(name: string): Promise<Secret | undefined> {
    return usesVault ? (await opened?.())?.get(name) : undefined;
  }
  return {
    backend: facts.backend,
    kept: kept as readonly string[],
    replaced: replaced as readonly string[],
    stored,
    /** What is stored or set under these names, the vault's first. */
    async find(names: SecretNames): Promise<readonly FoundSecret[]> {
      const found: FoundSecret[] = [];
      for (const name of names.stored) {
        const secret = await stored(name);
        if (secret !== undefined) found.push({ secret, name, source: "vault" });
      }
      for (const name of [...names.stored, ...names.aliases]) {
        const value = (world.env[name] ?? "").trim();
        if (value !== "") found.push({ secret: new Secret(value), name, source: "environment" });
      }
      return found;
    },
    /** Stores at once and reads back, keeping a backup. Makes the vault when there is none. Under `env` it does nothing. */
    async keep(entries: ReadonlyMap<string, Secret>): Promise<KeptSecrets> {
      if (!usesVault) return { stored: [], replaced: [] };
      opened ??= once(() => Vault.init({ paths: world.vaultPaths, clock: world.clock }));
      const vault = await opened();
      const changed = [...entries].filter(([name, value]) => vault.get(name)?.reveal() !== value.reveal());
      if (changed.length === 0) return { stored: [], replaced: [] };
      const names = changed.map(([name]) => name);
      const gone = names.filter((name) => vault.get(name) !== undefined && !kept.includes(name));
      const { backupPath } = await vault.setAll(new Map(changed), { replace: true });
      kept.push(...names.filter((name) => !kept.includes(name)));
      replaced.push(...gone);
      return { stored: names, replaced: gone, backupPath };
    },
  };
}

/** Opens the vault more than once and asks for its passphrase only until it was right. */
interface VaultOpener {
  open(): Promise<Vault>;
  /** The passphrase that opened it, for those who open it themselves. */
  passphrase(): Promise<Secret | undefined>;
}

const TRIES = 3;

export function vaultOpener(
  world: Pick<InitWorld, "vaultPaths" | "askPassphrase" | "clock" | "interactive">,
): VaultOpener {
  let proven: Secret | undefined;
  return {
    async open() {
      for (let attempt = 1; ; attempt += 1) {
        let given: Secret | undefined;
        const passphrase = async () => {
          given = proven ?? (await world.askPassphrase());
          return given;
        };
        try {
          const vault = await Vault.open({ paths: world.vaultPaths, clock: world.clock, passphrase });
          proven = given;
          return vault;
        } catch (error) {
          const mayTryAgain = ZephError.is(error) && error.code === "vault_wrong_passphrase" && world.interactive;
          if (!mayTryAgain || attempt === TRIES) throw error;
        }
      }
    },
    passphrase: async () => proven ?? world.askPassphrase(),
  };
}

/** A path for people: `~/.config/zeph/config.toml`. Windows has no such short form. */
export function shortPath(path: string, { homeDir, platform }: Pick<InitWorld, "homeDir" | "platform">): string {
  return platform !== "win32" && path.startsWith(`${homeDir}/`) ? `~${path.slice(homeDir.length)}` : path;
}

/** Words from outside made fit for one place on the screen: control signs could move the cursor or hide text. */
export function printable(text: string, maxChars = 1_000): string {
  const clean = text
    .replace(/\r\n?/g, "\n")
    .replace(/[^\P{Cc}\n]|\p{Cf}|[\u2028\u2029]/gu, " ")
    .trim();
  return clean.length > maxChars ? `${clean.slice(0, maxChars - 1)}…` : clean;
}

/** The same for one line: the name of a model, a choice. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", " ");
}

/** Said in the place of a key that was pasted where a name or an address belongs. Never repeats it. */
export const KEY_HERE =
  "This looks like a key, and it is not kept. Keys have a question of their own, which shows nothing.";

/** The same questions, where a key is no answer to any that is shown. */
export function refusingKeys(ask: Ask, brokers: readonly Broker[]): Ask {
  return {
    ...ask,
    text({ check, initial, ...question }) {
      return ask.text({
        ...question,
        initial: initial === undefined || containsKey(initial, brokers) ? undefined : initial,
        check: (value) => (containsKey(value, brokers) ? KEY_HERE : check?.(value)),
      });
    },
  };
}

/**
 * Throws `secret_on_command_line` when something that names a thing (an address, a record, a model) is a key: what is
 * given is shown, stored in the config or asked for as a host.
 */
export function refuseKeysIn(request: InitRequest, brokers: readonly Broker[]): void {
  const { path, broker, baseURL, model, name, native } = request;
  const { sourceUrl, nodes, keyName, keyringBackend, keyringHome, prefix, expectAddress } = native;
  const given: readonly (readonly [string, string | undefined])[] = [
    ["--path", path],
    ["--broker", broker],
    ["--base-url", baseURL],
    ["--model", model],
    ["--name", name],
    ["--source-url", sourceUrl],
    ...nodes.map((node) => ["--node", node] as const),
    ["--key-name", keyName],
    ["--keyring-backend", keyringBackend],
    ["--keyring-home", keyringHome],
    ["--prefix", prefix],
    ["--expect-address", expectAddress],
  ];
  const isToken = (flag: string, text: string) =>
    ["--broker", "--base-url", "--name"].includes(flag) && looksLikeToken(text);
  for (const [flag, text] of given) {
    if (text === undefined || !(containsKey(text, brokers) || isToken(flag, text))) continue;
    throw new ZephError("secret_on_command_line", { detail: `what is given to ${flag} looks like a key` });
  }
}
