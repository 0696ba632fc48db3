import { describe, expect, it } from "vitest";
import { ZephError } from "../errors/zeph-error.ts";
import { type ManualClock, manualClock } from "../internal/manual-clock.ts";
import { Secret } from "../internal/secret.ts";
import type { Check, CheckReport } from "./check.ts";
import { newFacts } from "./facts.ts";
import { passed, warned } from "./results.ts";
import { runChecks } from "./run-checks.ts";

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
