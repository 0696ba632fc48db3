import { setMaxListeners } from "node:events";
import { scrub } from "../base/secret.ts";
import { deadlineSignal, once, untilAborted } from "../base/time.ts";
import { CATALOGUE, EXIT, ZephError, type ZephErrorCode } from "../errors.ts";
import { mayFallBack } from "../provider/fallback.ts";
import { loadSetup, type Setup, type SetupWorld } from "../provider/setup.ts";
import { vaultPaths } from "../vault/files.ts";
import {
  type ChatChain,
  chatChain,
  clockCheck,
  configChecks,
  dailyLimitChecks,
  defaultProviderCheck,
  nodeVersionCheck,
  vaultChecks,
} from "./base.ts";
import { brokerChecks } from "./broker.ts";
import {
  type Check,
  type CheckReport,
  type CheckResult,
  type DoctorFacts,
  failed,
  newFacts,
  passed,
  skipped,
} from "./check.ts";
import { gonkaConfigCheck, nativeChecks } from "./native.ts";

interface DoctorOptions {
  readonly world: SetupWorld;
  /** What was read already, for one who has just made it. Default: read anew. */
  readonly setup?: Setup | undefined;
  /** As `process.versions.node` tells it. */
  readonly nodeVersion: string;
  /** `native`: only what signed requests need. Default `all`. */
  readonly scope?: "all" | "native";
  /** For each check. Default 10 000. */
  readonly timeoutMs?: number;
  /** Also send one paid request of one token. Default false: nothing costs anything. */
  readonly smoke?: boolean;
  /** Warnings count as failures. Default false. */
  readonly strict?: boolean;
  readonly signal: AbortSignal;
  /** Told when a check is over: for a progress line. What it means for a chat is known at the end only. */
  readonly onReport?: (report: CheckReport) => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Answers one question: would a chat work now, and if not, what is wrong? Changes nothing, prints nothing, and spends
 * nothing unless `smoke` is set. Broken things are results; it throws only the caller's abort.
 *
 * @example
 * ```ts
 * const { exitCode, checks } = await runDoctor({ world, nodeVersion: process.versions.node, signal });
 * ```
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, onReport } = options;
  const { clock, askPassphrase } = options.world;
  const startedAtMs = clock.nowMs();
  // Asked for once, although two readers open the vault.
  const asked = askPassphrase === undefined ? {} : { askPassphrase: once(askPassphrase) };
  const world: SetupWorld = { ...options.world, ...asked, readOnly: true };
  const running = { facts: newFacts(world), timeoutMs, signal, onReport };
  let setup: Setup | undefined;
  const parse: Check = {
    name: "config.parse",
    async run() {
      setup = options.setup ?? (await loadSetup(world));
      const files = setup.loaded.files.found.map(({ path }) => path);
      return passed(files.length === 0 ? "no config file" : files.join(", "), { data: { files } });
    },
  };
  const first = [nodeVersionCheck(options.nodeVersion), parse];
  const firstReports = await runChecks(first, running);
  const chain = chainOf(setup, options);
  const rest = await remainingChecks(options, world, setup, chain.names);
  const reports = await runChecks(rest, { ...running, earlier: firstReports });
  return toReport([...first, ...rest], [...firstReports, ...reports], {
    chain,
    elapsedMs: Math.max(0, clock.nowMs() - startedAtMs),
    isStrict: options.strict === true,
  });
}

async function remainingChecks(
  { scope, smoke }: DoctorOptions,
  world: SetupWorld,
  setup: Setup | undefined,
  chain: readonly string[],
): Promise<readonly Check[]> {
  const paths = setup?.vaultPaths ?? defaultVaultPaths(world);
  const isNative = scope === "native";
  const general = [
    ...(await configChecks(world, setup)),
    ...(isNative ? [] : [defaultProviderCheck(setup)]),
    ...(paths === undefined ? [] : await vaultChecks(paths, setup?.vaultBackend, world)),
  ];
  if (setup === undefined) return general;
  const { providers } = setup.loaded.config;
  const native = providers.filter((config) => config.type === "gonka");
  const isSmokeWanted = (name: string) => smoke === true && name === chain[0];
  const signed = native.flatMap((config, index) =>
    nativeChecks(setup, config, { isFirst: index === 0, isSmokeWanted: isSmokeWanted(config.name) }),
  );
  const brokers = providers.flatMap((config) =>
    config.type === "compatible" && !isNative ? brokerChecks(setup, config, isSmokeWanted(config.name)) : [],
  );
  const gonka = native.length > 0 || isNative ? [gonkaConfigCheck(native)] : [];
  const clock = clockCheck({
    after: [...signed, ...brokers].filter(({ name }) => !name.endsWith(".smoke")).map(({ name }) => name),
    signedBy: native.find(({ name }) => chain.includes(name))?.name ?? native[0]?.name,
  });
  return [...general, ...dailyLimitChecks(setup), ...gonka, clock, ...signed, ...brokers];
}

