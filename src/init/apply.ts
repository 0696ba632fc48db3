import { unlink } from "node:fs/promises";
import type { LoadedConfig } from "../config/load.ts";
import { describeOrigin } from "../config/origin.ts";
import { readTextFile } from "../config/read-text-file.ts";
import { changeConfig } from "../config/write.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import type { Secret } from "../internal/secret.ts";
import { openProvider } from "../provider/open-provider.ts";
import { loadSetup, type SetupWorld } from "../provider/setup.ts";
import { configFlags, type Facts } from "./facts.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitWorld } from "./init-world.ts";
import { type InitAnswers, type InitPlan, planInit } from "./plan.ts";
import type { VaultOpener } from "./vault-opener.ts";

export interface ApplyOptions {
  readonly world: InitWorld;
  readonly request: InitRequest;
  readonly facts: Facts;
  readonly opener: VaultOpener;
  /** The secrets that were accepted, by name: what the next process must find. */
  readonly secrets: ReadonlyMap<string, Secret>;
}

export interface AppliedInit extends InitPlan {
  /** The config as it was before, when there was one. */
  readonly backupPath: string | undefined;
  /** What else decides, so that the next run differs from what was answered; in sentences. */
  readonly overruled: readonly string[];
}

/**
 * Writes the config in one step and loads it again the way the next process will, secrets included. When that fails the
 * file is put back as it was and the cause is thrown. Throws `file_unwritable` too.
 */
export async function applyInit(answers: InitAnswers, options: ApplyOptions): Promise<AppliedInit> {
  const { world, facts } = options;
  const planFrom = (configText: string | undefined) =>
    planInit(answers, { ...facts, configText: facts.startsAfresh ? undefined : configText });
  // Read anew: the questions may have taken minutes, and somebody may have an editor open.
  const before = await readTextFile(facts.configPath);
  const plan = planFrom(before);
  const written =
    before === plan.configText
      ? undefined
      : await changeConfig(plan.configPath, (now) => planFrom(now).configText, world);
  try {
    const loaded = await verifySetup(plan.providerName, options);
    return { ...plan, backupPath: written?.backupPath, overruled: overruledAnswers(answers, plan, loaded) };
  } catch (error) {
    // The file itself, where the path is a link to it.
    if (written !== undefined) await putBack(written.path, written.previous, written.backupPath);
    throw error;
  }
}

async function putBack(path: string, before: string | undefined, backupPath: string | undefined): Promise<void> {
  if (before === undefined) await unlink(path);
  else await writeFileAtomic(path, before);
  if (backupPath !== undefined) await unlink(backupPath);
}

/** What the next plain `zeph` does before its first request. */
async function verifySetup(providerName: string, options: ApplyOptions): Promise<LoadedConfig> {
  const { world, request, facts, opener, secrets } = options;
  const flags = { ...world.paths, ...configFlags(world, request) };
  const setupWorld: SetupWorld = { ...world, flags, askPassphrase: () => opener.passphrase() };
  const setup = await loadSetup(setupWorld);
  // Nothing is stored under the env backend; the user was told which variable to set.
  if (facts.vault.backend === "env") return setup.loaded;
  try {
    await openProvider(setup, { name: providerName });
  } catch (error) {
    // A variable sends it elsewhere for now, where the key does not go; that is told as what decides here.
    const from = setup.loaded.origins.get(`llm.providers.${providerName}.base_url`);
    if (!ZephError.is(error) || error.code !== "key_for_another_origin" || from?.kind !== "env") throw error;
    return setup.loaded;
  }
  for (const [name, secret] of secrets) {
    const found = await setup.optionalSecret(
      { canonical: name, stored: [name], aliases: [] },
      `provider "${providerName}"`,
    );
    if (found?.secret.reveal() === secret.reveal()) continue;
    throw new ZephError("vault_unreadable", { detail: `${name} does not hold what was just stored` });
  }
  return setup.loaded;
}

/** A project file or a variable goes before the file that was written. */
function overruledAnswers(answers: InitAnswers, plan: InitPlan, { config, origins }: LoadedConfig): readonly string[] {
  const provider = config.providers.find(({ name }) => name === plan.providerName);
  const current = config.providers.find(({ isDefault }) => isDefault);
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ["model", answers.model, provider === undefined || provider.type === "other" ? undefined : provider.model],
    ...(answers.path === "gateway" && provider?.type === "compatible"
      ? [["base_url", answers.baseURL, provider.baseURL] as const]
      : []),
  ];
  const fields = facts
    .filter(([, answered, inForce]) => answered !== undefined && answered !== inForce)
    .map(([field, , inForce]) => {
      const origin = origins.get(`llm.providers.${plan.providerName}.${field}`);
      const from = origin === undefined ? "something else" : describeOrigin(origin);
      return `${field} of ${plan.providerName} is ${String(inForce)} here, because of ${from}.`;
    });
  if (!plan.isDefault || current === undefined || current.name === plan.providerName) return fields;
  return [...fields, `${current.name} is the default here, because of another config file.`];
}
