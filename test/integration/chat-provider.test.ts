import { readdir, readFile, stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/time.ts";
import { runCli } from "../../src/cli/program.ts";
import { chatDependencies } from "../../src/cli/session.ts";
import type { Sandbox } from "../../src/sandbox/index.ts";
import { testCli } from "../support/cli-context.ts";
import { type ChatWorld, chatWorld } from "./chat-world.ts";

let world: ChatWorld;
let broker: Sandbox;

beforeEach(async () => {
  world = await chatWorld();
  broker = await world.startBroker({ costs: "no-costs" });
});

afterEach(() => world.clear());

const record = (name: string, baseURL: string, more = "") =>
  `\n[[llm.providers]]\ntype = "compatible"\nname = "${name}"\nbase_url = "${baseURL}"\nmodel = "sandbox/echo-1"\n${more}`;
const pricing = (usd: number) => `pricing = { prompt_usd_per_1m = ${usd}, completion_usd_per_1m = ${usd} }\n`;

/** Two providers; nothing listens where the first one should be. */
async function withStandIn(firstPrice: string, secondPrice: string) {
  await world.writeConfig(
    `[llm]\nfallback = ["second"]\n${record("first", "http://127.0.0.1:9/v1", `default = true\n${firstPrice}`)}${record("second", broker.broker.baseURL, secondPrice)}`,
  );
  Object.assign(world.env, {
    ZEPH_COMPATIBLE_FIRST_API_KEY: "gp-first-key",
    ZEPH_COMPATIBLE_SECOND_API_KEY: broker.broker.keys.good,
  });
}

describe("an answer of a stand-in", () => {
  it("costs what the stand-in takes, and carries its name", async () => {
    await withStandIn(pricing(1_000), pricing(2));
    const { data, stderr } = await world.ask("hello");
    const { input, output } = data.usage as { input: number; output: number };
    expect(data.costUsd).toBeCloseTo(((input + output) * 2) / 1_000_000, 10);
    expect(data).toMatchObject({ provider: "second", model: "sandbox/echo-1" });
    expect(stderr).toContain("Asking second (sandbox/echo-1) instead");
  });

  it("has an unknown cost where its price is unknown, whatever the first one takes", async () => {
    await withStandIn(pricing(1_000), "");
    expect((await world.ask("hello")).data.costUsd).toBeNull();
  });
});

describe("what goes over the wire", () => {
  const only = (more = "") => world.writeConfig(`[llm]${record("only", broker.broker.baseURL, more)}`);
  beforeEach(() => {
    world.env.ZEPH_COMPATIBLE_ONLY_API_KEY = broker.broker.keys.good;
  });

  it("is what the user set: temperature, top-p, penalties", async () => {
    await only();
    const flags = { temperature: "0.5", topP: "0.9", frequencyPenalty: "-1", presencePenalty: "1.5", maxTokens: "50" };
    await world.ask("hello", flags);
    expect(world.questions(broker)).toMatchObject([
      { temperature: 0.5, top_p: 0.9, frequency_penalty: -1, presence_penalty: 1.5, max_tokens: 50 },
    ]);
  });

  it.each([{ topP: "1.1" }, { frequencyPenalty: "3" }, { presencePenalty: "x" }, { temperature: "-1" }])(
    "is nothing when a number is out of bounds: %j",
    async (flags) => {
      await only();
      await expect(world.ask("hello", flags)).rejects.toMatchObject({ code: "usage" });
      expect(world.questions(broker)).toEqual([]);
    },
  );

  it("is no effort of the config while nobody says that the model takes it", async () => {
    await only('reasoning_effort = "high"\n');
    await world.ask("hello");
    expect(world.questions(broker)[0]).not.toHaveProperty("reasoning_effort");
  });
});

describe("secrets and prompts", () => {
  const PLANTED = "planted/secret+of.the*user";
  const NATIVE_KEY = "0x5f".concat("A1".repeat(31));
  beforeEach(async () => {
    await world.writeConfig(`[llm]${record("only", broker.broker.baseURL)}`);
    Object.assign(world.env, {
      ZEPH_COMPATIBLE_ONLY_API_KEY: broker.broker.keys.good,
      ZEPH_SECRET_GITHUB: PLANTED,
      ZEPH_GONKA_PRIVATE_KEY: NATIVE_KEY,
    });
  });

  it("never leave with it, whatever their form, and the user is told", async () => {
    const key = broker.broker.keys.good;
    const hex = NATIVE_KEY.slice(2).toLowerCase();
    const { stderr, data } = await world.ask(`a ${key} b ${PLANTED} c ${hex} d`, { system: `mine is ${PLANTED}` });
    const sent = JSON.stringify(world.questions(broker));
    for (const secret of [key, PLANTED, hex, NATIVE_KEY]) expect(sent).not.toContain(secret);
    expect(sent).toContain("a [redacted] b [redacted] c [redacted] d");
    expect(stderr).toContain("one of your secrets stands in this conversation");
    expect(data.provider).toBe("only");
  });

  it("leave other prompts as they are", async () => {
    const { stderr } = await world.ask("is planted/secret a secret? gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6");
    expect(JSON.stringify(world.questions(broker))).toContain("planted/secret a secret? gonka1w508d6");
    expect(stderr).not.toContain("secrets stands");
  });

  it("stay out of a debug dump too, which holds what was sent and no header", async () => {
    await world.ask(`a ${PLANTED} b`, { debugDump: "dump" });
    const folder = `${world.home}/dump`;
    const [file = "", ...others] = await readdir(folder);
    const text = await readFile(`${folder}/${file}`, "utf8");
    expect(others).toEqual([]);
    expect(JSON.parse(text)).toMatchObject({ provider: "only", body: { ...world.questions(broker)[0] } });
    expect(text).toContain("a [redacted] b");
    for (const secret of [PLANTED, broker.broker.keys.good, "authorization"]) expect(text).not.toContain(secret);
    if (process.platform !== "win32") expect((await stat(`${folder}/${file}`)).mode & 0o777).toBe(0o600);
  });
});

describe("a provider chosen in a conversation", () => {
  it("is not followed by what scripts and pipes ask later", async () => {
    await world.writeConfig(
      `[llm]\n${record("first", broker.broker.baseURL, "default = true\n")}${record("second", broker.broker.baseURL)}`,
    );
    for (const name of ["FIRST", "SECOND"]) world.env[`ZEPH_COMPATIBLE_${name}_API_KEY`] = broker.broker.keys.good;
    const base = testCli({ homeDir: world.home, env: world.env }).context;
    const conversation = await chatDependencies(base, {}, "conversation");
    await conversation.rememberProvider?.("second");
    expect((await (await chatDependencies(base, {}, "conversation")).openSession({})).providerName).toBe("second");
    for (const argv of [["--json"], ["chat", "--json"], ["chat", "--json", "hello"], ["ask", "--json", "hello"]]) {
      const cli = testCli({ homeDir: world.home, env: world.env, stdin: "hello" });
      await runCli(argv, { ...cli.context, clock: systemClock, fetch: (input, init) => fetch(input, init) });
      expect(JSON.parse(cli.stdout()).data).toMatchObject({ provider: "first" });
    }
  });
});
