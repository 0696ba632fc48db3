import { unlink } from "node:fs/promises";
import { readTextFile, writeFileAtomic } from "../base/files.ts";
import type { Secret } from "../base/secret.ts";
import { BROKERS } from "../brokers/registry.ts";
import { type ProviderRecord, upsertProvider } from "../config/edit.ts";
import { changeConfig, writeConfig } from "../config/files.ts";
import { describeOrigin } from "../config/layer.ts";
import type { LoadedConfig } from "../config/load.ts";
import { migrateConfig } from "../config/migrate.ts";
import { describeUntrusted } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import { openProvider } from "../provider/open.ts";
import { loadSetup, type Setup } from "../provider/setup.ts";
import { type GatewayChoice, requireBroker } from "./access.ts";
import { gatewayBranch } from "./gateway.ts";
import { MAIN_NETWORK, nativeBranch } from "./native.ts";
import {
  type Ask,
  type BranchOutcome,
  type Facts,
  gatherFacts,
  type InitAnswers,
  type InitRequest,
  type InitSession,
  type InitWorld,
  type ReadyOutcome,
  refuseKeysIn,
  refusingKeys,
  secretStore,
  shortPath,
  type Tell,
  vaultOpener,
} from "./session.ts";

/** What set-up did. Holds no secret. */
export interface InitResult {
  readonly applied: AppliedInit;
  readonly outcome: ReadyOutcome;
  readonly facts: Facts;
  /** Names in the vault whose value was replaced; the vault as it was lies beside it. */
  readonly replacedSecrets: readonly string[];
  readonly elapsedMs: number;
  /** What the next process will find, for whoever looks at the result next: nothing is read or asked for again. */
  readonly setup: Setup;
}

interface AppliedInit extends InitPlan {
  /** The config as it was before, when there was one. */
  readonly backupPath: string | undefined;
  /** What else decides, so that the next run differs from what was answered; in sentences. */
  readonly overruled: readonly string[];
}

/**
 * The whole set-up: facts, questions, secrets into the vault, one real message, config, and a look at the result through
 * the eyes of the next process. Throws `cancelled` with what was stored so far; the config is then as it was.
 *
 * @param given without `ask` everything must be in the request
 */
export async function setUp(
  world: InitWorld,
  request: InitRequest,
  given: { readonly ask: Ask | undefined; readonly tell: Tell },
): Promise<InitResult> {
  const startedAtMs = world.clock.nowMs();
  const { tell } = given;
  refuseKeysIn(request, BROKERS);
  const gathered = await gatherFacts(world, request);
  refuseKeysIn(request, gathered.brokers);
  const ask = given.ask === undefined ? undefined : refusingKeys(given.ask, gathered.brokers);
  const conversation = { world, request, ask, tell };
  const facts = await withUsableConfig({ ...conversation, facts: gathered });
  const opener = vaultOpener(world);
  const secrets = secretStore(world, facts, opener);
  const session: InitSession = { ...conversation, facts, secrets };
  try {
    if (facts.untrusted !== undefined) tell.warn(describeUntrusted(facts.untrusted));
    const names = facts.config?.providers.map(({ name, isDefault }) => (isDefault ? `${name} (default)` : name)) ?? [];
    if (names.length > 0) tell.info(`Set up so far: ${names.join(", ")}. All of it is kept.`);
    const outcome = await converse(session);
    const more = request.full && ask !== undefined ? await askMoreSettings(ask) : {};
    const planFrom = (text: string | undefined) =>
      planInit(outcome.answers, { ...facts, configText: facts.startsAfresh ? undefined : text }, more);
    const { applied, setup } = await apply(session, { outcome, planFrom, passphrase: () => opener.passphrase() });
    const elapsedMs = world.clock.nowMs() - startedAtMs;
    return { applied, outcome, facts, replacedSecrets: secrets.replaced, elapsedMs, setup };
  } catch (error) {
    throw withWhatIsLeft(error, session);
  }
}

/** A config that cannot be read, or has an old form, is mended or replaced first, and only after a yes. */
async function withUsableConfig(session: Omit<InitSession, "secrets">): Promise<Facts> {
  const facts = await bringUpToDate(session);
  const { ask, tell, request } = session;
  const { configFault: fault, configPath, configText } = facts;
  if (fault === undefined) return facts;
  // The faults may be in another file, which a new one would not mend.
  if (configText === undefined || (ask === undefined && !request.force)) throw fault;
  if (!request.force && ask !== undefined) {
    tell.fail(fault.message);
    tell.warn(`A new ${configPath} can be written instead. The one that is there is kept as a backup.`);
    if ((await ask.text({ message: 'Type "replace" for a new one' })) !== "replace") throw fault;
  }
  return { ...facts, startsAfresh: true };
}

