import { type Broker, topUpPage } from "../../brokers/broker.ts";
import { mergeBrokers } from "../../brokers/merge-brokers.ts";
import { BROKERS, brokerForBaseURL } from "../../brokers/registry.ts";
import type { ProviderConfig } from "../../config/provider.ts";
import { redactUrl } from "../../internal/redact.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { setupOf } from "../setup.ts";
import { writeResult } from "../write-result.ts";
import { besidesTold, renderWarning } from "./config.ts";

export interface ProvidersFlags {
  /** `--brokers`: the brokers zeph knows, instead of the configured providers. */
  readonly brokers?: boolean;
}

/** `zeph providers`: what is configured; with `--brokers`: where a key is to be had. Nothing is sent anywhere. */
export const runProviders: RunCommand<ProvidersFlags> = async (context, { brokers: listBrokers = false }) => {
  const { loaded } = await setupOf(context);
  const { config, warnings } = loaded;
  const brokers = mergeBrokers(BROKERS, config.brokers);
  if (listBrokers) {
    const known = brokers.filter((broker) => broker.baseURL !== undefined);
    return writeResult(context, { data: { brokers: known.map(toBrokerJson) }, answer: renderBrokers(context, known) });
  }
  const providers = config.providers.map((provider) => toProviderJson(provider, brokers));
  const none = "No provider is configured yet. Run `zeph init`; `zeph providers --brokers` shows where to get a key.\n";
  return writeResult(context, {
    data: { default: providers.find((provider) => provider.default)?.name ?? null, providers },
    ...(providers.length === 0 ? {} : { answer: renderProviders(context, providers) }),
    notice:
      providers.length === 0
        ? none
        : besidesTold(warnings)
            .map((warning) => renderWarning(context, warning))
            .join(""),
  });
};

interface ProviderJson {
  readonly name: string;
  readonly type: string;
  readonly default: boolean;
  /** False for records of other programs. */
  readonly runnable: boolean;
  readonly model: string | null;
  /** Id of the broker, where the address is one's. */
  readonly broker: string | null;
  readonly endpoints: readonly string[];
  /** Name of the secret it needs; never its value. */
  readonly secret: string | null;
}

function toProviderJson(provider: ProviderConfig, brokers: readonly Broker[]): ProviderJson {
  const { name, isDefault } = provider;
  const common = { name, default: isDefault, runnable: provider.type !== "other" };
  switch (provider.type) {
    case "other":
      return { ...common, type: provider.declaredType, model: null, broker: null, endpoints: [], secret: null };
    case "compatible":
      return {
        ...common,
        type: provider.type,
        model: provider.model ?? null,
        broker: brokerForBaseURL(provider.baseURL, brokers)?.id ?? null,
        endpoints: [redactUrl(provider.baseURL)],
        secret: provider.apiKeyNames.canonical,
      };
    case "gonka":
      return {
        ...common,
        type: provider.type,
        model: provider.model ?? null,
        broker: null,
        endpoints: [...provider.nodes.map((node) => redactUrl(node.url)), ...sourceOf(provider.sourceUrl)],
        secret: provider.privateKeyNames.canonical,
      };
  }
}

function sourceOf(sourceUrl: string | undefined): readonly string[] {
  return sourceUrl === undefined ? [] : [redactUrl(sourceUrl)];
}

function renderProviders({ color }: CliContext, providers: readonly ProviderJson[]): string {
  const { bold, dim, green } = style(color);
  const rows = providers.map((provider) => [
    provider.default ? `${green("●")} ${bold(provider.name)}` : `  ${provider.name}`,
    provider.type,
    provider.runnable ? (provider.model ?? dim("no model yet")) : dim("not run by zeph"),
    endpointWords(provider.endpoints),
  ]);
  return renderTable([["  name", "type", "model", "endpoint"].map(dim), ...rows]);
}

function endpointWords(endpoints: readonly string[]): string {
  const [first, ...more] = endpoints;
  if (first === undefined) return "";
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}

function toBrokerJson(broker: Broker) {
  const { id, name, baseURL, keyPrefixes, dialects, signupUrl, money, quirks, inDirectory, checkedOn, source } = broker;
  return {
    id,
    name,
    baseURL,
    keyPrefixes: keyPrefixes ?? [],
    dialects,
    signupUrl: signupUrl ?? null,
    topUpUrl: topUpPage(broker) ?? null,
    money,
    quirks,
    inDirectory,
    checkedOn: checkedOn ?? null,
    source,
  };
}

function renderBrokers({ color }: CliContext, brokers: readonly Broker[]): string {
  const { bold, dim } = style(color);
  return brokers
    .map((broker) => {
      const key = broker.keyPrefixes === undefined ? "" : `, keys start with ${broker.keyPrefixes.join(" or ")}`;
      const checked = broker.checkedOn === undefined ? broker.source : `as published ${broker.checkedOn}`;
      const signup = broker.signupUrl === undefined ? [] : [`  get a key: ${broker.signupUrl}`];
      const lines = [
        `${bold(broker.id)}  ${broker.name} ${dim(`(${checked})`)}`,
        `  ${broker.baseURL}${key}`,
        ...signup,
        `  ${broker.money}`,
      ];
      return lines.map((line) => `${toTerminalLine(line)}\n`).join("");
    })
    .join("\n");
}
