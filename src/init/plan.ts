import { type ProviderRecord, upsertProvider } from "../config/edit.ts";
import type { Facts } from "./facts.ts";
import type { MoreSettings } from "./more-settings.ts";

/** All that the questions were about. */
export type InitAnswers = GatewayAnswers | NativeAnswers;

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
export interface InitPlan {
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
