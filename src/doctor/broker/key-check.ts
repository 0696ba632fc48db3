import { mergeBrokers } from "../../brokers/merge-brokers.ts";
import { type RecognizedKey, recognizeKey } from "../../brokers/recognize-key.ts";
import { BROKERS } from "../../brokers/registry.ts";
import { CATALOGUE } from "../../errors/catalogue.ts";
import { openProvider } from "../../provider/open-provider.ts";
import type { Check, CheckResult } from "../check.ts";
import { passed, warned } from "../results.ts";
import { secretSource } from "../secret-source.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";

/** Is there a key, and has it the shape of one? Nothing is sent. */
export function keyCheck(sighting: BrokerSighting): Check {
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
