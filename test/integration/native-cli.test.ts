import { afterEach, beforeEach, expect, it } from "vitest";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import { newStage, type Stage } from "./doctor-stage.ts";

let stage: Stage;
let network: SandboxNetwork;

beforeEach(async () => {
  stage = await newStage();
  network = await startNetwork();
  await stage.store("ZEPH_GONKA_PRIVATE_KEY", network.createAccount().privateKeyHex);
  await stage.writeConfig(`[[llm.providers]]
type = "gonka"
name = "gonka"
model = "sandbox/echo-1"
gonka_source_url = "${network.sourceUrl}"
`);
});

afterEach(async () => {
  await network.stop();
  await stage.clear();
});

interface Answered {
  readonly usage: { readonly input: number; readonly output: number };
  readonly costUsd: number | null;
  readonly costNgonka: string | null;
}

async function dataOf(line: string) {
  const { stdout, exitCode } = await stage.run(`${line} --json`);
  expect(exitCode).toBe(0);
  return JSON.parse(stdout).data;
}

it("the network's prices stand in the model list, and an answer costs tokens times price, in GNK", async () => {
  const before: Answered = await dataOf("ask hello");
  expect(before).toMatchObject({ costUsd: null, costNgonka: null });
  const { models } = await dataOf("models");
  expect(models[0]).toMatchObject({ id: "sandbox/echo-1", pricePerTokenNgonka: "1000" });
  expect((await stage.run("models")).stdout).toMatch(/per 1M tokens[\s\S]+sandbox\/echo-1 +\S+ +1 GNK +chat/);
  const { usage, ...after }: Answered = await dataOf("ask hello");
  expect(after).toMatchObject({ costUsd: null, costNgonka: String((usage.input + usage.output) * 1000) });
  expect((await stage.run("ask hello")).stderr).toMatch(/out · 0\.0\d+ GNK · /);
  expect(network.violations).toEqual([]);
});

it("what an answer costs is known right after set-up", async () => {
  const line = `init --yes --force --path native --source-url ${network.sourceUrl} --key-stdin --model sandbox/echo-1`;
  const { exitCode } = await stage.run(line, network.createAccount().privateKeyHex);
  expect(exitCode).toBe(0);
  const { usage, costNgonka }: Answered = await dataOf("ask hello");
  expect(costNgonka).toBe(String((usage.input + usage.output) * 1000));
});

it.each([
  [20_000, "ahead of"],
  [-20_000, "behind"],
])("a clock that is off by %i ms is told while nodes still take it", async (offsetMs, where) => {
  stage.clockOffsetMs = offsetMs;
  const { exitCode, stderr } = await stage.run("ask hello");
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(new RegExp(`this computer's clock is (?:19|20|21) s ${where} the node's`));
});