/** The providers whose failure would be a chat's failure: for `native` those that sign, whatever the default is. */
function chainOf(setup: Setup | undefined, { scope }: Pick<DoctorOptions, "scope">): ChatChain {
  const chain = chatChain(setup);
  if (scope !== "native") return chain;
  const native = setup?.loaded.config.providers.filter((config) => config.type === "gonka") ?? [];
  const first = (native.find(({ name }) => name === chain.first) ?? native[0])?.name;
  return { first, names: first === undefined ? [] : [first] };
}

/** Where the vault would be; undefined when the flags that say so are faulty, which the config check has told. */
function defaultVaultPaths({ env, homeDir, platform, flags }: SetupWorld) {
  try {
    return vaultPaths({ env, homeDir, platform, flags });
  } catch {
    return undefined;
  }
}

interface RunChecksOptions {
  readonly facts: DoctorFacts;
  /** For each check, milliseconds from its start. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Reports of checks that are over already, for `dependsOn`. */
  readonly earlier?: readonly CheckReport[];
  /** Told when a check is over, in the order in which they end. */
  readonly onReport?: ((report: CheckReport) => void) | undefined;
}

/**
 * Runs checks side by side, each as soon as those it depends on are over, and reports in the order given. A check that
 * depends on a failed one is skipped and says why; one that does not answer in time fails. Throws only the caller's
 * abort.
 */
export async function runChecks(checks: readonly Check[], given: RunChecksOptions): Promise<readonly CheckReport[]> {
  const run = followingController(given.signal);
  try {
    return await runAll(checks, { ...given, signal: run.signal });
  } finally {
    run.abort();
  }
}

async function runAll(checks: readonly Check[], options: RunChecksOptions): Promise<readonly CheckReport[]> {
  const reports = new Map<string, Promise<CheckReport>>();
  for (const report of options.earlier ?? []) reports.set(report.name, Promise.resolve(report));
  const reportOf = async (name: string): Promise<CheckReport> => {
    const report = reports.get(name);
    if (report === undefined) throw new ZephError("internal", { detail: `there is no check ${name}` });
    return report;
  };
  // All are listed before any begins, so that a check may come before those it waits for.
  const listed = Promise.resolve();
  const all = checks.map((check) => listed.then(() => runOne(check, reportOf, options)));
  for (const [index, report] of all.entries()) reports.set(checks[index]?.name ?? "", report);
  return Promise.all(all);
}

async function runOne(
  check: Check,
  reportOf: (name: string) => Promise<CheckReport>,
  options: RunChecksOptions,
): Promise<CheckReport> {
  const { name, dependsOn = [], after = [] } = check;
  const needed = await Promise.all(dependsOn.map(reportOf));
  await Promise.all(after.map(reportOf));
  options.signal.throwIfAborted();
  const { clock } = options.facts.world;
  const startedAtMs = clock.nowMs();
  const obstacle = needed.find(({ status }) => status === "fail" || status === "skip");
  const result = obstacle === undefined ? await runTimed(check, options) : skipped(reasonOf(obstacle));
  const elapsedMs = Math.max(0, clock.nowMs() - startedAtMs);
  const report: CheckReport = { name, elapsedMs, ...scrubbed(result, options.facts) };
  options.onReport?.(report);
  return report;
}

async function runTimed(check: Check, { facts, timeoutMs, signal }: RunChecksOptions): Promise<CheckResult> {
  const deadline = deadlineSignal(facts.world.clock, signal);
  if (check.isUntimed !== true) deadline.arm("timeout_headers", timeoutMs);
  const end = followingController(deadline.signal);
  try {
    // Raced, because a check that overlooks its signal must not hold up the report.
    return await untilAborted(check.run(facts, end.signal), end.signal);
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    return deadline.signal.aborted ? outOfTime(timeoutMs) : failed(thrown);
  } finally {
    deadline.release();
    // What a check has left open would keep the process from ending.
    end.abort();
  }
}

