import {
  asObject,
  jsonFault,
  parseForeignJson,
  plausibleTokens,
  readBoundedText,
  SMALL_ANSWER_LIMITS,
} from "../base/json.ts";
import type { Secret } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { EXIT, ZephError, type ZephErrorCode } from "../errors.ts";
import { errorBehind } from "../transport/exchange.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { type Model, matchModel } from "../wire/models.ts";
import { refusalError } from "../wire/refusals.ts";
import { askOr, type Choice, type InitSession, printable, shortPath, type TestReply } from "./session.ts";

interface ModelChoice {
  /** The live list; `undefined` when it could not be read. */
  readonly models: readonly Model[] | undefined;
  /** The last good choice: what the record has now. */
  readonly previous: string | undefined;
}

/**
 * The exact id of a model of the live list. `--model` is compared without letter case; `--model auto` takes the last
 * good choice, else the first. Without a list any text is taken. Throws `model_not_found` with the nearest three,
 * `no_models`, `missing_input`.
 */
export async function chooseModel(session: InitSession, { models, previous }: ModelChoice): Promise<string> {
  const { request, ask, tell } = session;
  const listed = models?.filter((model) => model.kind === "chat") ?? [];
  const ids = listed.map((model) => model.id);
  const wanted = request.model;
  if (wanted === "auto" || (wanted === undefined && ask === undefined && previous !== undefined)) {
    if (ids.length === 0 && previous !== undefined) return previous;
    const chosen = (previous === undefined ? undefined : idOf(previous, ids)) ?? ids[0];
    if (chosen === undefined) throw new ZephError("no_models");
    return chosen;
  }
  if (wanted !== undefined) {
    if (ids.length === 0) return wanted;
    const match = matchModel(wanted, ids);
    if (match.kind !== "none") return match.id;
    const embeddings = models?.filter((model) => model.kind === "embedding").map((model) => model.id) ?? [];
    const fault =
      idOf(wanted, embeddings) === undefined
        ? "is not in the live list"
        : "makes embeddings; a chat needs another model";
    if (ask === undefined) {
      const hint = `Nearest chat models of the live list: ${match.nearest.join(", ")}. Or give --model auto.`;
      throw new ZephError("model_not_found", { detail: `${wanted} ${fault}`, hint });
    }
    tell.warn(`"${wanted}" ${fault}.`);
  }
  if (ids.length === 0) return typeModel(session, ids);
  const width = Math.max(...ids.map((id) => id.length));
  const typeIt = Symbol();
  const chosen = await askOr(session, "--model").select<string | symbol>({
    message: "Model",
    choices: [
      ...listed.map((model) => ({
        value: model.id,
        label: `${model.id.padEnd(width)}  ${describeModel(model)}`.trimEnd(),
      })),
      { value: typeIt, label: "Another id" },
    ],
    initial: previous === undefined ? undefined : idOf(previous, ids),
  });
  return typeof chosen === "string" ? chosen : typeModel(session, ids);
}

/** The id that is meant, letter case aside. */
function idOf(wanted: string, ids: readonly string[]): string | undefined {
  const match = matchModel(wanted, ids);
  return match.kind === "none" ? undefined : match.id;
}

/** Asks for an id. One that is not listed is offered its neighbours, and taken as it is when the user insists. */
async function typeModel(session: InitSession, ids: readonly string[]): Promise<string> {
  const ask = askOr(session, "--model");
  const typed = await ask.text({
    message: ids.length === 0 ? "Model id (the list could not be read)" : "Model id",
    check: (value) => (value === "" ? "Nothing was typed." : undefined),
  });
  if (ids.length === 0) return typed;
  const match = matchModel(typed, ids);
  if (match.kind !== "none") return match.id;
  return ask.select({
    message: `"${typed}" is not in the list. Did you mean`,
    choices: [
      ...match.nearest.map((id) => ({ value: id, label: id })),
      { value: typed, label: `No, use ${typed}`, hint: "the endpoint will probably refuse it" },
    ],
  });
}

