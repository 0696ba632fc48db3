import { asObject, jsonFault, parseForeignJson, readBoundedText, SMALL_ANSWER_LIMITS } from "../base/json.ts";
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
  broken,
  type Check,
  type CheckResult,
  changeField,
  checkOf,
  failed,
  judgeModel,
  noteServerTime,
  passed,
  secretSource,
  singleAttempt,
  smokeCheck,
  warned,
} from "./check.ts";

const MAX_LIST_BYTES = 16 * 1024 * 1024;
const MAX_PRICES_BYTES = 4 * 1024 * 1024;
const MAX_BALANCE_BYTES = 256 * 1024;

/** Brokers change addresses, prices and rules within months. */
const OLD_AFTER_DAYS = 270;

/** Everything that can be asked of one broker, in the order in which one check needs what another found. All but `smoke` is free. */
export function brokerChecks(given: Setup, config: CompatibleProvider, isSmokeWanted: boolean): readonly Check[] {
  const list = `llm.${config.name}`;
  const named = (name: string) => `${list}.${name}`;
  const [keyName, reachName, modelName, creditName] = [
    named("key"),
    named("reach"),
    named("model"),
    named("credit"),
  ] as const;
  const check = checkOf(config.name);
  let brokers: readonly Broker[];
  try {
    brokers = mergeBrokers(BROKERS, given.loaded.config.brokers);
  } catch (error) {
    return [check(keyName, {}, async () => failed(error))];
  }
  const setup = singleAttempt(given);
  const broker = brokerForBaseURL(config.baseURL, brokers);
  const baseURL = normalizeBaseURL(config.baseURL);
  const { host } = new URL(baseURL);

  let key: Secret | undefined;
  let opened: OpenedProvider | undefined;
  const keyCheck = check(keyName, { isUntimed: true }, async (facts) => {
    const { secret, ...found } = await setup.apiKey(config);
    facts.secrets.push(secret);
    const recognized = recognizeKey(secret.reveal(), brokers);
    const hint = `Run: zeph vault set ${config.apiKeyNames.canonical} --force`;
    const fault = shapeFault(secret.reveal(), recognized);
    if (fault !== undefined) return { hint, ...fault };
    key = secret;
    opened = await openProvider(setup, { name: config.name });
    const source = secretSource(found);
    const owner = recognized.broker;
    if (owner !== undefined && broker !== undefined && owner.id !== broker.id) {
      return warned(`${source} looks like a key of ${owner.name}, not of ${broker.name}`, { hint });
    }
    if (found.notice !== undefined) return warned(found.notice, { hint });
    return passed(source, { data: { source: found.source, name: found.name } });
  });

  // The answer to the authenticated `GET /models`, whatever its status.
  let answer: { readonly response: Response; readonly text: string; readonly latencyMs: number } | undefined;
  const reachCheck = check(reachName, { after: [keyName] }, async (facts, signal) => {
    const { clock } = facts.world;
    const url = `${baseURL}/models`;
    const startedAtMs = clock.nowMs();
    const ask = opened?.gonka ?? setup.world.fetch;
    const response = await ask(url, { redirect: "manual", signal }).catch((thrown: unknown) => {
      const error = ZephError.is(thrown) ? thrown : readNetworkFailure(thrown).error;
      throw error.with({ detail: stageWords(error, config.name, host) });
    });
    const latencyMs = Math.max(0, clock.nowMs() - startedAtMs);
    noteServerTime(facts, host, Date.parse(response.headers.get("date") ?? ""));
    const text = await readBoundedText(response.body, MAX_LIST_BYTES);
    if (opened !== undefined) answer = { response, text, latencyMs };
    const secure = baseURL.startsWith("https:") ? "https" : "http on this computer";
    return passed(`${host} answers (${secure})`, { data: { url: redactUrl(url), latency_ms: Math.round(latencyMs) } });
  });

  // Does the broker take the key, and does it list models? (B44: with the key, on the right path.)
  let models: readonly Model[] = [];
  const listCheck = check(list, { dependsOn: [keyName, reachName] }, async (_facts, signal) => {
    if (answer === undefined) throw new ZephError("internal", { detail: "the answer of the broker was not kept" });
    const refused = errorBehind(answer.response);
    if (refused?.code === "wrong_url") {
      const guess = await findBaseURL(setup.world.fetch, { baseURL, broker, signal });
      if (guess === undefined) return failed(refused, { data: { base_url: baseURL } });
      const data = { base_url: baseURL, suggested: guess };
      return failed(refused, { ...changeField(setup, config, "base_url", guess), data });
    }
    if (refused !== undefined) return failed(refused);
    try {
      models = parseModels(parseForeignJson(answer.text));
    } catch (cause) {
      if (ZephError.is(cause)) throw cause;
      throw new ZephError("bad_response", { detail: `the model list ${jsonFault(cause)}`, cause });
    }
    const data = { models: models.length, latency_ms: Math.round(answer.latencyMs) };
    if (models.length > 0) return passed(`the key is good; ${models.length} models`, { data });
    return warned("the key is good, but no models are listed now", { code: "no_models", data });
  });

  const modelCheck = check(modelName, { dependsOn: [list] }, async () =>
    judgeModel(setup, config, models, await rememberedModels({ config, gonka: { baseURL } }, setup.world)),
  );

  // What a million tokens of the configured model cost, where anybody tells. Unknown is not 0, and no failure.
  const priceCheck = check(named("price"), { dependsOn: [modelName] }, async ({ world }, signal) => {
    const told = config.pricing ?? models.find(({ id }) => id === config.model);
    const [prompt, completion] = [told?.promptUsdPer1M, told?.completionUsdPer1M];
    if (prompt !== undefined && completion !== undefined) {
      const data = { prompt_usd_per_1m: prompt, completion_usd_per_1m: completion };
      return passed(`$${round(prompt)} in, $${round(completion)} out per 1M tokens`, { data });
    }
    const page = broker?.pricingPath === undefined ? undefined : new URL(broker.pricingPath, baseURL).href;
    const prices = page === undefined ? undefined : await publicPrices(world.fetch, page, signal);
    const total = prices?.get(config.model ?? "");
    if (total !== undefined) return passed(`$${round(total)} per 1M tokens`, { data: { usd_per_1m: total } });
    const { cost } = setup.loaded.config;
    if (!cost.enabled || cost.maxDailyCents <= 0) return passed("not published; costs are shown as unknown");
    const hint = `Set pricing = { prompt_usd_per_1m = …, completion_usd_per_1m = … } for ${config.name}.`;
    return warned("the price is unknown, so max_daily_cents cannot count it", { code: "pricing_unavailable", hint });
  });

  // Is there money on the account? Only brokers that publish a free way to ask are asked.
  const creditCheck = check(creditName, { dependsOn: [list] }, async ({ world }, signal) => {
    const probe = broker?.balanceProbe;
    if (broker === undefined || probe === undefined || key === undefined) {
      // True of most brokers, and nothing that anybody could mend.
      return passed("this broker does not tell the balance; `zeph doctor --smoke` tries one paid request");
    }
    const url = new URL(probe.path, baseURL);
    const headers = { authorization: bearerFor(key, url.href) };
    const response = await world.fetch(url, { redirect: "manual", signal, headers });
    const bodyText = await readBoundedText(response.body, MAX_BALANCE_BYTES);
    if (response.ok) return judgeBalance(broker, bodyText, probe.amountPath ?? []);
    const contentType = response.headers.get("content-type") ?? "";
    const { code } = readBrokerRefusal({ status: response.status, contentType, bodyText, path: "" });
    if (code === "insufficient_quota") return noCredit(broker, undefined);
    return warned(`the balance cannot be read now (HTTP ${response.status})`);
  });

  // How old is what this program believes about the broker? Nothing for addresses it does not know.
  const factsChecks =
    broker?.checkedOn === undefined
      ? []
      : [
          check(named("facts"), {}, async ({ world }) => {
            const { id, name, checkedOn = "" } = broker;
            const ageDays = Math.floor((world.clock.nowMs() - Date.parse(checkedOn)) / (24 * 3_600_000));
            const data = { broker: id, checked_on: checkedOn };
            if (ageDays <= OLD_AFTER_DAYS) return passed(`${name}, as published ${checkedOn}`, { data });
            const hint = "Install the newest zeph, or correct the facts in [[brokers]] of your config.";
            return warned(`what zeph knows about ${name} is ${ageDays} days old`, { hint, data });
          }),
        ];
  const smoke = smokeCheck(setup, config, { dependsOn: [list, modelName], after: [creditName] });
  const asked = [keyCheck, reachCheck, listCheck, modelCheck, priceCheck, creditCheck, ...factsChecks];
  return isSmokeWanted ? [...asked, smoke] : asked;
}

