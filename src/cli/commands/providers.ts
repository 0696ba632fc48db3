import { redactUrl } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { type Broker, topUpPage } from "../../brokers/records.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers } from "../../brokers/registry.ts";
import type { ProviderConfig } from "../../config/providers.ts";
import { refreshModels } from "../../provider/models.ts";
import { openProvider } from "../../provider/open.ts";
import type { Model } from "../../wire/models.ts";
import type { Run } from "../command-table.ts";
import { setupOf } from "../setup.ts";
import { displayWidth, priceColumns, renderTable, style, toTerminalLine, writeResult } from "../terminal.ts";
import { listTemplates, templatesFolder } from "./ask.ts";
import { besidesTold, renderWarning } from "./config.ts";

/** `zeph providers`: what is configured; with `--brokers`: where a key is to be had. Nothing is sent anywhere. */
export const runProviders: Run<"providers"> = async (context, { brokers: listBrokers = false }) => {
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

/** `zeph models`: what the provider offers now, never from a list in the program. */
export const runModels: Run<"models"> = async (context, { provider }) => {
  const setup = await setupOf(context, { provider });
  const opened = await openProvider(setup, { name: provider });
  const models = await refreshModels(opened, setup.world, context.signal);
  const data = { provider: opened.config.name, configured: opened.config.model ?? null, models };
  if (models.length === 0)
    return writeResult(context, { data, notice: `${opened.config.name} lists no models now.\n` });
  return writeResult(context, { data, answer: renderModels(context, models, opened.config.model) });
};

function renderModels({ color, stdout }: CliContext, models: readonly Model[], configured: string | undefined): string {
  const { bold, dim, green } = style(color);
  const nameOf = (id: string) => toTerminalLine(id === configured ? `${green("●")} ${bold(id)}` : `  ${id}`);
  const prices = priceColumns(models);
  const rows = models.map((model) => {
    const context = model.contextLengthTokens === undefined ? dim("?") : shortCount(model.contextLengthTokens);
    return [context, ...prices.cells(model), kindOf(model)];
  });
  const head = ["  model", "context", ...prices.heads, "kind"].map(dim);
  const table = renderTable([head, ...rows.map((row, index) => [nameOf(models[index]?.id ?? ""), ...row])]);
  if (displayWidth(table) <= (stdout.columns ?? Number.POSITIVE_INFINITY)) return table;
  return models
    .map((model, index) => {
      const facts = `${rows[index]?.[0]} context · ${prices.words(model)} · ${kindOf(model)}`;
      return `${nameOf(model.id)}\n    ${facts}\n`;
    })
    .join("");
}

/** What one can do with it, as far as the list tells. */
function kindOf({ kind, tools }: Model): string {
  if (kind === "embedding" || tools === undefined) return kind;
  return tools ? "chat, tools" : "chat, no tools";
}

function shortCount(tokens: number): string {
  return tokens >= 1000 ? `${Math.round(tokens / 1000)}K` : String(tokens);
}

const MOST_SHOWN_CHARS = 60;

/** `zeph templates`: the names that `zeph ask -t` takes. */
export const runTemplates: Run<"templates"> = async (context) => {
  const folder = templatesFolder(context);
  const templates = await listTemplates(context);
  const data = { folder, templates };
  if (templates.length === 0) {
    const notice = `There are no templates yet. Write one into ${folder}, as summary.md, and use it with: zeph ask -t summary\n`;
    return writeResult(context, { data, notice });
  }
  const { dim } = style(context.color);
  const rows = templates.map(({ name, begins }) => {
    const line = toTerminalLine(begins);
    return [name, dim(line.length > MOST_SHOWN_CHARS ? `${line.slice(0, MOST_SHOWN_CHARS - 1)}…` : line)];
  });
  return writeResult(context, { data, answer: renderTable(rows), notice: `In ${folder}\n` });
};
