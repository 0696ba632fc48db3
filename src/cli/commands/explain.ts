import { release } from "node:os";
import { resolve } from "node:path";
import { versions } from "node:process";
import { writeFileAtomic } from "../../base/files.ts";
import { scrub } from "../../base/secret.ts";
import type { CliContext } from "../../base/world.ts";
import { zephFolders } from "../../config/files.ts";
import { describeOrigin } from "../../config/layer.ts";
import { type DoctorReport, toReportJson } from "../../doctor/doctor.ts";
import { isZephErrorCode, ZephError, type ZephErrorCode } from "../../errors.ts";
import {
  explainCode,
  explainFailure,
  type FailureEntry,
  failureJournal,
  findFailure,
  journalPath,
} from "../../journal/journal.ts";
import { VERSION } from "../../version.ts";
import type { Run } from "../command-table.ts";
import { setupOf } from "../setup.ts";
import { renderTable, style, toTerminalLine, writeResult } from "../terminal.ts";

/** `zeph explain`: the story of a failed request, from this computer's own small journal. Sends nothing. */
export const runExplain: Run<"explain"> = async (context, { id, last = false }) => {
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

/**
 * Writes what a maintainer needs to understand a bug: the report, versions, the settings in force with keys masked.
 * Every text is scrubbed, and the home folder is written as `~`. Returns the path.
 */
export async function writeBundle(context: CliContext, file: string, report: DoctorReport): Promise<string> {
  const path = resolve(context.cwd, file);
  const bundle = {
    bundle_version: 1,
    made_at: new Date(context.clock.nowMs()).toISOString(),
    zeph: VERSION,
    node: versions.node,
    platform: `${context.platform} ${release()}`,
    variables: knownVariables(context.env),
    settings: await settingsOf(context),
    failures: latestFailures(context),
    report: toReportJson(report),
  };
  await writeFileAtomic(path, `${JSON.stringify(bundle, (_key, value) => clean(value, context), 2)}\n`);
  return path;
}

/** Names only: which variables are set is often the cause, their values never are. */
function knownVariables(env: CliContext["env"]): readonly string[] {
  const isKnown = (name: string) => /^(?:ZEPH_|GONKA|XDG_|HTTPS?_PROXY$|NO_PROXY$|NODE_EXTRA_CA_CERTS$)/i.test(name);
  return Object.keys(env)
    .filter((name) => isKnown(name) && (env[name] ?? "") !== "")
    .sort();
}

async function settingsOf(context: CliContext): Promise<readonly string[]> {
  try {
    const { loaded } = await setupOf(context, {}, "silent");
    return loaded.settings.map(
      ({ key, value, origin }) => `${key} = ${JSON.stringify(value)}  # ${describeOrigin(origin)}`,
    );
  } catch (error) {
    // The report says what is wrong with the configuration.
    if (ZephError.is(error)) return [];
    throw error;
  }
}

/** The last failed requests: no prompts, no keys. */
function latestFailures(context: CliContext): readonly FailureEntry[] {
  const { clock, random } = context;
  return failureJournal({ path: journalPath(zephFolders(context).state), clock, random })
    .entries()
    .slice(-5);
}

function clean(value: unknown, { homeDir }: CliContext): unknown {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "string" ? scrub(value).replaceAll(homeDir, "~") : value;
}
