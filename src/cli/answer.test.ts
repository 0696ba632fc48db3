import { describe, expect, it } from "vitest";
import { memoryOutput } from "../../test/support/memory-terminal.ts";
import { manualClock } from "../base/time.ts";
import { startStatusLine } from "./answer.ts";

function start(columns: number | "pipe" = 120) {
  const clock = manualClock();
  const stream = memoryOutput(columns === "pipe" ? {} : { columns });
  const status = startStatusLine({ stream, clock, color: false, providerName: "gonkagate" });
  const lastLine = () => stream.text.split("\r").at(-1)?.replace("\u001b[K", "");
  return { clock, stream, status, lastLine };
}

describe("startStatusLine", () => {
  it("appears after 200 ms and counts the seconds", async () => {
    const { clock, stream, status, lastLine } = start();
    status.wait(10);
    await clock.advance(199);
    expect(stream.text).toBe("");
    await clock.advance(1);
    expect(lastLine()).toBe("⠋ waiting for gonkagate … 0.2 s");
    await clock.advance(3_000);
    expect(lastLine()).toContain("waiting for gonkagate … 3.2 s");
  });

  it("is gone after clear, and stays away", async () => {
    const { clock, stream, status } = start();
    status.wait(10);
    await clock.advance(500);
    status.clear();
    expect(stream.text.endsWith("\r\u001b[2K")).toBe(true);
    const { length } = stream.text;
    await clock.advance(5_000);
    status.clear();
    expect(stream.text).toHaveLength(length);
    expect(clock.pendingTimers).toBe(0);
  });

  it("writes nothing for a quick answer", async () => {
    const { clock, stream, status } = start();
    status.wait(10);
    await clock.advance(150);
    status.clear();
    await clock.advance(1_000);
    expect(stream.text).toBe("");
  });

  it("counts a retry down, then waits again", async () => {
    const { clock, status, lastLine } = start();
    status.wait(10);
    status.onTransportEvent({ type: "waiting", attempt: 2, maxAttempts: 3, delayMs: 2_000, reason: "" });
    await clock.advance(300);
    expect(lastLine()).toContain("gonkagate rate limited or unavailable, retrying in 2 s (2/3)");
    await clock.advance(1_000);
    expect(lastLine()).toContain("retrying in 1 s (2/3)");
    await clock.advance(1_000);
    expect(lastLine()).toContain("waiting for gonkagate … 2.3 s");
  });

  it("tells that a request is signed", async () => {
    const { clock, status, lastLine } = start();
    status.wait(10);
    status.onTransportEvent({ type: "attempt-started", attempt: 1, endpoint: "https://node.example/v1", signed: true });
    await clock.advance(200);
    expect(lastLine()).toContain("Gonka: signing request to https://node.example/v1");
    await clock.advance(1_000);
    expect(lastLine()).toContain("waiting for gonkagate");
  });

  it("explains a long wait by the size of the prompt", async () => {
    const { clock, status, lastLine } = start();
    status.wait(9_100);
    await clock.advance(12_000);
    expect(lastLine()).toContain("still waiting, about 9K tokens; this endpoint is slow above about 7K … 12 s");
    status.clear();
    status.wait(100);
    await clock.advance(12_000);
    expect(lastLine()).toContain("still waiting for gonkagate … 12 s (Ctrl-C stops it)");
  });

  it("never becomes longer than the terminal is wide", async () => {
    const { clock, status, lastLine } = start(20);
    status.wait(9_100);
    await clock.advance(12_000);
    expect(lastLine()?.length).toBeLessThan(20);
  });

  it("says nothing where there is no terminal", async () => {
    const { clock, stream, status } = start("pipe");
    status.wait(10);
    await clock.advance(5_000);
    status.clear();
    expect(stream.text).toBe("");
  });

  it("tells of a wait in a line where there is no terminal, but of no short one", () => {
    const { stream, status } = start("pipe");
    status.wait(10);
    const waiting = { type: "waiting", attempt: 2, maxAttempts: 3, reason: "" } as const;
    status.onTransportEvent({ ...waiting, delayMs: 500 });
    status.onTransportEvent({ ...waiting, delayMs: 7_200 });
    expect(stream.text).toBe("gonkagate rate limited or unavailable, trying again in 8 s (2/3)\n");
  });
});
