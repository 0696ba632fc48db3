import { expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { clientFamily, gatheredLines } from "./exchange.ts";

it("writes the first line at once, gathers what follows, and loses nothing", async () => {
  const clock = manualClock();
  const writes: string[] = [];
  const lines = gatheredLines((text) => writes.push(text), clock);
  lines.add("1");
  lines.add("2");
  lines.add("3");
  expect(writes).toEqual(["1\n"]);
  await clock.advance(25);
  expect(writes).toEqual(["1\n", "2\n3\n"]);
  lines.add("4");
  lines.flush();
  lines.flush();
  expect(writes.slice(2)).toEqual(["4\n"]);
  await clock.advance(1_000);
  lines.add("5");
  expect(writes.slice(3)).toEqual(["5\n"]);
});

it.each([
  ["claude-cli/2.0.14 (external, cli)", "claude-cli"],
  ["codex_cli_rs/0.171.0 (Debian; x86_64)", "codex_cli_rs"],
  ["OpenAI/Python 2.54.0", "openai/python"],
  ["ai-sdk/openai-compatible/1.0.22 ai/5.0", "ai-sdk/openai-compatible"],
  ["Mozilla/5.0 (X11; Linux x86_64) Chrome/142", "browser"],
  ["curl/8.14.1", "curl"],
  ["node", "node"],
  [null, undefined],
  ["", undefined],
  ["gp-0123456789abcdef", undefined],
  ["sk-proj-abcdefghijklmnopqrstuvwxyzabcdef", undefined],
  ["<script>", undefined],
  ["\u0000\u001b[31m", undefined],
])("the family of user agent %j is %s", (userAgent, family) => {
  expect(clientFamily(userAgent)).toBe(family);
});

it("holds no more than a bounded text", () => {
  const writes: string[] = [];
  const lines = gatheredLines((text) => writes.push(text), manualClock());
  for (let count = 0; count < 3_000; count += 1) lines.add("x".repeat(99));
  expect(writes.length).toBeGreaterThan(2);
  expect(Math.max(...writes.map((text) => text.length))).toBeLessThan(70_000);
});
