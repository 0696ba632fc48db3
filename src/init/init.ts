import { BROKERS } from "../brokers/registry.ts";
import { writeConfig } from "../config/files.ts";
import { migrateConfig } from "../config/migrate.ts";
import { describeUntrusted } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import type { AskPassphrase } from "../vault/key.ts";
import { type GatewayChoice, requireBroker } from "./access.ts";
import {
  type AppliedInit,
  applyInit,
  askMoreSettings,
  type BranchOutcome,
  type MoreSettings,
  type ReadyOutcome,
} from "./apply.ts";
import { gatewayBranch } from "./gateway.ts";
import { MAIN_NETWORK, nativeBranch } from "./native.ts";
import {
  type Ask,
  type Facts,
  gatherFacts,
  type InitRequest,
  type InitSession,
  type InitWorld,
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
  /** The vault's passphrase for whoever looks at the result next, so that it is not asked for again. */
  readonly passphrase: AskPassphrase;
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
  refuseKeysIn(request, BROKERS);
  const gathered = await gatherFacts(world, request);
  refuseKeysIn(request, gathered.brokers);
  const conversation = {
    tell: given.tell,
    ask: given.ask === undefined ? undefined : refusingKeys(given.ask, gathered.brokers),
  };
  const found = await bringUpToDate(world, request, gathered, conversation);
  const facts =
    found.configFault === undefined ? found : await beginAnew(found, found.configFault, request, conversation);
  const opener = vaultOpener(world);
  const session: InitSession = { world, request, facts, ...conversation, secrets: secretStore(world, facts, opener) };
  try {
    tellWhatStays(session);
    const outcome = withMore(await converse(session), await moreSettings(session));
    const applied = await applyInit(outcome.answers, { world, request, facts, opener, secrets: outcome.secrets });
    const elapsedMs = world.clock.nowMs() - startedAtMs;
    const { replaced: replacedSecrets } = session.secrets;
    return { applied, outcome, facts, replacedSecrets, elapsedMs, passphrase: opener.passphrase };
  } catch (error) {
    throw withWhatIsLeft(error, session);
  }
}

/** A user may turn from one branch to the other, with the key that was pasted in the wrong one. */
async function converse(session: InitSession): Promise<ReadyOutcome> {
  let next: { readonly choice: PathChoice } & Pick<Exclude<BranchOutcome, ReadyOutcome>, "pasted"> = {
    choice: await choosePath(session),
  };
  for (;;) {
    const { choice, ...pasted } = next;
    const outcome: BranchOutcome =
      choice === "native" ? await nativeBranch(session, pasted) : await gatewayBranch(session, { choice, ...pasted });
    if (outcome.kind === "ready") return outcome;
    const { kind, ...carried } = outcome;
    next = { choice: kind === "native" ? "native" : "gonkagate", ...carried };
  }
}

async function moreSettings({ request, ask }: InitSession): Promise<MoreSettings | undefined> {
  return request.full && ask !== undefined ? askMoreSettings(ask) : undefined;
}

function withMore(outcome: ReadyOutcome, more: MoreSettings | undefined): ReadyOutcome {
  return more === undefined ? outcome : { ...outcome, answers: { ...outcome.answers, more } };
}

function tellWhatStays({ facts, tell }: InitSession): void {
  if (facts.untrusted !== undefined) tell.warn(describeUntrusted(facts.untrusted));
  const names = facts.config?.providers.map(({ name, isDefault }) => (isDefault ? `${name} (default)` : name)) ?? [];
  if (names.length > 0) tell.info(`Set up so far: ${names.join(", ")}. All of it is kept.`);
}

/** An unreadable config is replaced only when that was said in so many letters; it stays as a backup. */
async function beginAnew(
  facts: Facts,
  fault: ZephError,
  { force }: InitRequest,
  { ask, tell }: { readonly ask: Ask | undefined; readonly tell: Tell },
): Promise<Facts> {
  // The faults may be in another file, which a new one would not mend.
  if (facts.configText === undefined || (ask === undefined && !force)) throw fault;
  if (!force && ask !== undefined) {
    tell.fail(fault.message);
    tell.warn(`A new ${facts.configPath} can be written instead. The one that is there is kept as a backup.`);
    if ((await ask.text({ message: 'Type "replace" for a new one' })) !== "replace") throw fault;
  }
  return { ...facts, startsAfresh: true };
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

type PathChoice = GatewayChoice | "native";

/** Which way to the network: from flags, else from the menu. Throws `usage` for an unknown broker. */
async function choosePath(session: Pick<InitSession, "request" | "ask" | "facts">): Promise<PathChoice> {
  const { broker } = session.request;
  // Before anything else is missed: what a slip of the name leaves out would be asked for next.
  if (broker !== undefined) requireBroker(broker, session.facts.brokers);
  const decided = pathOf(session.request);
  if (session.ask === undefined) requireAnswers(session, decided);
  if (decided !== undefined) return decided;
  if (session.ask === undefined) throw new ZephError("not_interactive");
  return session.ask.select<PathChoice>({
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

function pathOf({ path, broker, baseURL, native }: InitRequest): PathChoice | undefined {
  const speaksOfNative = native.sourceUrl !== undefined || native.nodes.length > 0 || native.keyName !== undefined;
  if (path === "native" || (path === undefined && speaksOfNative)) return "native";
  if (broker === undefined && baseURL !== undefined) return "custom";
  return path === "gateway" || broker !== undefined ? "gonkagate" : undefined;
}

/**
 * Where nobody can be asked, all that is missing is named before anything is done. Whether there is a key already is
 * seen later, and also before anything is written.
 */
function requireAnswers(
  { request, facts }: Pick<InitSession, "request" | "facts">,
  path: PathChoice | undefined,
): void {
  const { broker, baseURL, name, model, key, native } = request;
  const providers = facts.config?.providers ?? [];
  const known = providers.find((provider) => provider.name === (name ?? broker ?? path));
  const hasModel = model !== undefined || (known !== undefined && known.type !== "other" && known.model !== undefined);
  const isCustom = path === "custom" || broker === "custom";
  const missing = [
    path === undefined ? "--path gateway or native" : undefined,
    isCustom && baseURL === undefined ? "--base-url URL" : undefined,
    path === "native" && native.sourceUrl === undefined && native.nodes.length === 0
      ? "--source-url URL or --node URL"
      : undefined,
    path === undefined && key === undefined ? "--key-stdin or --key-env NAME" : undefined,
    hasModel ? undefined : "--model ID or auto",
  ].filter((flag) => flag !== undefined);
  if (missing.length === 0) return;
  throw new ZephError(path === undefined ? "not_interactive" : "missing_input", { detail: missing.join(", ") });
}

/**
 * A config in the form of old Zeph versions is brought to today's form first: a record written beside the old ones would
 * leave a file that no migration can mend. Without a yes, or `--force` where nobody can be asked, throws
 * `config_invalid` with the command to type.
 */
async function bringUpToDate(
  world: InitWorld,
  request: InitRequest,
  facts: Facts,
  { ask, tell }: Pick<InitSession, "ask" | "tell">,
): Promise<Facts> {
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