function outOfTime(timeoutMs: number): CheckResult {
  return {
    status: "fail",
    code: "timeout_headers",
    detail: `no answer within ${timeoutMs / 1000} s`,
    hint: `Check the connection and the address, or allow more time: --timeout-secs ${Math.ceil((3 * timeoutMs) / 1000)}`,
  };
}

/** A signal that many things may listen to at once, without a warning on standard error. */
function followingController(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  if (signal.aborted) controller.abort(signal.reason);
  const follow = () => controller.abort(signal.reason);
  signal.addEventListener("abort", follow, { once: true, signal: controller.signal });
  return controller;
}

/** The first failure of a chain is named, not the last skipped one. */
function reasonOf({ name, status, detail }: CheckReport): string {
  if (status === "fail") return `skipped: ${name} failed`;
  return detail.startsWith("skipped: ") ? detail : `skipped: ${name} was skipped`;
}

/** Servers may repeat what they were sent; whatever a check says goes through here. */
function scrubbed(result: CheckResult, { secrets }: DoctorFacts): CheckResult {
  const known = secrets.map((secret) => secret.reveal());
  const { detail, hint, data } = result;
  return {
    ...result,
    detail: scrub(detail, known),
    hint: hint && scrub(hint, known),
    data: data && scrubFields(data, known),
  };
}

function scrubFields(data: Readonly<Record<string, unknown>>, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).map(([field, value]) => [field, scrubValue(value, known)]));
}

function scrubValue(value: unknown, known: readonly string[]): unknown {
  if (typeof value === "string") return scrub(value, known);
  if (Array.isArray(value)) return value.map((item) => scrubValue(item, known));
  return typeof value === "object" && value !== null ? scrubFields({ ...value }, known) : value;
}

/** What the doctor found. */
export interface DoctorReport {
  readonly overall: "ok" | "warn" | "fail";
  readonly failures: number;
  /** Skipped checks count as warnings. */
  readonly warnings: number;
  readonly elapsedMs: number;
  readonly checks: readonly CheckReport[];
  /** The provider a chat would be answered by; `undefined` when none would. */
  readonly servedBy: string | undefined;
  /** 0 when a chat would work and no secret lies open; otherwise that of the worst cause. */
  readonly exitCode: number;
}

export function toReport(
  checks: readonly Check[],
  found: readonly CheckReport[],
  options: { readonly chain: ChatChain; readonly elapsedMs: number; readonly isStrict: boolean },
): DoctorReport {
  const { reports, servedBy } = judge(checks, found, options.chain);
  const failures = reports.filter(({ status }) => status === "fail");
  const warnings = reports.filter(({ status }) => status === "warn" || status === "skip");
  const isCounted = ({ status }: CheckReport) => status === "fail" || (options.isStrict && status === "warn");
  const counting = reports.filter(isCounted);
  return {
    overall: counting.length > 0 ? "fail" : warnings.length > 0 ? "warn" : "ok",
    failures: failures.length,
    warnings: warnings.length,
    elapsedMs: options.elapsedMs,
    checks: reports,
    servedBy,
    exitCode: counting.length === 0 ? EXIT.ok : worstExitCode(failures.length > 0 ? failures : counting),
  };
}

/** The report as `--json` prints it. Fields may be added while `schema_version` is 1; none is renamed or removed. */
export function toReportJson(report: DoctorReport) {
  return {
    schema_version: 1,
    overall: report.overall,
    failures: report.failures,
    warnings: report.warnings,
    elapsed_ms: Math.round(report.elapsedMs),
    exit_code: report.exitCode,
    served_by: report.servedBy ?? null,
    checks: report.checks.map(({ name, status, detail, elapsedMs, hint, code, data }) => ({
      name,
      status: status === "skip" ? "warn" : status,
      detail,
      elapsed_ms: Math.round(elapsedMs),
      ...(status === "skip" ? { skipped: true } : {}),
      ...{ hint, code, data },
    })),
  };
}

/**
 * Decides what the failures mean for a chat: one live node is enough, a provider that no chat would use harms none, and
 * a fallback takes over where one is configured. Failures that would not keep a chat from working become warnings.
 *
 * @param chain the providers a chat would try
 * @returns `servedBy`: the provider a chat would be answered by; `undefined` when none would
 */
