import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { CompatibleRecord, GonkaRecord } from "./schema.ts";
import { apiKeyNames, GONKA_ADDRESS, GONKA_PRIVATE_KEY, nativeSecretNames, type SecretNames } from "./secret-names.ts";
import { trustCommand, type UntrustedFile } from "./untrusted-file.ts";

/** What a provider record says, whatever its kind. */
interface ProviderBase {
  /** Unique in a config; shown in messages, usage and logs. */
  readonly name: string;
  /** Used when no other is asked for. Exactly one provider has it, unless there is none at all. */
  readonly isDefault: boolean;
}

interface RunnableProvider extends ProviderBase {
  /** Exact id of the endpoint's list; absent until one was chosen. */
  readonly model: string | undefined;
  /** What `zeph serve` takes where a request for embeddings names no model. */
  readonly embeddingModel: string | undefined;
  /** Longest answer to ask for, tokens. Default 4096. */
  readonly maxTokens: number;
  /** Attempts in all, the first included (`max_retries` in the file). Default 3. */
  readonly maxAttempts: number;
  /** Per attempt, until the response headers. Default `[timeouts] llm_seconds`, which is 120 s. */
  readonly requestTimeoutMs: number;
  /** Parallel calls; `undefined` is no limit. */
  readonly maxConcurrent: number | undefined;
  readonly reasoningEffort: string | undefined;
  /** Used when the endpoint publishes no price. `undefined` is unknown, which is not 0. */
  readonly pricing: ConfiguredPricing | undefined;
  /** Tokens; overrides the model list. */
  readonly contextLength: number | undefined;
  /** A key would travel in clear, over http to another computer; the transport refuses to send it. */
  readonly hasInsecureUrl: boolean;
}

export interface ConfiguredPricing {
  readonly promptUsdPer1M: number | undefined;
  readonly completionUsdPer1M: number | undefined;
}

/** A broker, or any OpenAI-compatible endpoint with a Bearer key. */
export interface CompatibleProvider extends RunnableProvider {
  readonly type: "compatible";
  /** As written in the config. */
  readonly baseURL: string;
  readonly apiKeyNames: SecretNames;
  /** A key written into the config itself. */
  readonly inlineApiKey: Secret | undefined;
  /** Override of what the model list says. */
  readonly vision: boolean | undefined;
}

/** Requests signed with the user's own key. */
export interface GonkaProvider extends RunnableProvider {
  readonly type: "gonka";
  /** May be empty when there is a `sourceUrl`. */
  readonly nodes: readonly GonkaNode[];
  readonly sourceUrl: string | undefined;
  /** Address prefix of the network. Default `gonka`. */
  readonly chainPrefix: string;
  /** What a discovered list of nodes must agree with. Empty: it is taken as far as it agrees with itself. */
  readonly trust: {
    readonly chainId?: string;
    readonly headerHash?: string;
    readonly validatorsHash?: string;
    /** `gonka_verify_proof`: true is `required`, false is `none`; absent, a proof that is offered must hold. */
    readonly proof?: "required" | "none";
  };
  /** `signed`: signed requests, as networks before v0.2.14 take them. Default. `devshard`: paid from an escrow. */
  readonly access: "signed" | "devshard";
  /** Of each escrow, ngonka; the network's least where nothing is said. */
  readonly devshardAmount: bigint | undefined;
  /** Escrows that may be opened in 24 hours without asking. Absent: none. */
  readonly devshardAutoOpen: number | undefined;
  readonly privateKeyNames: SecretNames;
  readonly addressNames: SecretNames;
}

export interface GonkaNode {
  readonly url: string;
  readonly address: string;
  readonly name: string | undefined;
}

/** A record for another program. Kept, shown, not run. */
export interface OtherProvider extends ProviderBase {
  readonly type: "other";
  readonly declaredType: string;
}

export type ProviderConfig = CompatibleProvider | GonkaProvider | OtherProvider;

/** What a record does not say itself. */
export interface ProviderContext {
  readonly name: string;
  readonly isDefault: boolean;
  readonly requestTimeoutMs: number;
  readonly hasInsecureUrl: boolean;
}

export function toCompatibleProvider(
  record: CompatibleRecord,
  baseURL: string,
  context: ProviderContext,
): CompatibleProvider {
  return {
    type: "compatible",
    ...toRunnable(record, context),
    baseURL,
    apiKeyNames: apiKeyNames(context.name, { configured: record.api_key_env }),
    inlineApiKey: record.api_key === undefined ? undefined : new Secret(record.api_key),
    vision: record.vision,
  };
}

