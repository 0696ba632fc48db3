import type { Broker } from "../../brokers/broker.ts";
import { mergeBrokers } from "../../brokers/merge-brokers.ts";
import { BROKERS, brokerForBaseURL } from "../../brokers/registry.ts";
import type { CompatibleProvider } from "../../config/provider.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import { rememberedModels } from "../../provider/model-cache.ts";
import type { Setup } from "../../provider/setup.ts";
import type { Check } from "../check.ts";
import { judgeModel } from "../model-check.ts";
import { failed } from "../results.ts";
import { singleAttempt } from "../single-attempt.ts";
import { smokeCheck } from "../smoke-check.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";
import { creditCheck } from "./credit-check.ts";
import { factsChecks } from "./facts-check.ts";
import { keyCheck } from "./key-check.ts";
import { listCheck } from "./list-check.ts";
import { priceCheck } from "./price-check.ts";
import { reachCheck } from "./reach-check.ts";

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
