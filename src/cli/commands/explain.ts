import { zephFolders } from "../../config/paths.ts";
import { isZephErrorCode, type ZephErrorCode } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { explainCode, explainFailure } from "../../journal/explain-failure.ts";
import type { FailureEntry } from "../../journal/failure-entry.ts";
import { failureJournal } from "../../journal/failure-journal.ts";
import { findFailure } from "../../journal/find-failure.ts";
import { journalPath } from "../../journal/journal-path.ts";
import type { CliContext, RunCommand } from "../context.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { toTerminalLine } from "../render/terminal-text.ts";
import { writeResult } from "../write-result.ts";

export interface ExplainFlags {
  /** Id of a failed request, ours or the server's, or an error code; default the last request. */
  readonly id?: string;
  /** `--last`: the last one, which is the default. */
  readonly last?: boolean;
}

/** `zeph explain`: the story of a failed request, from this computer's own small journal. Sends nothing. */
export const runExplain: RunCommand<ExplainFlags> = async (context, { id, last = false }) => {
  if (isZephErrorCode(id) && !last) return writeCode(context, id);
  if (last && id !== undefined) throw new ZephError("usage", { detail: "give --last or an id, not both" });
  const path = journalPath(zephFolders(context).state);
  const entries = failureJournal({ path, clock: context.clock, random: context.random }).entries();
  const entry = findFailure(entries, id);
  if (entry === undefined && id !== undefined) {
    const known = entries.slice(-3).map((each) => each.id);
    throw new ZephError("usage", {
      detail: `no failed request with the id ${id} is remembered`,
      hint: known.length === 0 ? "Nothing has failed yet." : `The latest are ${known.join(", ")}.`,
    });
  }
  if (entry === undefined) return writeResult(context, { data: null, notice: "No request has failed yet.\n" });
  const data = { ...entry, at: new Date(entry.atMs).toISOString(), story: explainFailure(entry) };
  return writeResult(context, { data, answer: renderStory(context, entry) });
};

/** An error card names its code; here is the rest, also where nothing was sent and nothing is remembered. */
function writeCode(context: CliContext, code: ZephErrorCode): number {
  const story = explainCode(code);
  const { bold, dim, cyan } = style(context.color);
  const { what, meaning, again, next, exitCode } = story;
  const facts = dim(`  ${code}, exit code ${exitCode}`);
  const answer = `${[bold(what), facts, "", meaning, again, "", `${cyan("→")} ${next}`].join("\n")}\n`;
  return writeResult(context, { data: { code, ...story }, answer });
}

function renderStory({ color, clock }: CliContext, entry: FailureEntry): string {
  const { bold, dim, cyan } = style(color);
  const { what, serverSaid, meaning, charged, next } = explainFailure(entry);
  const model = entry.model === undefined ? "" : ` for ${entry.model}`;
  const ids = [entry.id, ...(entry.requestId === undefined ? [] : [`request id ${entry.requestId}`])].join(", ");
  const lines = [
    `${bold(what)}`,
    dim(`${toTerminalLine(entry.provider + model)}, ${agoWords(clock.nowMs() - entry.atMs)} (${toTerminalLine(ids)})`),
    "",
    ...attemptLines(entry),
    ...(serverSaid === undefined ? [] : [`It said: ${toTerminalLine(serverSaid)}`]),
    meaning,
    charged,
    "",
    `${cyan("→")} ${toTerminalLine(next)}`,
  ];
  return `${lines.join("\n")}\n`;
}

function attemptLines({ attempts }: FailureEntry): readonly string[] {
  if (attempts.length === 0) return [];
  const rows = attempts.map(({ endpoint, status, code, elapsedMs, detail }, index) => [
    `  ${index + 1}.`,
    toTerminalLine(endpoint),
    status === undefined ? "no answer" : `HTTP ${status}`,
    code,
    `${Math.round(elapsedMs)} ms`,
    toTerminalLine(detail ?? ""),
  ]);
  return [...renderTable(rows).trimEnd().split("\n"), ""];
}

function agoWords(elapsedMs: number): string {
  const seconds = Math.max(0, Math.round(elapsedMs / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`;
}
