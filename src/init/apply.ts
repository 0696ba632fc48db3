import { unlink } from "node:fs/promises";
import { readTextFile } from "../base/files.ts";
import type { Secret } from "../base/secret.ts";
import { writeFileAtomic } from "../base/write.ts";
import { type ProviderRecord, upsertProvider } from "../config/edit.ts";
import { changeConfig } from "../config/files.ts";
import { describeOrigin } from "../config/layer.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ZephError } from "../errors.ts";
import { openProvider } from "../provider/open.ts";
import { loadSetup, type SetupWorld } from "../provider/setup.ts";
import { type Ask, configFlags, type Facts, type InitRequest, type InitWorld, type VaultOpener } from "./session.ts";
import type { TestReply } from "./steps.ts";

interface ApplyOptions {
  readonly world: InitWorld;
  readonly request: InitRequest;
  readonly facts: Facts;
  readonly opener: VaultOpener;
  /** The secrets that were accepted, by name: what the next process must find. */
  readonly secrets: ReadonlyMap<string, Secret>;
}

export interface AppliedInit extends InitPlan {
  /** The config as it was before, when there was one. */
  readonly backupPath: string | undefined;
  /** What else decides, so that the next run differs from what was answered; in sentences. */
  readonly overruled: readonly string[];
}

/**
 * Writes the config in one step and loads it again the way the next process will, secrets included. When that fails the
 * file is put back as it was and the cause is thrown. Throws `file_unwritable` too.
 */
export async function applyInit(answers: InitAnswers, options: ApplyOptions): Promise<AppliedInit> {
  const { world, facts } = options;
  const planFrom = (configText: string | undefined) =>
    planInit(answers, { ...facts, configText: facts.startsAfresh ? undefined : configText });
  // Read anew: the questions may have taken minutes, and somebody may have an editor open.
  const before = await readTextFile(facts.configPath);
  const plan = planFrom(before);
  const written =
    before === plan.configText
      ? undefined
      : await changeConfig(plan.configPath, (now) => planFrom(now).configText, world);
  try {
    const loaded = await verifySetup(plan.providerName, options);
    return { ...plan, backupPath: written?.backupPath, overruled: overruledAnswers(answers, plan, loaded) };
  } catch (error) {
    // The file itself, where the path is a link to it.
    if (written !== undefined) await putBack(written.path, written.previous, written.backupPath);
    throw error;
  }
}

async function putBack(path: string, before: string | undefined, backupPath: string | undefined): Promise<void> {
  if (before === undefined) await unlink(path);
  else await writeFileAtomic(path, before);
  if (backupPath !== undefined) await unlink(backupPath);
}

/** What the next plain `zeph` does before its first request. */
async function verifySetup(providerName: string, options: ApplyOptions): Promise<LoadedConfig> {
  const { world, request, facts, opener, secrets } = options;
  const flags = { ...world.paths, ...configFlags(world, request) };
  const setupWorld: SetupWorld = { ...world, flags, askPassphrase: () => opener.passphrase() };
  const setup = await loadSetup(setupWorld);
  // Nothing is stored under the env backend; the user was told which variable to set.
  if (facts.vault.backend === "env") return setup.loaded;
  try {
    await openProvider(setup, { name: providerName });
  } catch (error) {
    // A variable sends it elsewhere for now, where the key does not go; that is told as what decides here.
    const from = setup.loaded.origins.get(`llm.providers.${providerName}.base_url`);
    if (!ZephError.is(error) || error.code !== "key_for_another_origin" || from?.kind !== "env") throw error;
    return setup.loaded;
  }
  for (const [name, secret] of secrets) {
    const found = await setup.optionalSecret(
      { canonical: name, stored: [name], aliases: [] },
      `provider "${providerName}"`,
    );
    if (found?.secret.reveal() === secret.reveal()) continue;
    throw new ZephError("vault_unreadable", { detail: `${name} does not hold what was just stored` });
  }
  return setup.loaded;
}

/** A project file or a variable goes before the file that was written. */
function overruledAnswers(answers: InitAnswers, plan: InitPlan, { config, origins }: LoadedConfig): readonly string[] {
  const provider = config.providers.find(({ name }) => name === plan.providerName);
  const current = config.providers.find(({ isDefault }) => isDefault);
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ["model", answers.model, provider === undefined || provider.type === "other" ? undefined : provider.model],
    ...(answers.path === "gateway" && provider?.type === "compatible"
      ? [["base_url", answers.baseURL, provider.baseURL] as const]
      : []),
  ];
  const fields = facts
    .filter(([, answered, inForce]) => answered !== undefined && answered !== inForce)
    .map(([field, , inForce]) => {
      const origin = origins.get(`llm.providers.${plan.providerName}.${field}`);
      const from = origin === undefined ? "something else" : describeOrigin(origin);
      return `${field} of ${plan.providerName} is ${String(inForce)} here, because of ${from}.`;
    });
  if (!plan.isDefault || current === undefined || current.name === plan.providerName) return fields;
  return [...fields, `${current.name} is the default here, because of another config file.`];
}

/** All that the questions were about. */
type InitAnswers = GatewayAnswers | NativeAnswers;

