import type { Check } from "../check.ts";
import { passed, warned } from "../results.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";

const DAY_MS = 24 * 3_600_000;
/** Brokers change addresses, prices and rules within months. */
const OLD_AFTER_DAYS = 270;

/** How old is what this program believes about the broker? Nothing for addresses it does not know. */
export function factsChecks({ config, broker }: BrokerSighting): readonly Check[] {
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