/**
 * A config in the form of old Zeph versions is brought to today's form first: a record written beside the old ones would
 * leave a file that no migration can mend. Without a yes, or `--force` where nobody can be asked, throws
 * `config_invalid` with the command to type.
 */
async function bringUpToDate({ world, request, facts, ask, tell }: Omit<InitSession, "secrets">): Promise<Facts> {
  const { configPath, configText } = facts;
  const text = configText === undefined ? undefined : withoutLegacyForm(configText);
  if (text === undefined) return facts;
  const path = shortPath(configPath, world);
  const message = `${path} is in the form of old Zeph versions. Bring it up to date? (A backup is kept.)`;
  if (!request.force && (await ask?.confirm({ message, initial: true })) !== true) {
    throw new ZephError("config_invalid", {
      detail: `${configPath} is in the form of old Zeph versions`,
      hint: "Run `zeph config migrate --in-place`, then `zeph init` again.",
    });
  }
  const { backupPath } = await writeConfig(configPath, text, { previous: configText, clock: world.clock });
  tell.done(`${path} is in today's form.${backupPath === undefined ? "" : ` Before: ${shortPath(backupPath, world)}`}`);
  return gatherFacts(world, request);
}

/** The file in today's form; `undefined` when it has no old one, or one that no migration can mend. */
function withoutLegacyForm(configText: string): string | undefined {
  try {
    const { text, changes } = migrateConfig(configText);
    return changes.some(({ rule }) => rule === "legacy_form") ? text : undefined;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

type PathChoice = GatewayChoice | "native";

/** A user may turn from one branch to the other, with the key that was pasted in the wrong one. */
async function converse(session: InitSession): Promise<ReadyOutcome> {
  let choice = await choosePath(session);
  let pasted: Secret | undefined;
  for (;;) {
    const outcome: BranchOutcome =
      choice === "native" ? await nativeBranch(session, { pasted }) : await gatewayBranch(session, { choice, pasted });
    if (outcome.kind === "ready") return outcome;
    choice = outcome.kind === "native" ? "native" : "gonkagate";
    pasted = outcome.pasted;
  }
}

/** Which way to the network: from flags, else from the menu. Throws `usage` for an unknown broker. */
async function choosePath({ request, ask, facts }: InitSession): Promise<PathChoice> {
  const { path, broker, baseURL, native } = request;
  // Before anything else is missed: what a slip of the name leaves out would be asked for next.
  if (broker !== undefined) requireBroker(broker, facts.brokers);
  const speaksOfNative = native.sourceUrl !== undefined || native.nodes.length > 0 || native.keyName !== undefined;
  let decided: PathChoice | undefined;
  if (path === "native" || (path === undefined && speaksOfNative)) decided = "native";
  else if (broker === undefined && baseURL !== undefined) decided = "custom";
  else if (path === "gateway" || broker !== undefined) decided = "gonkagate";
  if (ask === undefined) requireAnswers(request, facts, decided);
  if (decided !== undefined) return decided;
  if (ask === undefined) throw new ZephError("not_interactive");
  return ask.select<PathChoice>({
    message: "How do you want to reach the Gonka network?",
    choices: [
      { value: "gonkagate", label: "Gonka (decentralized — via GonkaGate)", hint: "gateway: API key, works today" },
      { value: "another-broker", label: "Gonka (another broker)" },
      {
        value: "native",
        label: "Gonka (native — signed requests)",
        hint: `closed on mainnet since ${MAIN_NETWORK.closedSince}, but for escrows of listed accounts`,
      },
      { value: "custom", label: "Compatible (custom)", hint: "any OpenAI-compatible endpoint" },
    ],
  });
}

/**
 * Where nobody can be asked, all that is missing is named before anything is done. Whether there is a key already is
 * seen later, and also before anything is written.
 */
function requireAnswers(
  { broker, baseURL, name, model, key, native }: InitRequest,
  { config }: Facts,
  path: PathChoice | undefined,
): void {
  const known = config?.providers.find((provider) => provider.name === (name ?? broker ?? path));
  const hasModel = model !== undefined || (known !== undefined && known.type !== "other" && known.model !== undefined);
  const isCustom = path === "custom" || broker === "custom";
  const hasNode = native.sourceUrl !== undefined || native.nodes.length > 0;
  const missing = [
    path === undefined ? "--path gateway or native" : undefined,
    isCustom && baseURL === undefined ? "--base-url URL" : undefined,
    path === "native" && !hasNode ? "--source-url URL or --node URL" : undefined,
    path === undefined && key === undefined ? "--key-stdin or --key-env NAME" : undefined,
    hasModel ? undefined : "--model ID or auto",
  ].filter((flag) => flag !== undefined);
  if (missing.length === 0) return;
  throw new ZephError(path === undefined ? "not_interactive" : "missing_input", { detail: missing.join(", ") });
}

/** Whoever stops half-way is told what the vault holds now and how to take it out. */
function withWhatIsLeft(error: unknown, { world, secrets, tell }: InitSession): unknown {
  const { kept } = secrets;
  const stored = `the vault now holds ${kept.join(" and ")}`;
  const removal = kept.map((name) => `\`zeph vault rm ${name}\``).join(" and ");
  const isCancelled = ZephError.is(error) && error.code === "cancelled";
  if (!isCancelled && !world.signal.aborted) {
    if (kept.length > 0)
      tell.warn(`The config was not changed; ${stored}. Take it out with ${removal}, or run \`zeph init\` again.`);
    return error;
  }
  const reason = (isCancelled ? error.detail : undefined) ?? "the config is as it was";
  if (kept.length === 0) return new ZephError("cancelled", { detail: reason, cause: error });
  const hint = `Run \`zeph init\` again to go on with it, or take it out with ${removal}.`;
  return new ZephError("cancelled", { detail: `${reason}; ${stored}`, hint, cause: error });
}

/** What will be written. Making it changes nothing. */
interface InitPlan {
  readonly configPath: string;
  readonly configText: string;
  readonly providerName: string;
  readonly isDefault: boolean;
}

/** Stands at the top of a file that init begins. */
const NEW_FILE = "# Written by `zeph init`. Secrets are in the vault; api_key_env is the name of one, not its value.\n";

/**
 * The config file with the new record added, or the record of the same name changed. Everything else in it stays.
 * Throws `config_invalid` when the file cannot be edited without harm.
 *
 * @param more further fields of the record
 */
export function planInit(
  answers: InitAnswers,
  { config, configPath, configText }: Pick<Facts, "config" | "configPath" | "configText">,
  more: Readonly<Record<string, unknown>> = {},
): InitPlan {
  const { name, model, makeDefault } = answers;
  const existing = config?.providers.find((provider) => provider.name === name);
  const isFirst = config === undefined || config.providers.every((provider) => provider === existing);
  const isDefault = makeDefault ?? (existing === undefined ? isFirst : existing.isDefault);
  // No model is left out rather than written empty; one that is in the file already stays.
  const chosen = model === undefined ? {} : { model };
  // A record that is not the default says nothing about it, unless it has to stop being it.
  const rest = { default: isDefault ? true : makeDefault === false ? false : undefined, ...more };
  let record: ProviderRecord;
  if (answers.path === "gateway") {
    const { baseURL: base_url, secretName: api_key_env } = answers;
    record = { type: "compatible", name, base_url, ...chosen, api_key_env, ...rest };
  } else {
    const { chainPrefix: gonka_chain_prefix, sourceUrl: gonka_source_url, nodes, access } = answers;
    const gonka_nodes = nodes.length === 0 ? undefined : nodes;
    const how = access === undefined ? {} : { access };
    record = { type: "gonka", name, ...chosen, gonka_chain_prefix, gonka_source_url, ...how, ...rest, gonka_nodes };
  }
  return { configPath, configText: upsertProvider(configText ?? NEW_FILE, record), providerName: name, isDefault };
}

/** The questions of `--full`. Plain Enter keeps the default, which is then not written into the file. */
async function askMoreSettings(ask: Ask): Promise<Readonly<Record<string, unknown>>> {
  const fields: Record<string, unknown> = {};
  const questions = [
    ["max_tokens", "Longest answer, in tokens", 4096],
    ["request_timeout", "Longest wait for the first byte, in seconds", 120],
    ["max_retries", "Attempts per request", 3],
    ["max_concurrent", "Requests at once (0: no limit)", 0],
  ] as const;
  for (const [field, message, usual] of questions) {
    const check = (value: string) => {
      const isNumber = /^\d{1,7}$/.test(value) && (Number(value) > 0 || usual === 0);
      return isNumber ? undefined : "This must be a whole number.";
    };
    const given = Number(await ask.text({ message, initial: String(usual), check }));
    if (given !== usual) fields[field] = field === "request_timeout" ? `${given}s` : given;
  }
  return fields;
}

/**
 * Writes the config in one step and loads it again the way the next process will, secrets included. When that fails the
 * file is put back as it was and the cause is thrown. Throws `file_unwritable` too.
 */
async function apply(
  session: InitSession,
  {
    outcome,
    planFrom,
    passphrase,
  }: {
    readonly outcome: ReadyOutcome;
    readonly planFrom: (configText: string | undefined) => InitPlan;
    readonly passphrase: InitWorld["askPassphrase"];
  },
): Promise<{ readonly applied: AppliedInit; readonly setup: Setup }> {
  const { world, request, facts } = session;
  // Read anew: the questions may have taken minutes, and somebody may have an editor open.
  const before = await readTextFile(facts.configPath);
  const plan = planFrom(before);
  const written =
    before === plan.configText
      ? undefined
      : await changeConfig(plan.configPath, (now) => planFrom(now).configText, world);
  try {
    const flags = { ...world.paths, config: request.output ?? world.paths.config, provider: plan.providerName };
    const setup = await loadSetup({ ...world, flags, askPassphrase: passphrase });
    // Nothing is stored under the env backend; the user was told which variable to set.
    if (facts.vault.backend === "age") await verifySecrets(setup, plan.providerName, outcome.secrets);
    const overruled = overruledAnswers(outcome.answers, plan, setup.loaded);
    return { applied: { ...plan, backupPath: written?.backupPath, overruled }, setup };
  } catch (error) {
    // The file itself, where the path is a link to it.
    if (written !== undefined) {
      if (written.previous === undefined) await unlink(written.path);
      else await writeFileAtomic(written.path, written.previous);
      if (written.backupPath !== undefined) await unlink(written.backupPath);
    }
    throw error;
  }
}

/** What the next plain `zeph` does before its first request. */
async function verifySecrets(setup: Setup, provider: string, secrets: ReadyOutcome["secrets"]): Promise<void> {
  try {
    await openProvider(setup, { name: provider });
  } catch (error) {
    // A variable sends it elsewhere for now, where the key does not go; that is told as what decides here.
    const from = setup.loaded.origins.get(`llm.providers.${provider}.base_url`);
    if (!ZephError.is(error) || error.code !== "key_for_another_origin" || from?.kind !== "env") throw error;
    return;
  }
  for (const [name, secret] of secrets) {
    const names = { canonical: name, stored: [name], aliases: [] };
    const found = await setup.optionalSecret(names, `provider "${provider}"`);
    if (found?.secret.reveal() === secret.reveal()) continue;
    throw new ZephError("vault_unreadable", { detail: `${name} does not hold what was just stored` });
  }
}

/** A project file or a variable goes before the file that was written. */
function overruledAnswers(
  answers: InitAnswers,
  { providerName, isDefault }: InitPlan,
  { config, origins }: LoadedConfig,
): readonly string[] {
  const provider = config.providers.find(({ name }) => name === providerName);
  const current = config.providers.find((each) => each.isDefault);
  const model = provider === undefined || provider.type === "other" ? undefined : provider.model;
  const baseURL = provider?.type === "compatible" ? provider.baseURL : undefined;
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ["model", answers.model, model],
    ["base_url", answers.path === "gateway" && baseURL !== undefined ? answers.baseURL : undefined, baseURL],
  ];
  const words = facts
    .filter(([, answered, inForce]) => answered !== undefined && answered !== inForce)
    .map(([field, , inForce]) => {
      const origin = origins.get(`llm.providers.${providerName}.${field}`);
      const from = origin === undefined ? "something else" : describeOrigin(origin);
      return `${field} of ${providerName} is ${String(inForce)} here, because of ${from}.`;
    });
  if (isDefault && current !== undefined && current.name !== providerName)
    words.push(`${current.name} is the default here, because of another config file.`);
  return words;
}
