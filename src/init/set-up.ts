import { BROKERS } from "../brokers/registry.ts";
import { describeUntrusted } from "../config/untrusted-file.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { AskPassphrase } from "../vault/index.ts";
import { type AppliedInit, applyInit } from "./apply.ts";
import type { Ask } from "./ask.ts";
import type { BranchOutcome, ReadyOutcome } from "./branch-outcome.ts";
import { bringUpToDate } from "./bring-up-to-date.ts";
import { choosePath, type PathChoice } from "./choose-path.ts";
import { type Facts, gatherFacts } from "./facts.ts";
import { gatewayBranch } from "./gateway-branch.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitSession } from "./init-session.ts";
import type { InitWorld } from "./init-world.ts";
import { askMoreSettings, type MoreSettings } from "./more-settings.ts";
import { nativeBranch } from "./native-branch.ts";
import { refuseKeysIn, refusingKeys } from "./refuse-keys.ts";
import { secretStore } from "./secret-store.ts";
import type { Tell } from "./tell.ts";
import { vaultOpener } from "./vault-opener.ts";

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
