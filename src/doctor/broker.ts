import { jsonFault, parseForeignJson, readBoundedText, SMALL_ANSWER_LIMITS } from "../base/json.ts";
import { redactUrl, type Secret } from "../base/secret.ts";
import type { FetchFunction } from "../base/world.ts";
import { type Broker, topUpPage } from "../brokers/records.ts";
import { BROKERS, brokerForBaseURL, mergeBrokers, type RecognizedKey, recognizeKey } from "../brokers/registry.ts";
import type { CompatibleProvider } from "../config/providers.ts";
import { CATALOGUE, ZephError } from "../errors.ts";
import { rememberedModels } from "../provider/models.ts";
import { type OpenedProvider, openProvider } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import { errorBehind } from "../transport/exchange.ts";
import { bearerFor } from "../transport/send.ts";
import { normalizeBaseURL } from "../wire/endpoint.ts";
import { type Model, parseModels } from "../wire/models.ts";
import { readBrokerRefusal, readNetworkFailure } from "../wire/refusals.ts";
import {
  type Check,
  type CheckResult,
  changeField,
  type DoctorFacts,
  failed,
  judgeModel,
  noteServerTime,
  passed,
  secretSource,
  singleAttempt,
  smokeCheck,
  warned,
} from "./check.ts";

/** Everything that can be asked of one broker. All but `smoke` is free. */
export function brokerChecks(
  setup: Setup,
  config: CompatibleProvider,
  options: { readonly isSmokeWanted: boolean },
): readonly Check[] {
  const once = singleAttempt(setup);
  const names = brokerCheckNames(config.name);
  let brokers: readonly Broker[];
  try {
    brokers = mergeBrokers(BROKERS, setup.loaded.config.brokers);
  } catch (error) {
    return [{ name: names.key, provider: config.name, run: async () => failed(error) }];
  }
  const sighting: BrokerSighting = { setup: once, config, broker: brokerForBaseURL(config.baseURL, brokers) };
  const smoke = smokeCheck(once, config, { dependsOn: [names.list, names.model], after: [names.credit] });
  return [
    keyCheck(sighting),
    reachCheck(sighting),
    listCheck(sighting),
    modelCheck(sighting),
    priceCheck(sighting),
    creditCheck(sighting),
    ...factsChecks(sighting),
    ...(options.isSmokeWanted ? [smoke] : []),
  ];
}

function modelCheck(sighting: BrokerSighting): Check {
  const { config, setup } = sighting;
  const names = brokerCheckNames(config.name);
  return {
    name: names.model,
    dependsOn: [names.list],
    provider: config.name,
    async run() {
      const { models } = sighting;
      if (models === undefined) throw new ZephError("internal", { detail: "the model list was not kept" });
      const gonka = { baseURL: normalizeBaseURL(config.baseURL) };
      return judgeModel(setup, config, models, await rememberedModels({ config, gonka }, setup.world));
    },
  };
}

/**
 * What the checks of one broker have seen so far. Each writes what a later one reads; `dependsOn` and `after` keep the
 * order.
 */
interface BrokerSighting {
  /** Asks every endpoint once only. */
  readonly setup: Setup;
  readonly config: CompatibleProvider;
  /** What the registry and the user's `[[brokers]]` know of this address. */
  readonly broker: Broker | undefined;
  key?: Secret;
  opened?: OpenedProvider;
  /** The answer to the authenticated `GET /models`, whatever its status. */
  answer?: { readonly response: Response; readonly text: string; readonly latencyMs: number };
  models?: readonly Model[];
}

/** Names of one broker's checks. */
function brokerCheckNames(provider: string) {
  const list = `llm.${provider}`;
  return {
    key: `${list}.key`,
    reach: `${list}.reach`,
    list,
    model: `${list}.model`,
    price: `${list}.price`,
    credit: `${list}.credit`,
    facts: `${list}.facts`,
    smoke: `${list}.smoke`,
  };
}

/** Is there a key, and has it the shape of one? Nothing is sent. */
function keyCheck(sighting: BrokerSighting): Check {
  const { setup, config, broker } = sighting;
  return {
    name: brokerCheckNames(config.name).key,
    provider: config.name,
    isUntimed: true,
    async run(facts) {
      const resolved = await setup.apiKey(config);
      facts.secrets.push(resolved.secret);
      const value = resolved.secret.reveal();
      const recognized = recognizeKey(value, mergeBrokers(BROKERS, setup.loaded.config.brokers));
      const store = `Run: zeph vault set ${config.apiKeyNames.canonical} --force`;
      const fault = shapeFault(value, recognized);
      if (fault !== undefined) return { ...fault, hint: fault.hint ?? store };
      sighting.key = resolved.secret;
      sighting.opened = await openProvider(setup, { name: config.name });
      const source = secretSource(resolved);
      const owner = recognized.broker;
      if (owner !== undefined && broker !== undefined && owner.id !== broker.id) {
        return warned(`${source} looks like a key of ${owner.name}, not of ${broker.name}`, { hint: store });
      }
      if (resolved.notice !== undefined) return warned(resolved.notice, { hint: store });
      return passed(source, { data: { source: resolved.source, name: resolved.name } });
    },
  };
}

