import { chmod, stat } from "node:fs/promises";
import {
  asObject,
  jsonFault,
  parseForeignJson,
  plausibleTokens,
  readBoundedText,
  SMALL_ANSWER_LIMITS,
} from "../base/json.ts";
import { type Secret, scrub } from "../base/secret.ts";
import { extractCostUsd } from "../brokers/records.ts";
import { upsertProvider } from "../config/edit.ts";
import { changeConfig } from "../config/files.ts";
import type { Origin } from "../config/layer.ts";
import type { ProviderConfig } from "../config/providers.ts";
import type { ResolvedSecret } from "../config/secrets.ts";
import { CATALOGUE, ZephError, type ZephErrorCode } from "../errors.ts";
import { findListed } from "../provider/models.ts";
import { openProvider } from "../provider/open.ts";
import type { Setup, SetupWorld } from "../provider/setup.ts";
import { errorBehind } from "../transport/exchange.ts";
import { type Model, matchModel } from "../wire/models.ts";

/** `skip`: could not be looked at, because something it needs is broken or not offered. */
export type CheckStatus = "ok" | "warn" | "fail" | "skip";

/** What a check found, as data. Words are scrubbed by the runner before anybody sees them. */
export interface CheckResult {
  readonly status: CheckStatus;
  /** What was found, one sentence. */
  readonly detail: string;
  /** What to type or do next. */
  readonly hint?: string | undefined;
  /** The error a chat would meet; gives the exit code of a failed check. */
  readonly code?: ZephErrorCode | undefined;
  /** Figures and names for `--json`. */
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  /** A change that would mend it, made only after a yes. */
  readonly fix?: Fix;
}

interface Fix {
  /** Continues the sentence "Shall I …?" */
  readonly question: string;
  /** Makes the change and says what was done. */
  readonly apply: () => Promise<string>;
}

/** One thing the doctor looks at. It changes nothing and prints nothing. */
export interface Check {
  /** Stable, for scripts: requirements 2.7. */
  readonly name: string;
  /** Checks that must not have failed; otherwise this one is skipped. */
  readonly dependsOn?: readonly string[];
  /** Checks that must be over, however they ended. */
  readonly after?: readonly string[];
  /** The provider it belongs to. A failure matters as far as a chat needs that provider. */
  readonly provider?: string | undefined;
  /** One success in this group is enough for a chat. */
  readonly oneOf?: string;
  /** Its failure matters only when it shows in a provider's own checks as well. */
  readonly isIndirect?: boolean;
  /** Waits for a person or for slow mathematics, so no deadline applies. */
  readonly isUntimed?: boolean;
  /** Throws a `ZephError` for what it finds broken, or returns a result. */
  run(facts: DoctorFacts, signal: AbortSignal): Promise<CheckResult>;
}

/** A check that is over. */
export interface CheckReport extends CheckResult {
  readonly name: string;
  readonly elapsedMs: number;
}

/** What all checks of one run share. */
export interface DoctorFacts {
  readonly world: SetupWorld;
  /** Times that servers told, for the comparison of clocks. */
  readonly times: ServerTime[];
  /** Every secret that was looked up; none of them may be in any word the doctor says. */
  readonly secrets: Secret[];
}

/** What a server's `Date` header said. */
export interface ServerTime {
  readonly source: string;
  /** Server's clock minus this computer's, milliseconds; half a second uncertain. */
  readonly skewMs: number;
}

export function newFacts(world: SetupWorld): DoctorFacts {
  return { world, times: [], secrets: [] };
}

/** Remembers a server's `Date`. Headers know whole seconds only, so on average half of one has passed since. */
export function noteServerTime(facts: DoctorFacts, source: string, serverDateMs: number | undefined): void {
  if (serverDateMs === undefined || Number.isNaN(serverDateMs)) return;
  facts.times.push({ source, skewMs: serverDateMs + 500 - facts.world.clock.nowMs() });
}

type Extras = Pick<CheckResult, "hint" | "code" | "data" | "fix">;

export function passed(detail: string, extras: Extras = {}): CheckResult {
  return { status: "ok", detail, ...extras };
}

export function warned(detail: string, extras: Extras = {}): CheckResult {
  return { status: "warn", detail, ...extras };
}

export function skipped(detail: string, extras: Extras = {}): CheckResult {
  return { status: "skip", detail, ...extras };
}

