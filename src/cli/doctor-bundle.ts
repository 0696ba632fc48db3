import { release } from "node:os";
import { resolve } from "node:path";
import { versions } from "node:process";
import { describeOrigin } from "../config/origin.ts";
import { zephFolders } from "../config/paths.ts";
import { type DoctorReport, toReportJson } from "../doctor/report.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { scrub } from "../internal/redact.ts";
import type { FailureEntry } from "../journal/failure-entry.ts";
import { failureJournal } from "../journal/failure-journal.ts";
import { journalPath } from "../journal/journal-path.ts";
import { VERSION } from "../version.ts";
import type { CliContext } from "./context.ts";
import { setupOf } from "./setup.ts";

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
