import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/time.ts";
import { FALLBACK_HEADER, type FallbackEvent, fallbackProvider } from "../../src/provider/fallback.ts";
import type { OpenedProvider } from "../../src/provider/open.ts";
import { loadSetup } from "../../src/provider/setup.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { errorBehind } from "../../src/transport/exchange.ts";
import { newStage, type Stage } from "./doctor-stage.ts";

let stage: Stage;
let first: Sandbox;
let second: Sandbox;
let events: FallbackEvent[];
let offsetMs: number;
let environment: Record<string, string>;
const SECOND_KEY = "ZEPH_COMPATIBLE_SECOND_API_KEY";

beforeEach(async () => {
  stage = await newStage();
  first = await startSandbox();
  second = await startSandbox();
  events = [];
  environment = {};
  offsetMs = 0;
});

afterEach(async () => {
  await Promise.all([first.stop(), second.stop()]);
  await stage.clear();
});

async function open(
  options: { firstKey?: keyof Sandbox["broker"]["keys"]; firstURL?: string; secondKey?: string } = {},
) {
  const { firstKey = "good", firstURL = first.broker.baseURL, secondKey = second.broker.keys.good } = options;
  await stage.writeConfig(`[llm]
fallback = ["second"]

[[llm.providers]]
type = "compatible"
name = "first"
base_url = "${firstURL}"
model = "sandbox/echo-1"
default = true

[[llm.providers]]
type = "compatible"
name = "second"
base_url = "${second.broker.baseURL}"
model = "sandbox/thinker-1"
`);
  const setup = await loadSetup({
    env: Object.assign(environment, {
      ZEPH_COMPATIBLE_FIRST_API_KEY: first.broker.keys[firstKey],
      ...(secondKey === "" ? {} : { [SECOND_KEY]: secondKey }),
    }),
    homeDir: stage.home,
    platform: "linux",
    cwd: stage.home,
    clock: { ...systemClock, nowMs: () => systemClock.nowMs() + offsetMs },
    random: () => 0,
    fetch: (input, init) => fetch(input, init),
  });
  return fallbackProvider(setup, {
    onFallback: (event) => {
      events.push(event);
    },
  });
}

function ask({ gonka, config }: OpenedProvider, more: object = {}): Promise<Response> {
  const body = { model: config.model, messages: [{ role: "user", content: "hello" }], seed: 7, ...more };
  return gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

const questions = ({ broker }: Sandbox) => broker.requests.filter(({ method }) => method === "POST");

describe("falling back to the next provider", () => {
  it("leaves everything alone while the first one answers", async () => {
    const response = await ask(await open());
    expect(response.ok).toBe(true);
    expect(response.headers.has(FALLBACK_HEADER)).toBe(false);
    expect(events).toEqual([]);
    expect(questions(second)).toEqual([]);
  });

  it("asks the next one, with its own model, and says so", async () => {
    const provider = await open({ firstURL: "http://127.0.0.1:9/v1" });
    const response = await ask(provider);
    expect(response.ok).toBe(true);
    expect(response.headers.get(FALLBACK_HEADER)).toBe("second");
    expect(events).toMatchObject([
      { from: "first", to: "second", model: "sandbox/thinker-1", error: { code: "unreachable" } },
    ]);
    expect(questions(second).map(({ model, fields }) => [model, fields.seed])).toEqual([["sandbox/thinker-1", 1]]);
  });

  it("streams through", async () => {
    const response = await ask(await open({ firstURL: "http://127.0.0.1:9/v1" }), { stream: true });
    expect(await response.text()).toContain("data: [DONE]");
  });

  it.each([
    ["outOfMoney", "insufficient_quota"],
    ["rateLimited", "rate_limited"],
  ] as const)("helps where the account of the first is the trouble: %s", async (firstKey, code) => {
    const response = await ask(await open({ firstKey }));
    expect(response.ok).toBe(true);
    expect(events).toMatchObject([{ to: "second", error: { code } }]);
  });

  it.each([
    ["a wrong key", { firstKey: "wrong" as const }, {}, "invalid_api_key"],
    ["a deactivated account", { firstKey: "disabled" as const }, {}, "account_not_ready"],
    ["a model that does not exist", {}, { model: "nobody/none" }, "model_not_found"],
    ["a request that is refused", {}, { messages: [] }, "invalid_request"],
  ])("never helps the user's own mistake: %s", async (_name, options, more, code) => {
    const response = await ask(await open(options), more);
    expect(errorBehind(response)?.code).toBe(code);
    expect(events).toEqual([]);
    expect(questions(second)).toEqual([]);
  });

  it("never helps after the first byte", async () => {
    first.broker.faults.always({ kind: "cut", afterFrames: 2 });
    const response = await ask(await open(), { stream: true });
    expect(response.ok).toBe(true);
    await expect(response.text()).rejects.toThrow();
    expect(events).toEqual([]);
    expect(questions(second)).toEqual([]);
  });

  it("passes over a provider that cannot be opened, and gives the last word of those that could", async () => {
    const provider = await open({ firstURL: "http://127.0.0.1:9/v1", secondKey: "" });
    await expect(ask(provider)).rejects.toMatchObject({ code: "unreachable" });
    expect(events).toMatchObject([
      { from: "first", to: undefined, passedOver: "second", error: { code: "secret_missing" } },
    ]);
  });

  it("opens it once it can be opened, without a restart", async () => {
    const provider = await open({ firstURL: "http://127.0.0.1:9/v1", secondKey: "" });
    await expect(ask(provider)).rejects.toMatchObject({ code: "unreachable" });
    environment[SECOND_KEY] = second.broker.keys.good;
    offsetMs = 61_000;
    expect((await ask(provider)).ok).toBe(true);
  });

  it("gives the next one's refusal when that is the last", async () => {
    const provider = await open({ firstURL: "http://127.0.0.1:9/v1", secondKey: second.broker.keys.wrong });
    expect(errorBehind(await ask(provider))?.code).toBe("invalid_api_key");
  });

  it("lets the first one rest for a minute, tells of it each time, and then tries it again", async () => {
    first.broker.faults.always({ kind: "status", status: 503, on: "/chat/completions" });
    const provider = await open();
    await ask(provider);
    const asked = questions(first).length;
    await ask(provider);
    expect(questions(first)).toHaveLength(asked);
    expect(events.map(({ from, to }) => `${from} → ${to}`)).toEqual(["first → second", "first → second"]);
    first.broker.faults.clear();
    offsetMs = 61_000;
    expect((await ask(provider)).headers.has(FALLBACK_HEADER)).toBe(false);
    expect(questions(first).length).toBe(asked + 1);
  });

  it("reads lists from the first one only", async () => {
    const { gonka } = await open();
    expect((await gonka(`${gonka.baseURL}/models`)).ok).toBe(true);
    expect(second.broker.requests).toEqual([]);
  });
});
