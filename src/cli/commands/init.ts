import { versions } from "node:process";
import type { CliContext } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import { type InitResult, setUp } from "../../init/init.ts";
import {
  type Ask,
  type InitRequest,
  type InitWorld,
  plainTell,
  quietTell,
  shortPath,
  type Tell,
} from "../../init/session.ts";
import { refreshModels } from "../../provider/models.ts";
import { openProvider } from "../../provider/open.ts";
import type { Flags, Run } from "../command-table.ts";
import { interruptibleClock, passphraseSource, readStdinSecret, vaultPathsOf } from "../input.ts";
import { writeResult } from "../terminal.ts";

/** `zeph init`: from nothing to the first reply. */
export const runInit: Run<"init"> = async (context, flags) => {
  const request = toRequest(flags);
  const world = toWorld(context);
  if (!context.interactive) {
    const tell = context.json ? quietTell(world) : plainTell(world);
    const { result, doctor } = await setUpAndCheck(world, request, { ask: undefined, tell });
    return writeResult(context, { data: toData(result, doctor), notice: `${closingWords(result)}\n` });
  }
  const { terminalWizard } = await import("../../init/prompts.ts");
  const { ask, tell, begin, end } = terminalWizard(world);
  begin("zeph init");
  const { result, doctor } = await setUpAndCheck(world, request, { ask, tell });
  end(closingWords(result));
  return writeResult(context, { data: toData(result, doctor) });
};

async function setUpAndCheck(
  world: InitWorld,
  request: InitRequest,
  conversation: { readonly ask: Ask | undefined; readonly tell: Tell },
) {
  const { tell } = conversation;
  const result = await setUp(world, request, conversation);
  const { configPath, backupPath, overruled } = result.applied;
  const backup = backupPath === undefined ? "" : `\nBefore: ${shortPath(backupPath, world)}`;
  tell.done(`Config: ${shortPath(configPath, world)}${backup}`);
  for (const words of overruled) tell.warn(words);
  const [doctor] = await tell.work("Looking it all over", () =>
    Promise.all([request.test ? checkUp(world, result) : undefined, rememberOffer(world, result)]),
  );
  if (doctor?.failures.length === 0) tell.done(doctor.summary);
  else if (doctor !== undefined) tell.warn([doctor.summary, ...doctor.failures].join("\n"));
  return { result, doctor };
}

function closingWords(result: InitResult): string {
  return `Ready in ${seconds(result)}. ${nextStep(result)}`;
}

function seconds({ elapsedMs }: InitResult): string {
  return `${(elapsedMs / 1000).toFixed(1)} s`;
}

function nextStep({ applied, outcome, facts }: InitResult): string {
  const config = facts.isUsualPath ? "" : ` --config ${applied.configPath}`;
  const provider = applied.isDefault ? "" : ` --provider ${applied.providerName}`;
  if (outcome.answers.model === undefined) return `Look at the account with: zeph${config} gonka account`;
  if (outcome.answers.path === "native" && outcome.answers.access === "devshard")
    return `Nothing was paid. Next: zeph${config} devshard check, then zeph${config} devshard open`;
  return `Now chat with: zeph${config}${provider}`;
}

/** What `--json` tells. Field names are stable. */
function toData({ applied, outcome, facts, replacedSecrets, elapsedMs }: InitResult, doctor: CheckUp | undefined) {
  const { answers, secrets, reply, address } = outcome;
  return {
    path: answers.path,
    provider: applied.providerName,
    isDefault: applied.isDefault,
    model: answers.model ?? null,
    ...(answers.path === "gateway"
      ? { baseURL: answers.baseURL }
      : { address: address ?? null, sourceUrl: answers.sourceUrl ?? null, nodes: answers.nodes }),
    configPath: applied.configPath,
    backupPath: applied.backupPath ?? null,
    vault: { backend: facts.vault.backend, secrets: [...secrets.keys()], replaced: replacedSecrets },
    test: reply ?? null,
    doctor: doctor ?? null,
    elapsedMs,
  };
}

/** Throws `usage` for flags that contradict each other. */
function toRequest(flags: Flags<"init">): InitRequest {
  const { path, broker, model, name, output, keyName, keyringBackend, keyringHome, prefix } = flags;
  if (path !== undefined && path !== "gateway" && path !== "native") {
    throw new ZephError("usage", { detail: `--path ${path}`, hint: "Give --path gateway or --path native." });
  }
  if (flags.keyStdin === true && flags.keyEnv !== undefined) {
    throw new ZephError("usage", { detail: "--key-stdin and --key-env exclude each other" });
  }
  const { keyStdin, keyEnv, baseUrl: baseURL, sourceUrl, expectAddress } = flags;
  const fromVariable = keyEnv === undefined ? undefined : ({ from: "env", variable: keyEnv } as const);
  return {
    ...{ path, broker, baseURL, model, name, output, makeDefault: flags.default },
    key: keyStdin === true ? { from: "stdin" } : fromVariable,
    test: flags.test !== false,
    force: flags.force === true,
    full: flags.full === true,
    native: { keyName, keyringBackend, keyringHome, prefix, sourceUrl, expectAddress, nodes: flags.node ?? [] },
  };
}

function toWorld(context: CliContext): InitWorld {
  return {
    ...context,
    clock: interruptibleClock(context),
    vaultPaths: vaultPathsOf(context),
    askPassphrase: passphraseSource(context),
    readStdinSecret: () => readStdinSecret(context),
  };
}

/** What the doctor says right after set-up, in short. */
interface CheckUp {
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
async function checkUp(world: InitWorld, result: InitResult): Promise<CheckUp | undefined> {
  const { outcome, facts } = result;
  if (outcome.answers.model === undefined || facts.vault.backend === "env") return undefined;
  const { runDoctor } = await import("../../doctor/doctor.ts");
  const report = await runDoctor({
    world: result.setup.world,
    setup: result.setup,
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
async function rememberOffer(world: InitWorld, result: InitResult): Promise<void> {
  const { applied, outcome, facts, setup } = result;
  if (outcome.answers.model === undefined || facts.vault.backend === "env") return;
  const deadline = new AbortController();
  const cancel = world.clock.schedule(TIMEOUT_MS, () => deadline.abort());
  try {
    const opened = await openProvider(setup, { name: applied.providerName });
    await refreshModels(opened, setup.world, AbortSignal.any([world.signal, deadline.signal]));
  } catch {
    // Said above.
  } finally {
    cancel();
  }
}
