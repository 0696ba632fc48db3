import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { type Charged, ZephError } from "../../src/errors.ts";
import { type NodeFaultPlan, randomFaults } from "../../src/sandbox/classic/faults.ts";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import type { Engine } from "../../src/sandbox/engine.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { errorBehind } from "../../src/transport/exchange.ts";
import { type GonkaFetch, gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { fastClock } from "../support/fast-clock.ts";
import { endpointsOf } from "../support/native-world.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { chatBody, echoEngine } from "./sandbox-network-client.ts";

/** Few enough for every run of the tests; `node scripts/soak-native.mjs` runs this with 10 000 requests. */
const REQUESTS = Number(process.env.ZEPH_SOAK_REQUESTS ?? 1_000);
const SEED = Number(process.env.ZEPH_SOAK_SEED ?? 20_261_122);
const AT_ONCE = 24;
const REQUESTS_PER_OUTAGE = 400;
const MAX_ATTEMPTS = 4;
/** A minute passes in three seconds; a node that hangs is given up after one and a half. */
const SPEED = 20;
const HEADERS_MS = 30_000;

const FAULTS: Parameters<typeof randomFaults>[1] = {
  // Nothing is charged.
  capacity: 0.05,
  "rate-limit": 0.02,
  "nginx-503": 0.04,
  "nginx-502": 0.02,
  "chain-params-unreachable": 0.02,
  "no-executor": 0.02,
  "not-allowed": 0.01,
  // The client cannot know.
  hang: 0.01,
  drop: 0.02,
  panic: 0.01,
  "nginx-504": 0.01,
  // The escrow is taken.
  cut: 0.03,
  "executor-unreachable": 0.01,
  "not-json": 0.01,
  "no-ml-node": 0.01,
};

/** Says the prompt back in one piece: with faults, signatures and ledger there is enough to do. */
const terseEngine: Engine = {
  ...echoEngine,
  async *complete(request) {
    yield { type: "text", text: String(request.messages.at(-1)?.content) };
    yield { type: "finish", reason: "stop", usage: { promptTokens: 5, completionTokens: 5, cachedTokens: 0 } };
  },
};

interface Result {
  readonly body: string;
  readonly outcome: "answered" | "failed";
  readonly charged: Charged;
}

it(`${REQUESTS} requests over five nodes with faults: none is answered or charged twice, none goes astray`, {
  timeout: 120_000,
}, async () => {
  const random = seededRandom(SEED);
  const clock = fastClock(SPEED);
  const network = await startNetwork({ nodes: 5, clock, engine: terseEngine });
  try {
    for (const node of network.nodes)
      node.faults.plan(onlyChats(randomFaults(seededRandom(random() * 2 ** 32), FAULTS)));
    const account = network.createAccount({ balanceNgonka: 10n ** 18n });
    const gonka = gonkaFetch({
      kind: "native",
      signer: RequestSigner.fromHex(account.privateKeyHex),
      endpoints: endpointsOf(network),
      clock,
      random,
      maxAttempts: MAX_ATTEMPTS,
      deadlines: { headersMs: HEADERS_MS },
    });
    const outages = startOutages(network, random);
    const results: Result[] = [];
    const indexes = Array.from({ length: REQUESTS }, (_, index) => index).values();
    const worker = async () => {
      for (const index of indexes) {
        results.push(await ask(gonka, index));
        outages.tick();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await outages.over();
    judge(network, results);
  } finally {
    await network.stop();
  }
});

function onlyChats(plan: NodeFaultPlan): NodeFaultPlan {
  return (occasion) => (occasion.method === "POST" ? plan(occasion) : undefined);
}

/** Every so often one node stops listening and cuts what it has open; it comes back when the next one goes. */
function startOutages(network: SandboxNetwork, random: () => number) {
  let ended = 0;
  let change = Promise.resolve();
  let down: SandboxNetwork["nodes"][number] | undefined;
  const next = async () => {
    await down?.comeBack();
    down = network.nodes[Math.floor(random() * network.nodes.length)];
    await down?.goDown();
  };
  return {
    tick() {
      ended += 1;
      if (ended % REQUESTS_PER_OUTAGE === 0) change = change.then(next);
    },
    over: () => change.then(() => down?.comeBack()),
  };
}

async function ask(gonka: GonkaFetch, index: number): Promise<Result> {
  const marker = `request number ${index}.`;
  const stream = index % 2 === 0;
  const body = chatBody({ messages: [{ role: "user", content: marker }], stream });
  try {
    const response = await gonka(`${gonka.baseURL}/chat/completions`, { method: "POST", body });
    const text = await response.text();
    if (!response.ok) return { body, outcome: "failed", charged: errorBehind(response)!.charged };
    expect(contentOf(text, stream)).toBe(marker);
    return { body, outcome: "answered", charged: "yes" };
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    return { body, outcome: "failed", charged: error.charged };
  }
}

function contentOf(text: string, stream: boolean): string {
  if (!stream) return JSON.parse(text).choices[0].message.content;
  const events = text.split("\n").filter((line) => line.startsWith("data: {"));
  return events.map((line) => JSON.parse(line.slice(6)).choices[0]?.delta.content ?? "").join("");
}

function judge(network: SandboxNetwork, results: readonly Result[]): void {
  const sha256 = (body: string | Buffer) => createHash("sha256").update(body).digest("hex");
  const started = countBy(network.chain.ledger.entries.map(({ bodySha256 }) => bodySha256));
  const posts = network.requests.filter(({ method }) => method === "POST");
  const sent = countBy(posts.map(({ body }) => sha256(body)));
  const faults = { chargedTwice: 0, answeredUncharged: 0, uncountedCharge: 0, tooManyAttempts: 0 };
  for (const { body, outcome, charged } of results) {
    const charges = started.get(sha256(body)) ?? 0;
    if (charges > 1) faults.chargedTwice += 1;
    if (outcome === "answered" && charges !== 1) faults.answeredUncharged += 1;
    // "No" must be true: a user relies on it when sending again.
    if (charged === "no" && charges > 0) faults.uncountedCharge += 1;
    if ((sent.get(sha256(body)) ?? 0) > MAX_ATTEMPTS + 1) faults.tooManyAttempts += 1;
  }
  expect(faults).toEqual({ chargedTwice: 0, answeredUncharged: 0, uncountedCharge: 0, tooManyAttempts: 0 });
  expect(network.violations).toEqual([]);
  expect(posts.filter(({ row }) => row === 10)).toEqual([]);
  expect(new Set(posts.map(({ headers }) => headers.authorization)).size).toBe(posts.length);
  expect(new Set(posts.map(({ headers }) => headers["x-timestamp"])).size).toBe(posts.length);

  // The plan was played, and failover was worth it: without it more than a quarter would have failed.
  const played = new Set(posts.map(({ fault }) => fault));
  for (const kind of Object.keys(FAULTS)) expect(played).toContain(kind);
  const answered = results.filter(({ outcome }) => outcome === "answered").length;
  expect(answered / results.length).toBeGreaterThan(0.75);
  if (process.env.ZEPH_SOAK_REQUESTS !== undefined) {
    process.stdout.write(`${answered} of ${results.length} answered, ${posts.length} requests sent\n`);
  }
}

function countBy(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