function shapeFault(value: string, { kind, broker }: RecognizedKey): CheckResult | undefined {
  const fault = (detail: string): CheckResult => ({ status: "fail", code: "invalid_api_key", detail });
  switch (kind) {
    case "management-key": {
      const { summary, hint } = CATALOGUE.management_key;
      const whose = broker === undefined ? "" : ` (${broker.name})`;
      return { status: "fail", code: "management_key", detail: `${summary}${whose}`, hint };
    }
    case "private-key":
      return fault("this looks like a private key, not an API key; it was not sent anywhere");
    case "mnemonic":
      return fault("these look like recovery words, not an API key; they were not sent anywhere");
    case "empty":
      return fault("the key is empty");
    default:
      break;
  }
  // A header cannot carry them, so no server would ever see the request.
  if (/[^\x21-\x7e]/.test(value)) return fault("the key has a space, line break or other character that no key has");
  if (/^["'`]|["'`]$/.test(value)) return fault("the key has quotation marks around it");
  return undefined;
}

const MAX_LIST_BYTES = 16 * 1024 * 1024;

/**
 * Does anybody answer at this address: name, connection, TLS, HTTP? Asks for the model list, with the key when there is
 * one; what the answer means is for the next check.
 */
function reachCheck(sighting: BrokerSighting): Check {
  const { config, setup } = sighting;
  const names = brokerCheckNames(config.name);
  return {
    name: names.reach,
    after: [names.key],
    provider: config.name,
    async run(facts, signal) {
      const { clock } = facts.world;
      const baseURL = normalizeBaseURL(config.baseURL);
      const url = `${baseURL}/models`;
      const startedAtMs = clock.nowMs();
      const ask = sighting.opened?.gonka ?? setup.world.fetch;
      let response: Response;
      try {
        response = await ask(url, { redirect: "manual", signal });
      } catch (thrown) {
        if (ZephError.is(thrown)) {
          return {
            ...failed(thrown),
            detail: `${thrown.summary}: ${stageWords(thrown, config.name, new URL(url).host)}`,
          };
        }
        const { error } = readNetworkFailure(thrown);
        throw new ZephError("unreachable", {
          detail: stageWords(error, config.name, new URL(url).host),
          hint: error.hint,
          cause: thrown,
        });
      }
      const latencyMs = Math.max(0, clock.nowMs() - startedAtMs);
      noteServerTime(facts, new URL(url).host, Date.parse(response.headers.get("date") ?? ""));
      const text = await readBoundedText(response.body, MAX_LIST_BYTES);
      if (sighting.opened !== undefined) sighting.answer = { response, text, latencyMs };
      const secure = baseURL.startsWith("https:") ? "https" : "http on this computer";
      const data = { url: redactUrl(url), latency_ms: Math.round(latencyMs) };
      return passed(`${new URL(url).host} answers (${secure})`, { data });
    },
  };
}

/** Tells which step of reaching the host failed, and which host. */
function stageWords({ detail = "no answer", code }: ZephError, label: string, host: string): string {
  const words = detail.startsWith(`${label}: `) ? detail.slice(label.length + 2) : detail;
  if (code !== "unreachable") return `${host}: ${words}`;
  if (words.startsWith("the proxy ")) return `${words} (for ${host})`;
  const stage = /host name/.test(words) ? "DNS" : /TLS/.test(words) ? "TLS" : "connection";
  return `${stage}: ${words} (${host})`;
}

/** Does the broker take the key, and does it list models? (B44: with the key, on the right path.) */
function listCheck(sighting: BrokerSighting): Check {
  const { config } = sighting;
  const names = brokerCheckNames(config.name);
  return {
    name: names.list,
    dependsOn: [names.key, names.reach],
    provider: config.name,
    async run(_facts, signal) {
      const { answer } = sighting;
      if (answer === undefined) throw new ZephError("internal", { detail: "the answer of the broker was not kept" });
      const { response, text, latencyMs } = answer;
      const refused = errorBehind(response);
      if (refused !== undefined && refused.code === "wrong_url") return findBaseURL(sighting, refused, signal);
      if (refused !== undefined) return failed(refused);
      sighting.models = parseModels(parseJson(text));
      const count = sighting.models.length;
      const data = { models: count, latency_ms: Math.round(latencyMs) };
      if (count === 0) {
        return warned("the key is good, but no models are listed now", { code: "no_models", data });
      }
      return passed(`the key is good; ${count} models`, { data });
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return parseForeignJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the model list ${jsonFault(cause)}`, cause });
  }
}

/** Where APIs usually lie below a host. */
const USUAL_PATHS = ["/v1", "/api/v1"] as const;

/**
 * A wrong address, with the right one where it can be found: the broker's known one, or a usual path on the same host.
 * Asked without the key: a place that is only guessed must not get it.
 */
async function findBaseURL(sighting: BrokerSighting, error: ZephError, signal: AbortSignal): Promise<CheckResult> {
  const { config, broker, setup } = sighting;
  const used = normalizeBaseURL(config.baseURL);
  const guesses = [broker?.baseURL, ...USUAL_PATHS.map((path) => new URL(path, used).href)]
    .filter((guess) => guess !== undefined)
    .map(normalizeBaseURL)
    .filter((guess) => guess !== used);
  for (const guess of new Set(guesses)) {
    if (!(await looksLikeApi(setup.world.fetch, guess, signal))) continue;
    const data = { base_url: used, suggested: guess };
    return { ...failed(error), ...changeField(setup, config, "base_url", guess), data };
  }
  return failed(error, { data: { base_url: used } });
}

/** An API answers with a list, or says in JSON that a key is missing; a web server answers with a page. */
async function looksLikeApi(fetch: FetchFunction, baseURL: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${baseURL}/models`, { redirect: "manual", signal });
    const json: unknown = parseForeignJson(await readBoundedText(response.body, MAX_LIST_BYTES));
    if (response.status === 401 || response.status === 403) return typeof json === "object" && json !== null;
    return response.ok && parseModels(json).length >= 0;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // No answer, no JSON, no list: not the place.
    return false;
  }
}

const MAX_ANSWER_BYTES = 256 * 1024;

/** Below this a few long chats use it up. */
const LOW_USD = 0.5;

/** Is there money on the account? Only brokers that publish a free way to ask are asked. */
function creditCheck(sighting: BrokerSighting): Check {
  const names = brokerCheckNames(sighting.config.name);
  return {
    name: names.credit,
    dependsOn: [names.list],
    provider: sighting.config.name,
    async run(facts, signal) {
      const { broker, config, key } = sighting;
      const probe = broker?.balanceProbe;
      if (broker === undefined || probe === undefined || key === undefined) {
        // True of most brokers, and nothing that anybody could mend.
        return passed("this broker does not tell the balance; `zeph doctor --smoke` tries one paid request");
      }
      const url = new URL(probe.path, normalizeBaseURL(config.baseURL));
      const response = await facts.world.fetch(url, {
        redirect: "manual",
        signal,
        headers: { authorization: bearerFor(key, url.href) },
      });
      const bodyText = await readBoundedText(response.body, MAX_ANSWER_BYTES);
      if (!response.ok) return refusedProbe(broker, response, bodyText);
      return judgeBalance(broker, parseRefusal(bodyText), probe.amountPath ?? []);
    },
  };
}

function refusedProbe(broker: Broker, response: Response, bodyText: string): CheckResult {
  const contentType = response.headers.get("content-type") ?? "";
  const { code } = readBrokerRefusal({ status: response.status, contentType, bodyText, path: "" });
  if (code === "insufficient_quota") return noCredit(broker, undefined);
  return warned(`the balance cannot be read now (HTTP ${response.status})`);
}

function judgeBalance(broker: Broker, answer: unknown, amountPath: readonly string[]): CheckResult {
  const amount = toAmount(dig(answer, amountPath));
  const state = dig(answer, [...amountPath.slice(0, -1), "status"]);
  if (amount === undefined) return warned("the broker's answer names no balance");
  if (amount <= 0 || state === "suspended") return noCredit(broker, amount);
  const data = { balance_usd: amount };
  if (amount < LOW_USD || state === "low") return warned(`low: $${amount.toFixed(2)}`, { hint: topUp(broker), data });
  return passed(`$${amount.toFixed(2)}`, { data });
}

function noCredit(broker: Broker, amount: number | undefined): CheckResult {
  const { summary } = CATALOGUE.insufficient_quota;
  const detail = amount === undefined ? summary : `${summary}: $${amount.toFixed(2)}`;
  const data = amount === undefined ? {} : { data: { balance_usd: amount } };
  return { status: "fail", code: "insufficient_quota", detail, hint: topUp(broker), ...data };
}

function topUp(broker: Broker): string {
  const page = topUpPage(broker);
  return page === undefined ? CATALOGUE.insufficient_quota.hint : `Top up at ${page}, then try again.`;
}

function parseRefusal(text: string): unknown {
  try {
    return parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch {
    // Treated like an answer that does not hold the amount.
    return undefined;
  }
}

function dig(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, name) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, name) : undefined),
    value,
  );
}

