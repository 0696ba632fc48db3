import { versions } from "node:process";
import { runDoctor } from "../../doctor/run-doctor.ts";
import type { InitWorld } from "../../init/init-world.ts";
import type { InitResult } from "../../init/set-up.ts";

/** What the doctor says right after set-up, in short. */
export interface CheckUp {
  readonly overall: "ok" | "warn" | "fail";
  /** One sentence. */
  readonly summary: string;
  /** Each failed check with what to do. */
  readonly failures: readonly string[];
}

const TIMEOUT_MS = 5_000;

/**
 * Lets the doctor look at what was set up; its checks are free. `undefined` where it could only repeat what was said:
 * without a model to chat with, and under the `env` backend, whose variable is not set yet.
 */
export async function checkUp(world: InitWorld, result: InitResult): Promise<CheckUp | undefined> {
  const { applied, outcome, facts, passphrase } = result;
  if (outcome.answers.model === undefined || facts.vault.backend === "env") return undefined;
  const config = facts.isUsualPath ? {} : { config: applied.configPath };
  const report = await runDoctor({
    world: {
      ...world,
      askPassphrase: passphrase,
      flags: { ...world.paths, ...config, provider: applied.providerName },
    },
    nodeVersion: versions.node,
    timeoutMs: TIMEOUT_MS,
    signal: world.signal,
  });
  const failed = report.checks.filter(({ status }) => status === "fail");
  const warnings = report.warnings === 0 ? "" : `, ${report.warnings} of them with a warning`;
  const summary =
    failed.length === 0
      ? `zeph doctor: ${report.checks.length} checks passed${warnings}.`
      : `zeph doctor: ${failed.length} of ${report.checks.length} checks failed.`;
  const inWords = failed.map(({ name, detail, hint }) => `${name}: ${detail}${hint === undefined ? "" : `\n${hint}`}`);
  return { overall: report.overall, summary, failures: inWords };
}