/** What people choose by, as far as the list tells: `128K context · $0.22 in, $0.44 out per 1M · tools`. */
export function describeModel(model: Model): string {
  const { contextLengthTokens: context, promptUsdPer1M: input, completionUsdPer1M: output, tools } = model;
  const parts = [
    context === undefined ? undefined : `${formatTokens(context)} context`,
    input === undefined || output === undefined ? undefined : `$${usd(input)} in, $${usd(output)} out per 1M`,
    tools === undefined ? undefined : tools ? "tools" : "no tools",
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function formatTokens(tokens: number): string {
  return tokens < 1000 ? String(tokens) : `${Math.round(tokens / 1000)}K`;
}

/** Two digits, or as many as a small price needs to be more than 0. */
function usd(price: number): string {
  return price === 0 || price >= 0.01 ? price.toFixed(2) : price.toPrecision(1);
}

/**
 * Whether the record becomes the default one. Asked only when another is; `undefined` leaves it to the plan, which makes
 * the first record the default and changes nothing later.
 */
export async function confirmDefault({ request, facts, ask }: InitSession, name: string): Promise<boolean | undefined> {
  if (request.makeDefault !== undefined) return request.makeDefault;
  const current = facts.config?.providers.find((provider) => provider.isDefault);
  if (ask === undefined || current === undefined || current.name === name) return undefined;
  return ask.confirm({ message: `Use ${name} from now on? (now: ${current.name})`, initial: true });
}

const PROMPT = "Say hello in one short sentence.";
const MAX_TOKENS = 64;
const MAX_REPLY_BYTES = 1024 * 1024;

/**
 * Sends one small chat request. Throws what the connection's refusal means.
 *
 * @param options.costUsd what the request cost, where the endpoint tells
 */
export async function sendTestMessage(
  gonka: GonkaFetch,
  options: {
    readonly model: string;
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly costUsd?: (body: unknown, headers: Headers) => number | undefined;
  },
): Promise<TestReply> {
  const { model, clock, signal, costUsd } = options;
  const startedAtMs = clock.nowMs();
  const body = { model, messages: [{ role: "user", content: PROMPT }], max_tokens: MAX_TOKENS };
  const response = await gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const bodyText = await readBoundedText(response.body, MAX_REPLY_BYTES);
  if (!response.ok) {
    const { status, headers } = response;
    throw errorBehind(response) ?? refusalError({ status, headers, bodyText, path: "/chat/completions" });
  }
  let json: unknown;
  try {
    json = parseForeignJson(bodyText, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the reply to the test message ${jsonFault(cause)}`, cause });
  }
  const { choices, usage } = asObject(json) ?? {};
  const choice = asObject(Array.isArray(choices) ? choices[0] : undefined);
  if (choice === undefined)
    throw new ZephError("bad_response", { detail: "the reply to the test message has no choices" });
  const { content } = asObject(choice.message) ?? {};
  const { finish_reason: finishReason } = choice;
  return {
    // Some models think inside the content, and may be cut off in the middle of it.
    text: typeof content === "string" ? content.replace(/^\s*<think>[\s\S]*?(?:<\/think>|$)/, "").trim() : "",
    finishReason: typeof finishReason === "string" ? finishReason : undefined,
    promptTokens: plausibleTokens(asObject(usage)?.prompt_tokens),
    completionTokens: plausibleTokens(asObject(usage)?.completion_tokens),
    costUsd: costUsd?.(json, response.headers),
    elapsedMs: clock.nowMs() - startedAtMs,
  };
}

interface TestOptions {
  readonly model: string;
  readonly send: () => Promise<TestReply>;
  /** Whether another key can be had: some endpoints list their models to everybody, and refuse a wrong key only now. */
  readonly keyIsReplaceable: boolean;
}

/**
 * Sends the test message and shows the reply. After a failure the user decides whether to go on; without a terminal the
 * failure is thrown. Returns nothing when there is no reply to speak of.
 */
export async function passesTest(
  { request, tell, ask }: InitSession,
  { model, send, keyIsReplaceable }: TestOptions,
): Promise<TestReply | "another-key" | undefined> {
  while (request.test) {
    try {
      const reply = await tell.work(`Waiting for ${printable(model)}`, send);
      tell.done(`${printable(model)} replied:${describeReply(reply)}`);
      return reply;
    } catch (error) {
      if (!ZephError.is(error) || error.code === "cancelled" || ask === undefined) throw error;
      const words = error.detail === undefined ? error.summary : `${error.summary}: ${printable(error.detail)}`;
      tell.fail(`The test message failed. ${words}\n${error.hint}`);
      if (error.exitCode === EXIT.billing) {
        const next = await ask.select(withoutMoney({ keyIsReplaceable }));
        if (next === "again") continue;
        return next === "keep" ? undefined : next;
      }
      if (keyIsReplaceable && KEY_FAULTS.has(error.code)) {
        if (await ask.confirm({ message: "Paste another key?", initial: true })) return "another-key";
      }
      if (await ask.confirm({ message: "Continue anyway?" })) return undefined;
      const detail = "the test message failed, so the config was not written";
      throw new ZephError("cancelled", { detail, cause: error });
    }
  }
  return undefined;
}

/** Nothing about the set-up is wrong: money comes, now or later. */
export function withoutMoney({ keyIsReplaceable }: Pick<TestOptions, "keyIsReplaceable">) {
  type Next = "again" | "keep" | "another-key";
  const choices: Choice<Next>[] = [
    { value: "again", label: "Try again", hint: "when the account has been topped up" },
    { value: "keep", label: "Keep this set-up", hint: "it works as soon as there is money" },
  ];
  if (keyIsReplaceable) choices.push({ value: "another-key", label: "Paste another key" });
  return { message: "What now?", choices };
}

/** Another key may be the answer. */
export const KEY_FAULTS: ReadonlySet<ZephErrorCode> = new Set([
  "invalid_api_key",
  "management_key",
  "account_not_ready",
  "forbidden",
]);

function describeReply({ text, finishReason, elapsedMs, promptTokens, completionTokens, costUsd }: TestReply): string {
  const empty =
    finishReason === "length"
      ? "(no text yet: the model was still thinking at 64 tokens; that is fine)"
      : "(an empty answer; the connection works)";
  const facts = [
    `${(elapsedMs / 1000).toFixed(1)} s`,
    promptTokens === undefined || completionTokens === undefined
      ? undefined
      : `${promptTokens} tokens in, ${completionTokens} out`,
    costUsd === undefined ? undefined : `$${costUsd.toFixed(6)}`,
  ];
  return `\n${text === "" ? empty : printable(text)}\n${facts.filter((fact) => fact !== undefined).join(" · ")}`;
}

interface StoreSecretsOptions {
  readonly entries: ReadonlyMap<string, Secret>;
  /**
   * How a different value under the same name may be replaced at a terminal: `confirmed`, a yes is enough; `typed`, a word
   * must be typed. Where nobody can be asked only `--force` does it.
   */
  readonly replacement: "confirmed" | "typed";
}

/**
 * Stores accepted secrets at once and reads them back. Nothing that is stored is replaced silently; the encrypted backup
 * of the vault keeps it anyway. Throws `cancelled`, `vault_entry_exists`, and what hinders opening the vault.
 */
export async function storeSecrets(session: InitSession, { entries, replacement }: StoreSecretsOptions): Promise<void> {
  const { secrets, world, tell } = session;
  const names = [...entries.keys()];
  if (secrets.backend === "env") {
    tell.warn(
      `Secrets are kept in the environment here, so this key is used for the test and then forgotten.\nSet the variable ${names.join(" and ")} where zeph runs. This is meant for CI.`,
    );
    return;
  }
  const others: string[] = [];
  for (const [name, value] of entries) {
    const stored = secrets.kept.includes(name) ? undefined : await secrets.stored(name);
    if (stored !== undefined && stored.reveal() !== value.reveal()) others.push(name);
  }
  if (others.length > 0) await confirmReplacement(session, others.join(" and "), replacement);
  const { stored, replaced, backupPath } = await secrets.keep(entries);
  const place = `${names.join(" and ")} in the vault ${shortPath(world.vaultPaths.vaultFile, world)}`;
  if (stored.length === 0) return tell.done(`Already stored as ${place}`);
  if (replaced.length === 0) return tell.done(`Stored as ${place}`);
  const before = backupPath === undefined ? "" : `\nBefore: ${shortPath(backupPath, world)}`;
  tell.done(`Replaced ${place}${before}`);
}

async function confirmReplacement(
  { ask, request, tell }: InitSession,
  names: string,
  replacement: "confirmed" | "typed",
): Promise<void> {
  if (request.force) return;
  if (ask === undefined) {
    throw new ZephError("vault_entry_exists", {
      detail: names,
      hint: "Add --force to replace it with the one that was given; the vault as it was is kept as a backup.",
    });
  }
  tell.warn(`The vault has another ${names} already. An encrypted backup of it will be kept.`);
  const agreed =
    replacement === "confirmed"
      ? await ask.confirm({ message: "Replace it?", initial: true })
      : (await ask.text({ message: 'Type "replace" to replace it' })) === "replace";
  if (!agreed) throw new ZephError("cancelled", { detail: `${names} was left as it is` });
}