/** What is wrong with a key by its shape alone: nothing is sent. */
function shapeFault(value: string, { kind, broker }: RecognizedKey): CheckResult | undefined {
  const fault = (detail: string): CheckResult => ({ status: "fail", code: "invalid_api_key", detail });
  if (kind === "management-key") {
    const { summary, hint } = CATALOGUE.management_key;
    const whose = broker === undefined ? "" : ` (${broker.name})`;
    return { status: "fail", code: "management_key", detail: `${summary}${whose}`, hint };
  }
  if (kind === "private-key") return fault("this looks like a private key, not an API key; it was not sent anywhere");
  if (kind === "mnemonic") return fault("these look like recovery words, not an API key; they were not sent anywhere");
  if (kind === "empty") return fault("the key is empty");
  // A header cannot carry them, so no server would ever see the request.
  if (/[^\x21-\x7e]/.test(value)) return fault("the key has a space, line break or other character that no key has");
  return /^["'`]|["'`]$/.test(value) ? fault("the key has quotation marks around it") : undefined;
}

/** Tells which step of reaching the host failed, and which host. */
function stageWords({ detail = "no answer", code }: ZephError, label: string, host: string): string {
  const words = detail.startsWith(`${label}: `) ? detail.slice(label.length + 2) : detail;
  if (code !== "unreachable") return `${host}: ${words}`;
  if (words.startsWith("the proxy ")) return `${words} (for ${host})`;
  const stage = /host name/.test(words) ? "DNS" : /TLS/.test(words) ? "TLS" : "connection";
  return `${stage}: ${words} (${host})`;
}

/**
 * The right address in the place of a wrong one, where it can be found: the broker's known one, or where APIs usually lie
 * on the same host. Asked without the key: a place that is only guessed must not get it.
 */
async function findBaseURL(
  fetch: FetchFunction,
  { baseURL, broker, signal }: { baseURL: string; broker: Broker | undefined; signal: AbortSignal },
): Promise<string | undefined> {
  const guesses = [broker?.baseURL ?? baseURL, ...["/v1", "/api/v1"].map((path) => new URL(path, baseURL).href)];
  for (const guess of new Set(guesses.map(normalizeBaseURL))) {
    if (guess !== baseURL && (await looksLikeApi(fetch, guess, signal))) return guess;
  }
  return undefined;
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

/** Below this a few long chats use it up. */
const LOW_USD = 0.5;

function judgeBalance(broker: Broker, text: string, amountPath: readonly string[]): CheckResult {
  let answer: unknown;
  try {
    answer = parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch {
    // Treated like an answer that does not hold the amount.
  }
  const at = (path: readonly string[]) => path.reduce<unknown>((inner, name) => asObject(inner)?.[name], answer);
  const amount = toAmount(at(amountPath));
  const state = at([...amountPath.slice(0, -1), "status"]);
  if (amount === undefined) return warned("the broker's answer names no balance");
  if (amount <= 0 || state === "suspended") return noCredit(broker, amount);
  const data = { balance_usd: amount };
  if (amount < LOW_USD || state === "low") return warned(`low: $${amount.toFixed(2)}`, { hint: topUp(broker), data });
  return passed(`$${amount.toFixed(2)}`, { data });
}

function noCredit(broker: Broker, amount: number | undefined): CheckResult {
  const hint = topUp(broker);
  if (amount === undefined) return broken("insufficient_quota", undefined, { hint });
  return broken("insufficient_quota", `$${amount.toFixed(2)}`, { hint, data: { balance_usd: amount } });
}

function topUp(broker: Broker): string {
  const page = topUpPage(broker);
  return page === undefined ? CATALOGUE.insufficient_quota.hint : `Top up at ${page}, then try again.`;
}

function toAmount(value: unknown): number | undefined {
  const amount =
    typeof value === "string" && /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : value;
  return typeof amount === "number" && Number.isFinite(amount) ? amount : undefined;
}

async function publicPrices(fetch: FetchFunction, url: string, signal: AbortSignal) {
  try {
    const response = await fetch(url, { redirect: "manual", signal });
    const text = await readBoundedText(response.body, MAX_PRICES_BYTES);
    return response.ok ? readPublicPrices(parseForeignJson(text)) : undefined;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // A price list is an addition; without it the price is unknown.
    return undefined;
  }
}

function round(usd: number): string {
  return String(Number(usd.toPrecision(4)));
}

/**
 * USD per million tokens by model, from a broker's public price list. Lenient: GonkaGate publishes the first form, its
 * doctor 0.2.2 accepts the others (GonkaGate/gonkagate-doctor, tests):
 * `{data:{models:[{id,usdPer1MTokens:{total}}]}}` · `{models:{"<id>":{…}}}` · `{data:[{model,totalUsdPer1M}]}`.
 */
export function readPublicPrices(json: unknown): ReadonlyMap<string, number> {
  const body = asObject(json);
  const data = body?.data ?? json;
  const models = asObject(data)?.models ?? body?.models ?? data;
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(models)
    ? models.map((entry: unknown) => [asObject(entry)?.id ?? asObject(entry)?.model, entry])
    : Object.entries(asObject(models) ?? {});
  return new Map(
    entries.flatMap(([id, entry]) => {
      const { usdPer1MTokens, total, totalUsdPer1M } = asObject(entry) ?? {};
      const amounts = [asObject(usdPer1MTokens)?.total, total, totalUsdPer1M].map(toAmount);
      const price = amounts.find((amount) => amount !== undefined && amount >= 0);
      return typeof id === "string" && price !== undefined ? [[id, price] as const] : [];
    }),
  );
}
