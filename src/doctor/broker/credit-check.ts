import { type Broker, topUpPage } from "../../brokers/broker.ts";
import { bearerFor } from "../../client/error-response.ts";
import { CATALOGUE } from "../../errors/catalogue.ts";
import { readBoundedText } from "../../internal/read-bounded.ts";
import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../../internal/scan-json.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import { readBrokerRefusal } from "../../protocol/refusals/broker.ts";
import type { Check, CheckResult } from "../check.ts";
import { passed, warned } from "../results.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";

const MAX_ANSWER_BYTES = 256 * 1024;
/** Below this a few long chats use it up. */
const LOW_USD = 0.5;

/** Is there money on the account? Only brokers that publish a free way to ask are asked. */
export function creditCheck(sighting: BrokerSighting): Check {
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
      return judgeBalance(broker, parseJson(bodyText), probe.amountPath ?? []);
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

function parseJson(text: string): unknown {
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
