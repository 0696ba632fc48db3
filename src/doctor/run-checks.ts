import { setMaxListeners } from "node:events";
import { ZephError } from "../errors/zeph-error.ts";
import { deadlineSignal, untilAborted } from "../internal/abort.ts";
import { scrub } from "../internal/redact.ts";
import type { Check, CheckReport, CheckResult } from "./check.ts";
import type { DoctorFacts } from "./facts.ts";
import { failed, skipped } from "./results.ts";

export interface RunChecksOptions {
  readonly facts: DoctorFacts;
  /** For each check, milliseconds from its start. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Reports of checks that are over already, for `dependsOn`. */
  readonly earlier?: readonly CheckReport[];
  /** Told when a check is over, in the order in which they end. */
  readonly onReport?: (report: CheckReport) => void;
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
  // Listed before any is started, so that a check may come before those it waits for.
  const start = new Map<string, () => void>();
  for (const { name } of checks) {
    const started = new Promise<void>((resolve) => start.set(name, resolve));
    reports.set(
      name,
      started.then(() => runOne(checkNamed(checks, name), reports, options)),
    );
  }
  for (const begin of start.values()) begin();
  return Promise.all(checks.map(({ name }) => reportNamed(reports, name)));
}

async function runOne(
  check: Check,
  reports: ReadonlyMap<string, Promise<CheckReport>>,
  options: RunChecksOptions,
): Promise<CheckReport> {
  const { name, dependsOn = [], after = [] } = check;
  const needed = await Promise.all(dependsOn.map((each) => reportNamed(reports, each)));
  await Promise.all(after.map((each) => reportNamed(reports, each)));
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
  return status === "skip" && detail.startsWith("skipped: ") ? detail : `skipped: ${name} ${outcomeWord(status)}`;
}

function outcomeWord(status: CheckReport["status"]): string {
  return status === "fail" ? "failed" : "was skipped";
}

/** Servers may repeat what they were sent; whatever a check says goes through here. */
function scrubbed(result: CheckResult, { secrets }: DoctorFacts): CheckResult {
  const known = secrets.map((secret) => secret.reveal());
  const { detail, hint, data } = result;
  return {
    ...result,
    detail: scrub(detail, known),
    ...(hint === undefined ? {} : { hint: scrub(hint, known) }),
    ...(data === undefined ? {} : { data: scrubFields(data, known) }),
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

function checkNamed(checks: readonly Check[], name: string): Check {
  const check = checks.find((each) => each.name === name);
  if (check === undefined) throw new ZephError("internal", { detail: `there is no check ${name}` });
  return check;
}

function reportNamed(reports: ReadonlyMap<string, Promise<CheckReport>>, name: string): Promise<CheckReport> {
  const report = reports.get(name);
  if (report === undefined) throw new ZephError("internal", { detail: `there is no check ${name}` });
  return report;
}