export function toGonkaProvider(record: GonkaRecord, context: ProviderContext): GonkaProvider {
  return {
    type: "gonka",
    ...toRunnable(record, context),
    nodes: (record.gonka_nodes ?? []).map(({ url, address, name }) => ({ url, address, name })),
    sourceUrl: record.gonka_source_url,
    chainPrefix: record.gonka_chain_prefix ?? "gonka",
    trust: {
      ...(record.gonka_verify_proof === undefined ? {} : { proof: record.gonka_verify_proof ? "required" : "none" }),
      ...(record.gonka_chain_id === undefined ? {} : { chainId: record.gonka_chain_id }),
      ...(record.gonka_trusted_header_hash === undefined ? {} : { headerHash: record.gonka_trusted_header_hash }),
      ...(record.gonka_trusted_validators_hash === undefined
        ? {}
        : { validatorsHash: record.gonka_trusted_validators_hash }),
    },
    access: record.access ?? "signed",
    devshardAmount: record.devshard_amount,
    devshardAutoOpen: record.devshard_auto_open,
    privateKeyNames: nativeSecretNames(record.api_key_env ?? GONKA_PRIVATE_KEY),
    addressNames: nativeSecretNames(GONKA_ADDRESS),
  };
}

function toRunnable(record: CompatibleRecord | GonkaRecord, context: ProviderContext): RunnableProvider {
  const { pricing } = record;
  return {
    name: context.name,
    isDefault: context.isDefault,
    model: record.model,
    embeddingModel: record.embedding_model,
    maxTokens: record.max_tokens ?? 4096,
    maxAttempts: record.max_retries ?? 3,
    requestTimeoutMs: record.request_timeout ?? context.requestTimeoutMs,
    maxConcurrent: record.max_concurrent,
    reasoningEffort: record.reasoning_effort,
    pricing: pricing && {
      promptUsdPer1M: pricing.prompt_usd_per_1m,
      completionUsdPer1M: pricing.completion_usd_per_1m,
    },
    contextLength: record.context_length,
    hasInsecureUrl: context.hasInsecureUrl,
  };
}

/** What {@link chooseProvider} needs of a configuration. */
export interface ProviderChoices {
  readonly providers: readonly ProviderConfig[];
  /** Asked for with `--provider`. */
  readonly selectedProvider: string | undefined;
  readonly untrusted?: UntrustedFile | undefined;
}

/**
 * The provider to use: the one of this name, else the one asked for with `--provider`, else the default one. Throws
 * `config_not_found` when there is none at all, `untrusted_project_file` when only such a file has it,
 * `provider_not_found`, or `provider_not_supported` for records that are for another program.
 */
export function chooseProvider(config: ProviderChoices, name?: string): CompatibleProvider | GonkaProvider {
  const { providers } = config;
  const wanted = name ?? config.selectedProvider;
  requireAgreement(config, wanted);
  if (providers.length === 0) throw new ZephError("config_not_found", { detail: "no provider is configured" });
  const chosen =
    wanted === undefined
      ? providers.find((provider) => provider.isDefault)
      : providers.find((provider) => provider.name === wanted);
  if (chosen === undefined) {
    const names = providers.map((provider) => provider.name).join(", ");
    throw new ZephError("provider_not_found", { detail: `"${wanted}"; there are: ${names}` });
  }
  if (chosen.type === "other") {
    throw new ZephError("provider_not_supported", { detail: `"${chosen.name}" is of type ${chosen.declaredType}` });
  }
  return chosen;
}

/** Only the folder's file has what is wanted, and nobody has agreed to that file. */
function requireAgreement({ providers, untrusted }: ProviderChoices, wanted: string | undefined): void {
  if (untrusted === undefined || untrusted.providerNames.length === 0) return;
  const isThere = wanted === undefined ? providers.length > 0 : providers.some(({ name }) => name === wanted);
  if (isThere || (wanted !== undefined && !untrusted.providerNames.includes(wanted))) return;
  throw new ZephError("untrusted_project_file", {
    detail: untrusted.path,
    hint: `Look at the file. If it is yours, run: ${trustCommand(untrusted.path)}`,
  });
}
