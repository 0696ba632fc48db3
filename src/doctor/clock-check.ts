import { DEFAULT_CHAIN_PARAMS } from "../protocol/chain-params.ts";
import type { Check, CheckResult } from "./check.ts";
import type { ServerTime } from "./facts.ts";
import { passed, skipped, warned } from "./results.ts";

/** Below this a clock counts as right: `Date` has whole seconds, and an answer takes its time. */
const SANE_MS = 10_000;

export interface ClockCheckOptions {
  /** Checks that hear servers tell their time. */
  readonly after: readonly string[];
  /** The provider that signs with this clock. Without one a wrong clock keeps no chat from working. */
  readonly signedBy: string | undefined;
}

/**
 * How far this computer's clock is from the servers' (B13). Signed requests more than 60 s late or 30 s early are
 * refused; zeph takes the node's time then and signs once more, so a chat works, at the price of an attempt. Other
 * programs with this clock do not.
 */
export function clockCheck({ after, signedBy }: ClockCheckOptions): Check {
  return {
    name: "clock.skew",
    after,
    ...(signedBy === undefined ? {} : { provider: signedBy }),
    async run({ times }) {
      const skewMs = median(times);
      return skewMs === undefined ? skipped("no server told its time") : judgeSkew(skewMs, signedBy !== undefined);
    },
  };
}

function judgeSkew(skewMs: number, isSigning: boolean): CheckResult {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const detail = `this computer's clock is ${seconds} s ${skewMs > 0 ? "behind" : "ahead"}`;
  const { timestampAdvanceSeconds, timestampExpirationSeconds } = DEFAULT_CHAIN_PARAMS;
  const isBeyond = skewMs < -timestampAdvanceSeconds * 1000 || skewMs > timestampExpirationSeconds * 1000;
  const cost = isBeyond && isSigning ? "; nodes refuse the first attempt of a chat, which then takes their time" : "";
  const extras = { code: "clock_skew", hint: SET_CLOCK, data: { skew_ms: Math.round(-skewMs) } } as const;
  if (Math.abs(skewMs) <= SANE_MS) {
    return passed("within 10 s of the servers' clocks", { data: { skew_ms: Math.round(-skewMs) } });
  }
  return warned(`${detail}${cost}`, extras);
}

const SET_CLOCK =
  "Switch time synchronisation on (Linux: timedatectl set-ntp true; macOS and Windows: the date and time settings).";

/** One server with a wrong clock must not put the blame on this computer. */
function median(times: readonly ServerTime[]): number | undefined {
  const sorted = times.map(({ skewMs }) => skewMs).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