function toAmount(value: unknown): number | undefined {
  const amount = typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) ? amount : undefined;
}

const MAX_PRICES_BYTES = 4 * 1024 * 1024;

/** What a million tokens of the configured model cost, where anybody tells. Unknown is not 0, and no failure. */
function priceCheck(sighting: BrokerSighting): Check {
  const { config, setup } = sighting;
  const names = brokerCheckNames(config.name);
  return {
    name: names.price,
    dependsOn: [names.model],
    provider: config.name,
    async run(facts, signal) {
      const listed = sighting.models?.find(({ id }) => id === config.model);
      const given = config.pricing ?? listed;
      const [prompt, completion] = [given?.promptUsdPer1M, given?.completionUsdPer1M];
      if (prompt !== undefined && completion !== undefined) {
        const data = { prompt_usd_per_1m: prompt, completion_usd_per_1m: completion };
        return passed(`$${round(prompt)} in, $${round(completion)} out per 1M tokens`, { data });
      }
      const total = await publicPrice(sighting, facts, signal);
      if (total !== undefined) return passed(`$${round(total)} per 1M tokens`, { data: { usd_per_1m: total } });
      const { cost } = setup.loaded.config;
      if (cost.enabled && cost.maxDailyCents > 0) {
        return warned("the price is unknown, so max_daily_cents cannot count it", {
          code: "pricing_unavailable",
          hint: `Set pricing = { prompt_usd_per_1m = …, completion_usd_per_1m = … } for ${config.name}.`,
        });
      }
      return passed("not published; costs are shown as unknown");
    },
  };
}

