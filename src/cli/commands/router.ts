import { latencyMemory } from "../../provider/latencies.ts";
import type { RunCommand } from "../context.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { formatSeconds } from "../render/usage-line.ts";
import { writeResult } from "../write-result.ts";

/** `zeph router stats`: how fast each provider has been, fastest first. */
export const runRouterStats: RunCommand<Record<never, never>> = async (context) => {
  const latencies = Object.entries(await latencyMemory(context).read()).sort(
    ([, left], [, right]) => left.averageMs - right.averageMs,
  );
  const { dim } = style(context.color);
  const rows = latencies.map(([name, { answers, averageMs, lastAtMs }]) => [
    name,
    formatSeconds(averageMs),
    String(answers),
    new Date(lastAtMs).toISOString().slice(0, 16).replace("T", " "),
  ]);
  return writeResult(context, {
    data: Object.fromEntries(latencies),
    ...(rows.length === 0
      ? {
          notice:
            'Nothing is known yet. `routing = "ema"` under [llm] makes zeph watch and prefer the fastest provider.\n',
        }
      : { answer: renderTable([["provider", "begins after", "answers", "last (UTC)"].map(dim), ...rows]) }),
  });
};

/** `zeph router reset`: all providers are new again. */
export const runRouterReset: RunCommand<Record<never, never>> = async (context) => {
  await latencyMemory(context).reset();
  return writeResult(context, { data: {}, notice: "What was known of the providers' speed is forgotten.\n" });
};