/** A failure in the words of its error. Whatever is not a `ZephError` is a fault of the doctor itself. */
export function failed(thrown: unknown, extras: Extras = {}): CheckResult {
  const words = () => scrub(thrown instanceof Error ? thrown.message : String(thrown));
  const error = ZephError.is(thrown) ? thrown : new ZephError("internal", { detail: words(), cause: thrown });
  return { status: "fail", detail: error.message, hint: error.hint, code: error.code, ...extras };
}

/** A failure that has no error to it: the words of its code. */
export function broken(code: ZephErrorCode, detail: string | undefined, extras: Extras = {}): CheckResult {
  return failed(new ZephError(code, { detail }), extras);
}

/** Makes the checks of one provider. */
export function checkOf(provider: string) {
  return (name: string, order: Omit<Check, "name" | "run" | "provider">, run: Check["run"]): Check => ({
    name,
    provider,
    ...order,
    run,
  });
}

/** Makes a file private to its owner. */
export function chmodFix(path: string, mode: number): Fix {
  return {
    question: `make ${path} readable by you alone`,
    async apply() {
      await chmod(path, mode);
      const { mode: now } = await stat(path);
      return `${path} has mode ${(now & 0o777).toString(8)} now.`;
    },
  };
}

/** A path as a shell takes it. */
export function shellQuote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** A change of one field of a provider record: how the user makes it, and how the doctor would. */
interface ConfigChange {
  readonly hint: string;
  /** Absent where the value does not come from a file. */
  readonly fix?: Fix;
}

/** How to give a field of a provider record another value, where that value comes from now. */
export function changeField(
  setup: Setup,
  config: Pick<ProviderConfig, "name" | "type">,
  field: "model" | "base_url",
  value: string,
): ConfigChange {
  const { loaded, world } = setup;
  const key = `llm.providers.${config.name}`;
  const origin = loaded.origins.get(`${key}.${field}`) ?? loaded.origins.get(`${key}.type`);
  if (origin === undefined || origin.kind !== "file") return { hint: `Set ${sourceName(origin)} to ${value}.` };
  const { path } = origin;
  const isUserFile = path === loaded.files.writePath;
  const fix: Fix = {
    question: `set ${field} of ${config.name} to ${value}`,
    async apply() {
      const change = (previous: string | undefined) => {
        if (previous === undefined) throw new ZephError("config_not_found", { detail: path });
        return upsertProvider(previous, { type: config.type, name: config.name, [field]: value });
      };
      await changeConfig(path, change, world);
      return `${path}: ${field} of ${config.name} is ${value} now.`;
    },
  };
  if (field === "model" && isUserFile) {
    return { hint: `Run: zeph config set model ${value} --provider ${config.name}`, fix };
  }
  const place = origin.line === undefined ? path : `${path}:${origin.line}`;
  return { hint: `Run: zeph doctor --fix (sets ${field} = "${value}" in ${place})`, fix };
}

function sourceName(origin: Origin | undefined): string {
  return origin?.kind === "env" ? `the variable ${origin.name}` : origin?.kind === "flag" ? origin.name : "it";
}

/** Where a secret came from, in words; names only. */
export function secretSource({ source, name }: Pick<ResolvedSecret, "source" | "name">): string {
  if (source === "config") return "in the config file";
  return source === "vault" ? `${name} in the vault` : `variable ${name}`;
}

type RunnableConfig = Exclude<ProviderConfig, { type: "other" }>;

/**
 * Is the configured model still offered? Ids are compared as the endpoint does: letter case counts (B36), unless a chat
 * has the list in mind and corrects it.
 *
 * @param remembered the list as a chat remembers it
 */
