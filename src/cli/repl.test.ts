import { describe, expect, it } from "vitest";
import { watchInterrupts } from "./repl.ts";

function watch() {
  const told: string[] = [];
  const leaving = new AbortController();
  const interrupts = watchInterrupts({
    warn: () => told.push("warn"),
    leave: () => told.push("leave"),
    leaving: leaving.signal,
  });
  return { told, leaving, interrupts };
}

describe("watchInterrupts", () => {
  it("stops the answer first, leaves second", () => {
    const { told, interrupts } = watch();
    const signal = interrupts.startAnswer();
    interrupts.press();
    expect(signal.aborted).toBe(true);
    interrupts.endAnswer();
    interrupts.press();
    expect(told).toEqual(["leave"]);
  });

  it("warns at an empty prompt before it leaves", () => {
    const { told, interrupts } = watch();
    interrupts.press();
    interrupts.press();
    expect(told).toEqual(["warn", "leave"]);
  });

  it("begins anew when the user goes on", () => {
    const { told, interrupts } = watch();
    interrupts.press();
    interrupts.reset();
    interrupts.press();
    expect(told).toEqual(["warn", "warn"]);
  });

  it("ends an answer when the user leaves in another way, and none begins after that", () => {
    const { leaving, interrupts } = watch();
    const signal = interrupts.startAnswer();
    leaving.abort();
    expect(signal.aborted).toBe(true);
    expect(interrupts.startAnswer().aborted).toBe(true);
  });
});
