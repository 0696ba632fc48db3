import { ZephError } from "../../errors/zeph-error.ts";
import { readBoundedText } from "../../internal/read-bounded.ts";
import { redactUrl } from "../../internal/redact.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import { readNetworkFailure } from "../../transport/network-error.ts";
import type { Check } from "../check.ts";
import { noteServerTime } from "../facts.ts";
import { failed, passed } from "../results.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";

const MAX_LIST_BYTES = 16 * 1024 * 1024;

/**
 * Does anybody answer at this address: name, connection, TLS, HTTP? Asks for the model list, with the key when there is
 * one; what the answer means is for the next check.
 */
export function reachCheck(sighting: BrokerSighting): Check {
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