async function publicPrice(
  { config, broker }: BrokerSighting,
  { world }: DoctorFacts,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (broker?.pricingPath === undefined || config.model === undefined) return undefined;
  const url = new URL(broker.pricingPath, normalizeBaseURL(config.baseURL)).href;
  try {
    const response = await world.fetch(url, { redirect: "manual", signal });
    const text = await readBoundedText(response.body, MAX_PRICES_BYTES);
    return response.ok ? readPublicPrices(parseForeignJson(text)).get(config.model) : undefined;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // A price list is an addition; without it the price is unknown.
    return undefined;
  }
}

function round(usd: number): string {
  return String(Number(usd.toPrecision(4)));
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * USD per million tokens by model, from a broker's public price list. Lenient: GonkaGate publishes the first form, its
 * doctor 0.2.2 accepts the others (GonkaGate/gonkagate-doctor, tests):
 * `{data:{models:[{id,usdPer1MTokens:{total}}]}}` · `{models:{"<id>":{…}}}` · `{data:[{model,totalUsdPer1M}]}`.
 */
export function readPublicPrices(json: unknown): ReadonlyMap<string, number> {
  const body = asFields(json);
  const data = body.data ?? json;
  const models = asFields(data).models ?? body.models ?? data;
  const entries: readonly (readonly [unknown, Fields])[] = Array.isArray(models)
    ? models.map((entry: unknown) => [asFields(entry).id ?? asFields(entry).model, asFields(entry)])
    : Object.entries(asFields(models)).map(([id, entry]) => [id, asFields(entry)]);
  return new Map(
    entries.flatMap(([id, entry]) => {
      const total = totalOf(entry);
      return typeof id === "string" && total !== undefined ? [[id, total] as const] : [];
    }),
  );
}

function totalOf(entry: Fields): number | undefined {
  const nested = asFields(entry.usdPer1MTokens);
  return [nested.total, entry.total, entry.totalUsdPer1M].map(asAmount).find((amount) => amount !== undefined);
}

function asAmount(value: unknown): number | undefined {
  const amount = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) && amount >= 0 ? amount : undefined;
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

const DAY_MS = 24 * 3_600_000;

/** Brokers change addresses, prices and rules within months. */
const OLD_AFTER_DAYS = 270;

/** How old is what this program believes about the broker? Nothing for addresses it does not know. */
function factsChecks({ config, broker }: BrokerSighting): readonly Check[] {
  const checkedOn = broker?.checkedOn;
  if (broker === undefined || checkedOn === undefined) return [];
  return [
    {
      name: brokerCheckNames(config.name).facts,
      provider: config.name,
      async run({ world }) {
        const ageDays = Math.floor((world.clock.nowMs() - Date.parse(checkedOn)) / DAY_MS);
        const data = { broker: broker.id, checked_on: checkedOn };
        if (ageDays <= OLD_AFTER_DAYS) return passed(`${broker.name}, as published ${checkedOn}`, { data });
        return warned(`what zeph knows about ${broker.name} is ${ageDays} days old`, {
          hint: "Install the newest zeph, or correct the facts in [[brokers]] of your config.",
          data,
        });
      },
    },
  ];
}
