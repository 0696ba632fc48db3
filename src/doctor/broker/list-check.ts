import { errorBehind } from "../../client/error-response.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { jsonFault, parseForeignJson } from "../../internal/scan-json.ts";
import { parseModels } from "../../protocol/models.ts";
import type { Check } from "../check.ts";
import { failed, passed, warned } from "../results.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";
import { findBaseURL } from "./find-base-url.ts";

/** Does the broker take the key, and does it list models? (B44: with the key, on the right path.) */
export function listCheck(sighting: BrokerSighting): Check {
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
