import { versions } from "node:process";
import { runDoctor } from "../../doctor/run-doctor.ts";
import type { InitWorld } from "../../init/init-world.ts";
import type { InitResult } from "../../init/set-up.ts";
import { refreshModels } from "../../provider/model-cache.ts";
import { openProvider } from "../../provider/open-provider.ts";
import { loadSetup, type SetupWorld } from "../../provider/setup.ts";

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
  const { outcome, facts } = result;
  if (outcome.answers.model === undefined || facts.vault.backend === "env") return undefined;
  const report = await runDoctor({
    world: worldAfter(world, result),
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

/**
 * Remembers the list of models with the network's prices, so that the first answer already tells what it cost. Nothing is
 * said where it cannot be read: whatever is wrong shows elsewhere, with its name.
 */
export async function rememberOffer(world: InitWorld, result: InitResult): Promise<void> {
  const { applied, outcome, facts } = result;
  if (outcome.answers.model === undefined || facts.vault.backend === "env") return;
  const deadline = new AbortController();
  const cancel = world.clock.schedule(TIMEOUT_MS, () => deadline.abort());
  try {
    const setup = await loadSetup(worldAfter(world, result));
    const opened = await openProvider(setup, { name: applied.providerName });
    await refreshModels(opened, setup.world, AbortSignal.any([world.signal, deadline.signal]));
  } catch {
    // Said above.
  } finally {
    cancel();
  }
}

/** What the next process will see, with the passphrase that was typed already. */
function worldAfter(world: InitWorld, { applied, facts, passphrase }: InitResult): SetupWorld {
  const config = facts.isUsualPath ? {} : { config: applied.configPath };
  const flags = { ...world.paths, ...config, provider: applied.providerName };
  return { ...world, askPassphrase: passphrase, flags };
}