interface CommonAnswers {
  /** Name of the provider record. */
  readonly name: string;
  /** `undefined` only where nothing can be asked of the network: the record then serves address and balance. */
  readonly model: string | undefined;
  /** What the user said about the default; `undefined`: the first record becomes it. */
  readonly makeDefault: boolean | undefined;
  /** Answers of `--full`. */
  readonly more?: MoreSettings;
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
  readonly access?: "devshard" | undefined;
  /** URLs end in `/v1`: Zeph appends `/chat/completions` to them as they stand. */
  readonly nodes: readonly { readonly url: string; readonly address: string; readonly name: string }[];
}

/** What will be written. Making it changes nothing. */
interface InitPlan {
  readonly configPath: string;
  readonly configText: string;
  readonly providerName: string;
  readonly isDefault: boolean;
}

/** Stands at the top of a file that init begins. */
const NEW_FILE = "# Written by `zeph init`. Secrets are in the vault; api_key_env is the name of one, not its value.\n";

/**
 * The config file with the new record added, or the record of the same name changed. Everything else in it stays.
 * Throws `config_invalid` when the file cannot be edited without harm.
 */
export function planInit(answers: InitAnswers, facts: Pick<Facts, "config" | "configPath" | "configText">): InitPlan {
  const others = facts.config?.providers.filter((provider) => provider.name !== answers.name) ?? [];
  const existing = facts.config?.providers.find((provider) => provider.name === answers.name);
  const isDefault = answers.makeDefault ?? (existing === undefined ? others.length === 0 : existing.isDefault);
  const record = toRecord(answers, toDefaultField(isDefault, answers.makeDefault));
  return {
    configPath: facts.configPath,
    configText: upsertProvider(facts.configText ?? NEW_FILE, record),
    providerName: answers.name,
    isDefault,
  };
}

/** A record that is not the default says nothing about it, unless it has to stop being it. */
function toDefaultField(isDefault: boolean, asked: boolean | undefined): boolean | undefined {
  if (isDefault) return true;
  return asked === false ? false : undefined;
}

function toRecord(answers: InitAnswers, isDefault: boolean | undefined): ProviderRecord {
  const { name, model } = answers;
  // No model is left out rather than written empty; one that is in the file already stays.
  const chosen = model === undefined ? {} : { model };
  if (answers.path === "gateway") {
    const { baseURL, secretName } = answers;
    return {
      type: "compatible",
      name,
      base_url: baseURL,
      ...chosen,
      api_key_env: secretName,
      default: isDefault,
      ...toFields(answers.more),
    };
  }
  const { chainPrefix, sourceUrl, nodes, access } = answers;
  return {
    type: "gonka",
    name,
    ...chosen,
    gonka_chain_prefix: chainPrefix,
    gonka_source_url: sourceUrl,
    ...(access === undefined ? {} : { access }),
    default: isDefault,
    ...toFields(answers.more),
    gonka_nodes: nodes.length === 0 ? undefined : nodes,
  };
}

function toFields({ maxTokens, requestTimeoutSeconds, maxAttempts, maxConcurrent }: MoreSettings = {}) {
  return {
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(requestTimeoutSeconds === undefined ? {} : { request_timeout: `${requestTimeoutSeconds}s` }),
    ...(maxAttempts === undefined ? {} : { max_retries: maxAttempts }),
    ...(maxConcurrent === undefined ? {} : { max_concurrent: maxConcurrent }),
  };
}

/** Settings that have a default nobody needs to know. Absent: the default. */
export interface MoreSettings {
  readonly maxTokens?: number;
  readonly requestTimeoutSeconds?: number;
  readonly maxAttempts?: number;
  readonly maxConcurrent?: number;
}

/** The questions of `--full`. Plain Enter keeps the default, which is then not written into the file. */
export async function askMoreSettings(ask: Ask): Promise<MoreSettings> {
  const maxTokens = await askNumber(ask, "Longest answer, in tokens", 4096);
  const requestTimeoutSeconds = await askNumber(ask, "Longest wait for the first byte, in seconds", 120);
  const maxAttempts = await askNumber(ask, "Attempts per request", 3);
  const maxConcurrent = await askNumber(ask, "Requests at once (0: no limit)", 0);
  return {
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(requestTimeoutSeconds === undefined ? {} : { requestTimeoutSeconds }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
  };
}

async function askNumber(ask: Ask, message: string, usual: number): Promise<number | undefined> {
  const text = await ask.text({
    message,
    initial: String(usual),
    check: (value) => {
      const isNumber = /^\d{1,7}$/.test(value) && (Number(value) > 0 || usual === 0);
      return isNumber ? undefined : "This must be a whole number.";
    },
  });
  return Number(text) === usual ? undefined : Number(text);
}

/** How a branch of the conversation ended. */
export type BranchOutcome =
  | ReadyOutcome
  /** The user turned to the other branch, perhaps with a key that fits there. */
  | { readonly kind: "gateway" | "native"; readonly pasted?: Secret };

export interface ReadyOutcome {
  readonly kind: "ready";
  readonly answers: InitAnswers;
  /** The accepted secrets by name; stored already, unless the backend keeps none. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** Absent when no test message was wanted, or it failed and the user went on. */
  readonly reply?: TestReply;
  /** Address of the native account. */
  readonly address?: string;
}
