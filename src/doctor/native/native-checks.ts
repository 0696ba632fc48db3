import { NATIVE_BASE_URL } from "../../client/native-options.ts";
import { readPricing } from "../../client/read-pricing.ts";
import type { GonkaProvider } from "../../config/provider.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { NGONKA_PER_GNK } from "../../protocol/accounts.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import type { Model } from "../../protocol/models.ts";
import { answerLimitTokens, findListed } from "../../provider/known-model.ts";
import { rememberedModels } from "../../provider/model-cache.ts";
import { openProvider } from "../../provider/open-provider.ts";
import type { Setup } from "../../provider/setup.ts";
import type { Check, CheckResult } from "../check.ts";
import { devshardChecks } from "../devshard.ts";
import { judgeModel } from "../model-check.ts";
import { passed } from "../results.ts";
import { singleAttempt } from "../single-attempt.ts";
import { smokeCheck } from "../smoke-check.ts";
import { accountCheck } from "./account-check.ts";
import { discoveryCheck, proofCheck } from "./discovery-checks.ts";
import { keyChecks } from "./key-checks.ts";
import { type NativeSighting, nativeCheckNames, readingOf, sourceOf } from "./native-sighting.ts";
import { networkChecks } from "./network-checks.ts";
import { readNodeModels } from "./network-reads.ts";
import { nodeCheck } from "./node-check.ts";
import { selfTestCheck } from "./self-test.ts";

export interface NativeChecksOptions {
  /** The first native provider's checks have Zeph's names. */
  readonly isFirst: boolean;
  readonly isSmokeWanted: boolean;
}

/** Everything that can be asked about signed requests. All but `smoke` is free, and nothing else is signed. */
export function nativeChecks(setup: Setup, config: GonkaProvider, options: NativeChecksOptions): readonly Check[] {
  const once = singleAttempt(setup);
  const names = nativeCheckNames(config.name, options.isFirst);
  const nodes = config.nodes.map(({ url, address, name }) => ({
    baseURL: normalizeBaseURL(url),
    address,
    ...(name === undefined ? {} : { name }),
  }));
  const sighting: NativeSighting = { setup: once, config, nodes, names };
  if (config.access === "devshard") {
    const keys = { signer: names.signer, address: () => sighting.signer?.address };
    const of = devshardChecks(once, config, keys);
    const order = { dependsOn: of.map(({ name }) => name), after: [] };
    return [
      ...keyChecks(sighting),
      ...(options.isFirst ? [selfTestCheck()] : []),
      ...of,
      ...(options.isSmokeWanted ? [smokeCheck(once, config, order)] : []),
    ];
  }
  const { sourceUrl } = config;
  const finding =
    nodes.length === 0 && sourceUrl !== undefined
      ? [discoveryCheck(sighting, sourceUrl)]
      : nodes.map((node, index) => nodeCheck(sighting, node, index));
  const order = { dependsOn: [names.client, names.network, names.model], after: finding.map(({ name }) => name) };
  return [
    ...keyChecks(sighting),
    ...(options.isFirst ? [selfTestCheck()] : []),
    clientCheck(sighting),
    ...networkChecks(sighting),
    ...finding,
    proofCheck(sighting),
    accountCheck(sighting),
    modelCheck(sighting),
    priceCheck(sighting),
    ...(options.isSmokeWanted ? [smokeCheck(once, config, order)] : []),
  ];
}

/** Can the connection be made the way a chat makes it? */
function clientCheck({ setup, config, names }: NativeSighting): Check {
  return {
    name: names.client,
    dependsOn: [names.signer],
    provider: config.name,
    async run() {
      const { address } = await openProvider(setup, { name: config.name });
      return passed(`ready to sign as ${address ?? "nobody"}`);
    },
  };
}

function modelCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.model,
    dependsOn: [names.network],
    provider: config.name,
    async run(facts, signal) {
      sighting.models = await readNodeModels(sourceOf(sighting), readingOf(facts, signal));
      const gonka = { baseURL: NATIVE_BASE_URL };
      const remembered = await rememberedModels({ config, gonka }, setup.world);
      const verdict = judgeModel(setup, config, sighting.models, remembered);
      return verdict.status === "ok" ? (windowFault(sighting, remembered) ?? verdict) : verdict;
    },
  };
}

/** A node adds the longest answer to the prompt, and refuses what does not fit; a chat that knows the window asks for less. */
function windowFault({ config, models }: NativeSighting, remembered: readonly Model[]): CheckResult | undefined {
  const { model = "" } = config;
  const windowTokens = models?.find(({ id }) => id === model)?.contextLengthTokens;
  const limitTokens = answerLimitTokens(config, findListed(remembered, model));
  if (windowTokens === undefined || limitTokens < windowTokens) return undefined;
  const detail = `answers of ${limitTokens} tokens do not fit into the ${windowTokens} tokens ${model} reads`;
  const hint = `Set max_tokens = ${Math.floor(windowTokens / 2)} for ${config.name}; \`zeph models\` lets a chat know it too.`;
  return { status: "fail", code: "context_length", detail, hint, data: { model } };
}

function priceCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.price,
    dependsOn: [names.model],
    after: [names.account],
    provider: config.name,
    async run(facts, signal) {
      const pricing = sighting.pricing ?? (await readPricing(sourceOf(sighting), readingOf(facts, signal)));
      const price = pricing?.models.find(({ id }) => id === config.model)?.pricePerTokenNgonka;
      if (price === undefined) return passed("not told; costs are shown as unknown");
      const gnkPer1M = Number(price * 1_000_000n) / Number(NGONKA_PER_GNK);
      return passed(`${price} ngonka per token (${gnkPer1M} GNK per 1M tokens)`, {
        data: { price_per_token_ngonka: price },
      });
    },
  };
}

/** For `zeph gonka doctor`: is there a native provider at all? */
export function gonkaConfigCheck(providers: readonly GonkaProvider[]): Check {
  return {
    name: "gonka.config",
    dependsOn: ["config.parse"],
    async run() {
      if (providers.length === 0) {
        return {
          status: "warn",
          detail: "no Gonka entry: nothing to probe",
          hint: "Run `zeph init` and choose Gonka (native), or `zeph gonka status --source-url URL` to look at a network.",
        };
      }
      const words = providers.map(({ name, nodes, sourceUrl }) => {
        if (nodes.length > 0) return `${name} (${nodes.length} node(s))`;
        if (sourceUrl === undefined) throw new ZephError("no_endpoints", { detail: `provider "${name}"` });
        return `${name} (nodes found from ${new URL(normalizeBaseURL(sourceUrl)).host})`;
      });
      return passed(words.join(", "));
    },
  };
}
