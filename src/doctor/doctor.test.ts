import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { type ManualClock, manualClock } from "../base/time.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
import { type Check, type CheckReport, type CheckStatus, newFacts, passed, warned } from "./check.ts";
import { runChecks, toReport, toReportJson } from "./doctor.ts";

function facts(clock: ManualClock = manualClock(0, "manual")) {
  return newFacts({
    env: {},
    homeDir: "/home/me",
    platform: "linux",
    cwd: "/home/me",
    clock,
    random: () => 0,
    fetch: () => Promise.reject(new Error("no network here")),
  });
}

const never = new AbortController().signal;
const check = (name: string, run: Check["run"], more: Partial<Check> = {}): Check => ({ name, run, ...more });
const shape = (reports: readonly CheckReport[]) =>
  reports.map(({ name, status, detail }) => `${name} ${status}: ${detail}`);

describe("runChecks", () => {
  it("reports in the order given, however long each takes", async () => {
    const order: string[] = [];
    const note = (name: string) => async () => {
      order.push(name);
      return passed(name);
    };
    const checks = [
      check("late", note("late"), { after: ["early"] }),
      check("early", note("early")),
      check("last", note("last"), { dependsOn: ["late"] }),
    ];
    const reports = await runChecks(checks, { facts: facts(), timeoutMs: 1000, signal: never });
    expect(reports.map(({ name }) => name)).toEqual(["late", "early", "last"]);
    expect(order).toEqual(["early", "late", "last"]);
  });

  it("skips what depends on a failure, and names the first cause", async () => {
    const broken = async () => {
      throw new ZephError("unreachable", { detail: "nobody there" });
    };
    const checks = [
      check("a", broken),
      check("b", async () => passed("never"), { dependsOn: ["a"] }),
      check("c", async () => passed("never"), { dependsOn: ["b"] }),
      check("d", async () => passed("all the same"), { after: ["a", "b"] }),
      check("e", async () => warned("odd")),
      check("f", async () => passed("a warning is no obstacle"), { dependsOn: ["e"] }),
    ];
    expect(shape(await runChecks(checks, { facts: facts(), timeoutMs: 1000, signal: never }))).toEqual([
      "a fail: The endpoint could not be reached: nobody there",
      "b skip: skipped: a failed",
      "c skip: skipped: a failed",
      "d ok: all the same",
      "e warn: odd",
      "f ok: a warning is no obstacle",
    ]);
  });

  it("takes reports of an earlier run as dependencies", async () => {
    const earlier: CheckReport[] = [{ name: "config", status: "fail", detail: "broken", elapsedMs: 0 }];
    const checks = [check("b", async () => passed("never"), { dependsOn: ["config"] })];
    const options = { facts: facts(), timeoutMs: 1000, signal: never, earlier };
    expect(shape(await runChecks(checks, options))).toEqual(["b skip: skipped: config failed"]);
  });

  it("ends a check that does not answer, also one that ignores its signal", async () => {
    const clock = manualClock(0, "manual");
    let signalled = false;
    const checks = [
      check("deaf", () => new Promise(() => {})),
      check("listening", (_facts, signal) => {
        signal.addEventListener("abort", () => {
          signalled = true;
        });
        return new Promise(() => {});
      }),
      check("quick", async () => passed("done")),
    ];
    const running = runChecks(checks, { facts: facts(clock), timeoutMs: 10_000, signal: never });
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    await clock.advance(10_000);
    expect((await running).map(({ name, status, code }) => [name, status, code])).toEqual([
      ["deaf", "fail", "timeout_headers"],
      ["listening", "fail", "timeout_headers"],
      ["quick", "ok", undefined],
    ]);
    expect(signalled).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it("sets no deadline for a check that waits for a person", async () => {
    const clock = manualClock(0, "manual");
    const checks = [
      check("person", async () => clock.advance(60_000).then(() => passed("typed")), { isUntimed: true }),
    ];
    const reports = await runChecks(checks, { facts: facts(clock), timeoutMs: 1000, signal: never });
    expect(shape(reports)).toEqual(["person ok: typed"]);
  });

  it("passes the user's abort on", async () => {
    const controller = new AbortController();
    const checks = [check("deaf", () => new Promise(() => {}))];
    const running = runChecks(checks, { facts: facts(), timeoutMs: 1000, signal: controller.signal });
    controller.abort(new DOMException("interrupted", "AbortError"));
    await expect(running).rejects.toThrow("interrupted");
  });

  it("scrubs every word, the user's own secrets first", async () => {
    const shared = facts();
    shared.secrets.push(new Secret("an-odd-secret"));
    const words = "it was an-odd-secret, and gp-0123456789abcdef";
    const checks = [
      check("leaky", async () => ({ ...passed(words), hint: words, data: { deep: [{ words }] } })),
      check("thrown", async () => {
        throw new Error(words);
      }),
    ];
    const reports = await runChecks(checks, { facts: shared, timeoutMs: 1000, signal: never });
    expect(JSON.stringify(reports)).not.toMatch(/odd-secret|0123456789abcdef/);
    expect(reports[0]?.detail).toBe("it was [redacted], and [redacted]");
    expect(reports[1]).toMatchObject({ status: "fail", code: "internal" });
  });

  it("says when a check waits for one that does not exist", async () => {
    const checks = [check("a", async () => passed(""), { dependsOn: ["ghost"] })];
    await expect(runChecks(checks, { facts: facts(), timeoutMs: 1000, signal: never })).rejects.toThrow("ghost");
  });
});

interface Row extends Pick<Check, "provider" | "oneOf" | "isIndirect"> {
  readonly name: string;
  readonly status: CheckStatus;
  readonly code?: ZephErrorCode;
}

function report(rows: readonly Row[], chain: readonly string[], isStrict = false) {
  const checks = rows.map((row): Check => ({ ...row, run: () => Promise.reject(new Error("not run here")) }));
  const found = rows.map(({ name, status, code }): CheckReport => {
    return { name, status, detail: "seen", elapsedMs: 1, ...(code === undefined ? {} : { code }) };
  });
  return toReport(checks, found, { chain: { first: chain[0], names: chain }, elapsedMs: 1, isStrict });
}

const statuses = (rows: readonly Row[], chain: readonly string[]) =>
  report(rows, chain).checks.map(({ status }) => status);

const broken = (provider: string, code: ZephErrorCode, name = `llm.${provider}`): Row => ({
  name,
  provider,
  status: "fail",
  code,
});
const fine = (provider: string): Row => ({ name: `llm.${provider}`, provider, status: "ok" });

describe("the verdict", () => {
  it("is that of the provider a chat would use; others only warn", () => {
    const rows = [fine("a"), broken("b", "invalid_api_key")];
    expect(report(rows, ["a"])).toMatchObject({
      overall: "warn",
      exitCode: 0,
      servedBy: "a",
      failures: 0,
      warnings: 1,
    });
    expect(report(rows, ["b"])).toMatchObject({ overall: "fail", exitCode: 11, servedBy: undefined, failures: 1 });
  });

  it("goes on with a fallback for causes that allow it, and for those only", () => {
    const dead = [broken("a", "unreachable"), fine("b")];
    expect(report(dead, ["a", "b"])).toMatchObject({ exitCode: 0, servedBy: "b" });
    expect(report(dead, ["a", "b"]).checks[0]?.detail).toBe("seen (a chat would go on with b)");
    expect(report([broken("a", "invalid_api_key"), fine("b")], ["a", "b"])).toMatchObject({ exitCode: 11 });
    expect(report([broken("a", "native_closed"), fine("b")], ["a", "b"])).toMatchObject({ exitCode: 0, servedBy: "b" });
    const poor = [broken("a", "unreachable"), broken("b", "secret_missing"), fine("c")];
    expect(report(poor, ["a", "b", "c"])).toMatchObject({ exitCode: 0, servedBy: "c" });
    expect(report(poor, ["b", "c"])).toMatchObject({ exitCode: 17 });
  });

  it("needs one node of a pool, as a chat puts aside those that are dead or have retired", () => {
    const node = (status: CheckStatus, code: ZephErrorCode | undefined, index: number): Row => ({
      name: `gonka.node[${index}]`,
      provider: "g",
      oneOf: "g",
      status,
      ...(code === undefined ? {} : { code }),
    });
    expect(statuses([node("fail", "unreachable", 0), node("ok", undefined, 1)], ["g"])).toEqual(["warn", "ok"]);
    expect(statuses([node("fail", "unreachable", 0), node("fail", "unreachable", 1)], ["g"])).toEqual(["fail", "fail"]);
    expect(statuses([node("fail", "native_closed", 0), node("ok", undefined, 1)], ["g"])).toEqual(["warn", "ok"]);
  });

  it("forgives a vault that no chat needs", () => {
    const vault: Row = { name: "vault.open", status: "fail", code: "vault_unreadable", isIndirect: true };
    expect(report([vault, fine("a")], ["a"])).toMatchObject({ exitCode: 0 });
    expect(report([vault, broken("a", "vault_unreadable")], ["a"])).toMatchObject({ exitCode: 17, failures: 2 });
    expect(report([{ ...vault, isIndirect: false }, fine("a")], ["a"])).toMatchObject({ exitCode: 17 });
  });

  it.each<[readonly ZephErrorCode[], number]>([
    [["insufficient_balance", "native_closed"], 16],
    [["clock_skew", "insufficient_balance"], 14],
    [["clock_skew"], 10],
    [["rate_limited", "unreachable"], 10],
    [["model_not_found", "secret_missing"], 17],
    [["internal"], 1],
  ])("exits with the worst of %s", (codes, exitCode) => {
    const rows = codes.map((code, index) => broken("a", code, `check ${index}`));
    expect(report(rows, ["a"]).exitCode).toBe(exitCode);
  });

  it("counts warnings as failures with --strict, skipped checks not", () => {
    const rows: Row[] = [{ name: "w", status: "warn", code: "clock_skew" }, fine("a")];
    expect(report(rows, ["a"], true)).toMatchObject({ overall: "fail", exitCode: 10 });
    expect(report([{ name: "s", status: "skip" }, fine("a")], ["a"], true)).toMatchObject({ exitCode: 0, warnings: 1 });
    expect(report([{ name: "w", status: "warn" }], ["a"], true).exitCode).toBe(1);
  });
});

describe("the JSON report", () => {
  it("keeps its fields and calls a skipped check a warning", () => {
    const json = toReportJson(report([{ name: "s", status: "skip" }, broken("a", "unreachable")], ["a"]));
    expect(Object.keys(json)).toEqual([
      "schema_version",
      "overall",
      "failures",
      "warnings",
      "elapsed_ms",
      "exit_code",
      "served_by",
      "checks",
    ]);
    expect(json.checks[0]).toEqual({ name: "s", status: "warn", detail: "seen", elapsed_ms: 1, skipped: true });
    expect(json.checks[1]).toMatchObject({ status: "fail", code: "unreachable" });
  });
});