function judge(checks: readonly Check[], reports: readonly CheckReport[], chain: ChatChain) {
  const rows = reports.map((report) => ({ report, check: checks.find(({ name }) => name === report.name) }));
  const eased = rows.map(({ report, check }) => {
    const isSpare = check?.oneOf !== undefined && report.status === "fail";
    const group = rows.filter((row) => row.check?.oneOf === check?.oneOf);
    const isEased = isSpare && group.some((row) => row.report.status === "ok" || row.report.status === "warn");
    return { check, report: isEased ? soften(report, "another node answers") : report };
  });
  const faultsOf = (name: string) =>
    eased.filter(({ check, report }) => check?.provider === name && report.status === "fail").map((row) => row.report);
  const servedBy = findServing(chain, faultsOf);
  const judged = eased.map(({ check, report }) => {
    if (report.status !== "fail" || check === undefined) return report;
    const { provider } = check;
    if (check.isIndirect === true && servedBy !== undefined) return soften(report, "no chat needs it now");
    if (check.isIndirect === true || provider === undefined) return report;
    if (!chain.names.includes(provider)) return soften(report, `a chat would not use ${provider} now`);
    return servedBy === undefined ? report : soften(report, `a chat would go on with ${servedBy}`);
  });
  return { reports: judged, servedBy };
}

/** The first provider without faults, as long as all before it failed for causes that allow to go on. */
function findServing(
  { first, names }: ChatChain,
  faultsOf: (name: string) => readonly CheckReport[],
): string | undefined {
  if (first !== undefined && faultsOf(first).some(keepsFromOpening)) return undefined;
  for (const name of names) {
    const faults = faultsOf(name);
    if (faults.length === 0) return name;
    const isPassed = (report: CheckReport) =>
      report.code !== undefined && (keepsFromOpening(report) || mayFallBack(new ZephError(report.code)));
    if (!faults.every(isPassed)) return undefined;
  }
  return undefined;
}

/** A fallback that cannot be opened, or has no model of its own, is passed over; the first provider must be there. */
function keepsFromOpening({ code }: CheckReport): boolean {
  return code === "model_missing" || (code !== undefined && CATALOGUE[code].exitCode === EXIT.configOrVault);
}

function soften(report: CheckReport, why: string): CheckReport {
  return { ...report, status: "warn", detail: `${report.detail} (${why})` };
}

/**
 * Exit codes in the order in which a chat would meet their causes: what is wrong on this computer, whether the network
 * takes such requests at all, whether anybody answers, who asks, for what, with which money.
 */
const WORST_FIRST: readonly number[] = [
  EXIT.usage,
  EXIT.configOrVault,
  EXIT.nativeClosed,
  EXIT.unreachable,
  EXIT.authentication,
  EXIT.model,
  EXIT.billing,
  EXIT.rateLimited,
  EXIT.pricing,
  EXIT.failure,
];

/** Found before anything is sent. */
const EARLY: ReadonlySet<ZephErrorCode> = new Set(["budget_reached"]);

/** Nodes compare timestamps after everything else (refusal row 13), so a wrong clock shows last. */
const LATE: ReadonlySet<ZephErrorCode> = new Set(["clock_skew", "chain_stalled"]);

/** The exit code of the worst of these reports; 0 when there are none. */
function worstExitCode(reports: readonly CheckReport[]): number {
  const ranked = reports
    .map(({ code }) => ({ exitCode: code === undefined ? EXIT.failure : CATALOGUE[code].exitCode, code }))
    .map(({ exitCode, code }) => ({ exitCode, rank: rankOf(exitCode, code) }))
    .sort((a, b) => a.rank - b.rank);
  return ranked[0]?.exitCode ?? EXIT.ok;
}

function rankOf(exitCode: number, code: ZephErrorCode | undefined): number {
  if (code !== undefined && LATE.has(code)) return WORST_FIRST.indexOf(EXIT.billing) + 0.5;
  if (code !== undefined && EARLY.has(code)) return WORST_FIRST.indexOf(EXIT.configOrVault) + 0.5;
  const rank = WORST_FIRST.indexOf(exitCode);
  return rank === -1 ? WORST_FIRST.length : rank;
}