export function judgeModel(
  setup: Setup,
  config: RunnableConfig,
  models: readonly Model[],
  remembered: readonly Model[],
): CheckResult {
  const chatIds = models.filter(({ kind }) => kind === "chat").map(({ id }) => id);
  const { model } = config;
  if (model === undefined) {
    const [first] = chatIds;
    const detail = `no model is configured for ${config.name}; offered: ${someOf(chatIds)}`;
    const change =
      first === undefined ? { hint: CATALOGUE.model_missing.hint } : changeField(setup, config, "model", first);
    return { status: "fail", code: "model_missing", detail, ...change };
  }
  if (models.length === 0) return warned(`the list is empty, so ${model} cannot be compared with it`);
  const match = matchModel(model, chatIds);
  if (match.kind === "exact") return passed(model, { data: { model } });
  const listed = models.find(({ id }) => id === model);
  if (listed !== undefined) return judgeEmbedding(setup, config, listed, chatIds);
  const corrected = findListed(remembered, model)?.id;
  if (corrected !== undefined && chatIds.includes(corrected)) {
    const detail = `${model} is called ${corrected} here; a chat corrects it while it remembers the list`;
    return warned(detail, { data: { model }, ...changeField(setup, config, "model", corrected) });
  }
  const nearest = match.kind === "loose" ? [match.id] : match.nearest;
  const detail =
    match.kind === "loose"
      ? `${model} is called ${match.id} here; letter case counts`
      : `${model} is not offered any more; nearest: ${nearest.join(", ")}`;
  return notOffered(setup, config, detail, nearest);
}

/** A name that looks like an embedding model's is a guess; a list that says so itself is not. */
function judgeEmbedding(
  setup: Setup,
  config: RunnableConfig,
  { id, saysEmbedding }: Model,
  chatIds: readonly string[],
): CheckResult {
  if (saysEmbedding !== true) {
    return warned(`${id} seems to be no chat model`, { hint: "See `zeph models`.", data: { model: id } });
  }
  return notOffered(setup, config, `${id} makes embeddings; for chat there are: ${someOf(chatIds)}`, chatIds);
}

function notOffered(setup: Setup, config: RunnableConfig, detail: string, better: readonly string[]): CheckResult {
  const [best] = better;
  const change =
    best === undefined ? { hint: CATALOGUE.model_not_found.hint } : changeField(setup, config, "model", best);
  const data = { model: config.model, nearest: better.slice(0, 3) };
  return { status: "fail", code: "model_not_found", detail, data, ...change };
}

function someOf(ids: readonly string[]): string {
  return ids.length === 0 ? "none" : `${ids.slice(0, 3).join(", ")}${ids.length > 3 ? " …" : ""}`;
}

const MAX_REPLY_BYTES = 1024 * 1024;

/**
 * The paid probe: one completion of one token at one endpoint, sent the way a chat sends it. Only with `--smoke` (B15).
 * @param order what must have passed before a request leaves
 */
export function smokeCheck(
  setup: Setup,
  config: Exclude<ProviderConfig, { type: "other" }>,
  order: Pick<Check, "dependsOn" | "after">,
): Check {
  return {
    name: `llm.${config.name}.smoke`,
    ...order,
    provider: config.name,
    async run(facts, signal) {
      const { gonka } = await openProvider(setup, { name: config.name });
      const startedAtMs = facts.world.clock.nowMs();
      const body = { model: config.model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
      const response = await gonka(`${gonka.baseURL}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal,
      });
      const text = await readBoundedText(response.body, MAX_REPLY_BYTES);
      if (!response.ok)
        return failed(errorBehind(response) ?? new ZephError("bad_response", { status: response.status }));
      const elapsedMs = Math.max(0, facts.world.clock.nowMs() - startedAtMs);
      const { tokens, costUsd } = readUsage(text, response.headers);
      const words = [
        `replied after ${Math.round(elapsedMs)} ms`,
        ...(tokens === undefined ? [] : [`${tokens} tokens`]),
        costUsd === undefined ? "cost unknown" : `$${costUsd}`,
      ];
      const data = { latency_ms: Math.round(elapsedMs), tokens: tokens ?? null, cost_usd: costUsd ?? null };
      return passed(words.join(", "), { data });
    },
  };
}

function readUsage(text: string, headers: Headers) {
  let body: unknown;
  try {
    body = parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the reply ${jsonFault(cause)}`, cause });
  }
  const total = asObject(asObject(body)?.usage)?.total_tokens;
  return { tokens: plausibleTokens(total), costUsd: extractCostUsd(body, headers) };
}

/**
 * The same set-up, its providers asked once only: the doctor tells how things are now, and a server's wish to wait would
 * use up the deadline that its own words should fill.
 */
export function singleAttempt(setup: Setup): Setup {
  const { loaded } = setup;
  const once = (provider: ProviderConfig): ProviderConfig =>
    provider.type === "other" ? provider : { ...provider, maxAttempts: 1, maxConcurrent: undefined };
  return {
    ...setup,
    loaded: { ...loaded, config: { ...loaded.config, providers: loaded.config.providers.map(once) } },
  };
}
