import { stateFile } from "../../base/lock.ts";
import type { CliContext } from "../../base/world.ts";
import { type Contestant, compare } from "../../chat/compare.ts";
import type { ChatSession } from "../../chat/session.ts";
import { zephFolders } from "../../config/files.ts";
import { EXIT, ZephError } from "../../errors.ts";
import { openBudget } from "../../journal/budget.ts";
import { spendingPath } from "../../journal/ledger.ts";
import type { Setup } from "../../provider/setup.ts";
import { formatGnk } from "../../wire/documents.ts";
import type { Run } from "../command-table.ts";
import { dailyCentsOf } from "../local-endpoint.ts";
import { openSession } from "../session.ts";
import { setupOf } from "../setup.ts";
import { formatSeconds, formatUsd, renderTable, show, style, toTerminalLine, writeResult } from "../terminal.ts";

const LEAST = 2;
const MOST = 3;

/**
 * `zeph compare`: one question to two or three models or brokers at once. Time to the first word, speed, cost, and
 * whether tools and JSON mode work; the page of `zeph serve` does the same.
 */
export const runCompare: Run<"compare"> = async (context, { question, targets = [], model = [], answers }) => {
  const setup = await setupOf(context);
  const wanted = [...targets, ...model];
  const entries = wanted.length === 0 ? standardEntries(setup) : wanted.map((each) => toEntry(each, setup));
  if (entries.length < LEAST || entries.length > MOST) {
    throw new ZephError("usage", {
      detail: `${entries.length} to compare; two or three belong here`,
      hint: 'Name them behind the question, such as `zeph compare "Why is the sky blue?" --model A --model B`.',
    });
  }
  const sessions = await openAll(context, setup, entries);
  const { clock, signal } = context;
  const file = stateFile(spendingPath(zephFolders(context).state), clock);
  const budget = openBudget({ maxDailyCents: dailyCentsOf(setup), file, clock, client: "zeph compare" });
  await budget.check();
  const names = sessions.map(({ providerName, modelId }) => `${providerName}/${modelId}`);
  const results: (Contestant | ZephError | undefined)[] = sessions.map(() => undefined);
  for await (const event of compare(question, { sessions, clock, budget, signal })) {
    if (event.type === "end") results[event.index] = event;
    else if (event.type === "error") results[event.index] = event.error;
    else if (event.type === "first" && !context.json) {
      show(context.stderr, `${names[event.index]} began after ${formatSeconds(event.ms)}\n`);
    }
  }
  if (signal.aborted) throw new ZephError("cancelled");
  const data = {
    question,
    results: results.map((result, index) => ({ ...namesOf(sessions[index]), ...toData(result) })),
  };
  const rows = results.map((result, index) => [names[index] ?? "", ...cells(result)]);
  const { dim } = style(context.color);
  const table = renderTable([HEAD.map(dim), ...rows.map((row) => row.map(toTerminalLine))]);
  const texts = answers === true ? results.map((result, index) => answerText(names[index] ?? "", result)).join("") : "";
  const isAnyAnswered = results.some((result) => result !== undefined && !ZephError.is(result));
  return writeResult(context, { data, answer: table + texts, exitCode: isAnyAnswered ? EXIT.ok : exitCodeOf(results) });
};

interface Entry {
  readonly provider: string | undefined;
  readonly model: string | undefined;
}

/** The model of each configured provider. */
function standardEntries({ loaded }: Setup): readonly Entry[] {
  const own = loaded.config.providers.flatMap((each) =>
    each.type === "other" || each.model === undefined ? [] : [{ provider: each.name, model: each.model }],
  );
  return own.slice(0, MOST);
}

/** Ids of models hold slashes too: what stands before the first one is a provider only where one is called so. */
function toEntry(text: string, { loaded }: Setup): Entry {
  const names = loaded.config.providers.map(({ name }) => name);
  if (names.includes(text)) return { provider: text, model: undefined };
  const name = names.find((each) => text.startsWith(`${each}/`));
  return name === undefined
    ? { provider: undefined, model: text }
    : { provider: name, model: text.slice(name.length + 1) };
}

/** Who is compared is asked by name: nobody stands in. */
async function openAll(context: CliContext, setup: Setup, entries: readonly Entry[]): Promise<readonly ChatSession[]> {
  const standard = setup.loaded.config.providers.find(({ isDefault }) => isDefault)?.name;
  const sessions: ChatSession[] = [];
  for (const { provider = standard, model } of entries) {
    sessions.push((await openSession(context, setup, { provider, model })).session);
  }
  return sessions;
}

const HEAD = ["", "first word", "tokens/s", "tokens", "time", "cost", "tools", "JSON"];

function cells(result: Contestant | ZephError | undefined): readonly string[] {
  if (result === undefined) return ["no answer"];
  if (ZephError.is(result)) return [result.message];
  const { answer, tokensPerSecond, toolCall, jsonMode } = result;
  const { firstByteMs, elapsedMs, usage, costUsd, costNgonka } = answer;
  return [
    firstByteMs === undefined ? "?" : formatSeconds(firstByteMs),
    tokensPerSecond === undefined ? "?" : tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0),
    usage.output === undefined ? "?" : String(usage.output),
    formatSeconds(elapsedMs),
    costUsd !== undefined ? formatUsd(costUsd) : costNgonka !== undefined ? formatGnk(costNgonka) : "?",
    toolCall,
    jsonMode,
  ];
}

function namesOf(session: ChatSession | undefined) {
  return { provider: session?.providerName ?? null, model: session?.modelId ?? null };
}

function toData(result: Contestant | ZephError | undefined) {
  if (result === undefined) return { error: null };
  if (ZephError.is(result)) return { error: result.toJSON() };
  const { answer, tokensPerSecond, toolCall, jsonMode } = result;
  return {
    firstWordMs: answer.firstByteMs ?? null,
    totalMs: answer.elapsedMs,
    tokensPerSecond: tokensPerSecond ?? null,
    inputTokens: answer.usage.input ?? null,
    outputTokens: answer.usage.output ?? null,
    costUsd: answer.costUsd ?? null,
    costNgonka: answer.costNgonka?.toString() ?? null,
    toolCall,
    jsonMode,
    answer: answer.text,
  };
}

function answerText(name: string, result: Contestant | ZephError | undefined): string {
  const text = result === undefined || ZephError.is(result) ? "(no answer)" : result.answer.text.trim();
  return `\n── ${toTerminalLine(name)}\n\n${text.split("\n").map(toTerminalLine).join("\n")}\n`;
}

function exitCodeOf(results: readonly (Contestant | ZephError | undefined)[]): number {
  const failure = results.find((result) => ZephError.is(result));
  return ZephError.is(failure) ? failure.exitCode : EXIT.failure;
}
