import { UnusableFile } from "../../base/files.ts";
import type { Clock } from "../../base/time.ts";
import { ZephError } from "../../errors.ts";
import type { PageLimit, PageSources, PageUsage, UsageQuery } from "../../gateway/page/sources.ts";
import {
  parseSpending,
  readSpending,
  type SpendingLine,
  spendingPath,
  type UsageBucket,
  usageBuckets,
  usageStarts,
} from "../../journal/ledger.ts";
import { toCsv } from "../commands/usage.ts";
import { toGnk } from "../terminal.ts";

interface PageUsageOptions {
  readonly stateFolder: string;
  readonly clock: Pick<Clock, "nowMs">;
  readonly limit: () => Promise<PageLimit>;
  /** Writes what the endpoint has not written yet. */
  readonly flush: () => Promise<void>;
}

/** The ledger as the page draws it: the buckets of `zeph usage`. */
export function pageUsage({
  stateFolder,
  clock,
  limit,
  flush,
}: PageUsageOptions): Pick<PageSources, "usage" | "usageCsv"> {
  async function read({ by, steps }: UsageQuery) {
    await flush();
    const starts = usageStarts(by, clock.nowMs(), steps);
    const [first = 0] = starts;
    const isTold = (line: SpendingLine) => startOf(line) >= first && (by !== "hour" || line.hour !== undefined);
    return { starts, lines: (await readLines(stateFolder)).filter(isTold) };
  }
  return {
    async usage(query): Promise<PageUsage> {
      const { starts, lines } = await read(query);
      const splits = splitsOf(query);
      const shown = (bucket: UsageBucket) => ({ ...toNumbers(bucket), key: keyOf(bucket, query) });
      return {
        starts,
        buckets: usageBuckets(lines, { by: query.by, split: splits }).map((bucket) => ({
          start: bucket.start,
          ...shown(bucket),
        })),
        totals: usageBuckets(lines, { by: "all", split: splits }).map(shown),
        limit: await limit(),
      };
    },
    async usageCsv(query) {
      const { lines } = await read(query);
      return toCsv(usageBuckets(lines, { by: query.by, split: splitsOf(query) }), query.by);
    },
  };
}

async function readLines(stateFolder: string): Promise<readonly SpendingLine[]> {
  try {
    return parseSpending(await readSpending(stateFolder));
  } catch (cause) {
    if (!(cause instanceof UnusableFile)) throw cause;
    const hint = `Move ${spendingPath(stateFolder)} away; the next answer begins a new one.`;
    throw new ZephError("usage", { detail: cause.message, hint, cause });
  }
}

function startOf({ day, hour = 0 }: SpendingLine): number {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return new Date(year, month - 1, date, hour).getTime();
}

function splitsOf({ split }: UsageQuery): readonly ("provider" | "model" | "client")[] {
  return split === "none" ? [] : [split];
}

function keyOf(bucket: UsageBucket, { split }: UsageQuery): string {
  return split === "none" ? "" : (bucket[split] ?? "(not noted)");
}

function toNumbers({ requests, errors, inputTokens, outputTokens, usd, ngonka, p50Ms, p95Ms }: UsageBucket) {
  return {
    ...{ requests, errors, p50Ms, p95Ms },
    inputTokens: inputTokens ?? 0,
    outputTokens: outputTokens ?? 0,
    usd: usd ?? 0,
    gnk: toGnk(ngonka) ?? 0,
  };
}
