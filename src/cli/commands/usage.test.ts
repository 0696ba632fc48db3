import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chatTerminal } from "../../../test/support/chat-terminal.ts";
import type { CliContext } from "../../base/world.ts";
import { dayBefore, localDay } from "../../journal/ledger.ts";
import type { Flags } from "../command-table.ts";
import { runUsage } from "./usage.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-usage-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function ledger(...lines: readonly object[]): Promise<void> {
  await mkdir(join(folder, ".local/state/zeph"), { recursive: true });
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  await writeFile(join(folder, ".local/state/zeph/spent.jsonl"), text);
}

async function usage(flags: Flags<"usage"> = {}, more: Partial<CliContext> = {}, columns = 80): Promise<string> {
  const { context, stdout, stderr } = chatTerminal({ folder });
  Object.assign(stdout, { columns });
  expect(await runUsage({ ...context, ...more }, flags)).toBe(0);
  return stripVTControlCharacters(stdout.text + stderr.text);
}

const nowMs = 1_700_000_000_000;
const day = (ago: number) => dayBefore(nowMs, ago);
const TODAY = localDay(nowMs);

describe("zeph usage", () => {
  it("says so when nothing was asked", async () => {
    expect(await usage()).toBe("Nothing was asked in the last 30 days.\n");
    expect(await usage({ days: "1" })).toBe("Nothing was asked today.\n");
  });

  it("tells days with bars, and providers and models, dearest first", async () => {
    await ledger(
      { day: day(2), usd: 0.5, provider: "first", model: "m/one", in: 1_000, out: 20_000, answers: 5 },
      { day: TODAY, usd: 0.25, provider: "second", model: "m/two", in: 10, out: 20 },
      { day: day(200), usd: 9, provider: "first", model: "m/one", in: 1, out: 1 },
    );
    const lines = (await usage()).split("\n");
    expect(lines[0]).toBe("Last 30 days · 6 answers · 1010 in · 20K out · $0.75");
    expect(lines.find((line) => line.startsWith(day(2)))).toMatch(/ 5 +1000 +20K +\$0\.50 {2}█{30}$/);
    expect(lines).toContain(day(1));
    expect(lines.find((line) => line.startsWith(TODAY))).toMatch(/ 1 +10 +20 +\$0\.25 {2}█{15}$/);
    expect(lines.filter((line) => /^(?:first|second) /.test(line)).map((line) => line.split(/ +/).slice(0, 4))).toEqual(
      [
        ["first", "m/one", "5", "$0.50"],
        ["second", "m/two", "1", "$0.25"],
      ],
    );
    expect(await usage({ days: "400" })).toContain("$9.75");
    expect(await usage({ days: "1" })).toMatch(/^Today · 1 answer · 10 in · 20 out · \$0\.25\n/);
  });

  it("adds no dollars to GNK, says what is unknown, and reads lines of earlier zephs", async () => {
    await ledger(
      { day: TODAY, usd: 0.1 },
      { day: TODAY, provider: "gonka", model: "m", in: 5, out: 5, ngonka: "1500000000" },
      { day: TODAY, provider: "free", model: "m", unknown: 1 },
      { day: "yesterday", usd: 1 },
    );
    const text = await usage();
    expect(text).toMatch(/3 answers · 5 in · 5 out · \$0\.10 \+ 1\.5 GNK \?/);
    expect(text).toContain("by tokens");
    expect(text).toContain("(not noted)");
    expect(text).toContain("? with answers whose cost nobody told");
  });

  it.each([24, 34, 44, 60])("fits into %s columns", async (columns) => {
    const model = "organisation/a-model-with-a-long-name";
    await ledger({ day: TODAY, provider: "gonkagate", model, in: 123_456, out: 123_456, usd: 0.123, answers: 12 });
    const lines = (await usage({}, {}, columns)).split("\n");
    const dayLine = lines.find((line) => line.startsWith(TODAY)) ?? "";
    expect(dayLine).toContain("$0.12");
    expect(dayLine.length).toBeLessThanOrEqual(columns);
  });

  it("gives JSON with exact GNK, and CSV that no spreadsheet runs", async () => {
    await ledger(
      { day: day(1), provider: "gonka", model: '=cmd|"x"', in: 1, out: 2, ngonka: "9007199254740993" },
      { day: TODAY, usd: 0.5, provider: "b", model: "a,b" },
    );
    const { data } = JSON.parse(await usage({}, { json: true }));
    expect(data.total).toEqual({
      answers: 2,
      inputTokens: 1,
      outputTokens: 2,
      costUsd: 0.5,
      costNgonka: "9007199254740993",
      answersOfUnknownCost: 0,
      errors: 0,
      p50Ms: null,
      p95Ms: null,
    });
    expect(data.days.map((each: { day: string }) => each.day)).toEqual([day(1), TODAY]);
    expect(data.models[0]).toMatchObject({ provider: "b", model: "a,b", costUsd: 0.5, costNgonka: null });
    expect((await usage({ csv: true })).split("\n")).toEqual([
      "day,provider,model,answers,input_tokens,output_tokens,cost_usd,cost_ngonka,answers_of_unknown_cost,client,errors,p50_ms,p95_ms",
      `${day(1)},gonka,"'=cmd|""x""",1,1,2,,9007199254740993,0,,0,,`,
      `${TODAY},b,"a,b",1,,,0.5,,0,,0,,`,
      "",
    ]);
  });

  it("tells hours and months, who asked, what failed, and how long answers took", async () => {
    const today = { day: TODAY, provider: "p", model: "m" };
    await ledger(
      { day: day(40), usd: 1, provider: "p", model: "m", client: "codex" },
      { ...today, hour: 0, client: "codex", usd: 0.5, took: [40, 1] },
      { ...today, hour: 0, client: "zeph ask", usd: 0.25, took: [20, 1] },
      { ...today, hour: 0, client: "codex", answers: 0, errors: 2 },
    );
    const hours = (await usage({ by: "hour" }, {}, 100)).split("\n");
    expect(hours[0]).toMatch(/^Last 2 days · 2 answers · 2 errors · .* · half within/);
    expect(hours.find((line) => line.startsWith(`${TODAY} 00:00`))).toMatch(/ 2 \(2 failed\) +\? +\? +\$0\.75 /);
    expect(hours.find((line) => line.startsWith("codex"))).toMatch(/ 1 \(2 failed\) +\$0\.50 .* 1\.\d s +1\.\d s$/);
    const { data } = JSON.parse(await usage({ by: "month" }, { json: true }));
    expect(data.months.map((each: object) => Object.values(each)[0])).toEqual([day(40).slice(0, 7), TODAY.slice(0, 7)]);
    expect(data.clients.map((each: { client: string }) => each.client)).toEqual(["codex", "zeph ask"]);
    const csv = await usage({ by: "hour", csv: true });
    expect(csv).toContain(`${TODAY}T00:00,p,m,1,,,0.5,,0,codex,2,`);
  });

  it("refuses what it does not understand", async () => {
    for (const days of ["0", "-1", "401", "many"]) {
      await expect(usage({ days })).rejects.toMatchObject({ code: "usage", detail: /--days/ });
    }
    await expect(usage({ by: "week" })).rejects.toMatchObject({ code: "usage", detail: /--by takes hour/ });
    await expect(usage({ by: "hour", days: "15" })).rejects.toMatchObject({ code: "usage", detail: /1 to 14/ });
    await expect(usage({ csv: true }, { json: true })).rejects.toMatchObject({ code: "usage" });
    await mkdir(join(folder, ".local/state/zeph/spent.jsonl"), { recursive: true });
    await expect(usage()).rejects.toMatchObject({ code: "usage", hint: /Move .*spent\.jsonl away/ });
  });
});
