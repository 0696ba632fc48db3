import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Charged, ZephErrorCode } from "../../src/errors.ts";

import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import type { NodeFaultKind } from "../../src/sandbox/classic/faults.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { chatBody } from "./sandbox-network-client.ts";

/**
 * The refusal table of the reference (1.7), over real HTTP: for each row its own error, the number of requests, which
 * node they go to, what was charged, and a hint that says what to do.
 */

let world: NativeWorld;
beforeEach(async () => {
  world = await startNativeWorld();
});
afterEach(() => world.stop());

const nodesAsked = () => world.posts().map(({ node }) => node);
const started = () => world.network.chain.ledger.entries.length;
const [firstNode, ...otherNodes] = ["node-1", "node-2", "node-3"];

/** A row that a node plays: what the client makes of it, and how often it asks when every node answers so. */
interface FaultRow {
  readonly row: string;
  readonly fault: NodeFaultKind;
  readonly code: ZephErrorCode;
  readonly hint: RegExp;
}

const TRY_AGAIN = /Try again/;
const GATEWAY = /`zeph init` and choose Gonka \(gateway\)/;

describe("refusals that every node would give", () => {
  const FINAL: readonly FaultRow[] = [
    { row: "0", fault: "retired", code: "native_closed", hint: GATEWAY },
    { row: "1", fault: "body-too-large", code: "request_too_large", hint: /Send less/ },
    { row: "1", fault: "nginx-413", code: "request_too_large", hint: /Send less/ },
    { row: "1", fault: "body-malformed", code: "invalid_request", hint: /Change what the endpoint names/ },
    { row: "1", fault: "body-cancelled", code: "invalid_request", hint: /Change what the endpoint names/ },
    { row: "1", fault: "body-unreadable", code: "invalid_request", hint: /Change what the endpoint names/ },
    { row: "16", fault: "executor-not-serving-model", code: "model_not_found", hint: /`zeph models`/ },
    { row: "other: devshard gateway", fault: "gateway-401", code: "native_requires_api_key", hint: GATEWAY },
  ];

  it.each(FINAL)("row $row: $fault is $code: one request, no charge", async ({ fault, code, hint }) => {
    world.network.nodes[0]!.faults.next(fault);
    const client = world.client({ retryCharged: true });
    const response = await client.chat();
    expect(response.ok).toBe(false);
    expect(response.headers.get("x-zeph-error-code")).toBe(code);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await response.json()).toHaveProperty("error.message");
    expect(client.error()).toMatchObject({ code, charged: "no", hint: expect.stringMatching(hint) });
    expect(nodesAsked()).toEqual([firstNode]);
    expect(started()).toBe(0);
  });
});

/** Rows that come from what the request, the account or the node's settings are. */
describe("refusals with a cause in the request or the account", () => {
  interface CauseRow {
    readonly row: string;
    readonly what: string;
    readonly body?: object | string;
    readonly account?: () => SandboxAccount;
    readonly arrange?: () => void;
    readonly transferAddress?: () => string;
    readonly code: ZephErrorCode;
    readonly detail: RegExp;
    readonly hint: RegExp;
  }
  const invalid = { code: "invalid_request", hint: /Change what the endpoint names/ } as const;
  const CAUSES: readonly CauseRow[] = [
    { row: "2", what: "not JSON", body: "hello", ...invalid, detail: /^invalid chat completion request: invalid JSON/ },
    { row: "2", what: "a float where int32 is wanted", body: { max_tokens: 1.5 }, ...invalid, detail: /int32/ },
    { row: "3", what: "no messages", body: { messages: [] }, ...invalid, detail: /^messages is required$/ },
    { row: "6", what: "no model", body: { model: "" }, ...invalid, detail: /^No model specified$/ },
    {
      row: "7",
      what: "developers on a list only",
      arrange: () => {
        world.network.chain.params.developerAccess = { untilBlockHeight: 2_459_375, allowed: [] };
      },
      code: "developer_not_allowed",
      detail: /2459375/,
      hint: /block height|`zeph init`/,
    },
    {
      row: "8",
      what: "the message policy",
      body: { messages: [{ role: "moderator", content: "x" }] },
      ...invalid,
      detail: /role has unsupported value "moderator"/,
    },
    {
      row: "9",
      what: "an account the chain does not know",
      account: () => world.newAccount({ registered: false }),
      code: "account_not_found",
      detail: /account not found/,
      hint: /Send some GNK to the address first/,
    },
    {
      row: "9",
      what: "an account without published key",
      account: () => world.newAccount({ publishedKey: false }),
      code: "account_no_public_key",
      detail: /no public key/,
      hint: /inferenced publish-pubkey/,
    },
    {
      row: "10",
      what: "a node listed with another address",
      transferAddress: () => world.account.address,
      code: "signature_invalid",
      detail: /PubKey:invalid signature/,
      hint: /`zeph gonka doctor`/,
    },
    {
      row: "11",
      what: "a model that is not served",
      body: { model: "nobody/has-it" },
      code: "model_not_found",
      detail: /^model not found$/,
      hint: /`zeph models`/,
    },
    {
      row: "12",
      what: "too little money",
      account: () => world.newAccount({ balanceNgonka: 5n }),
      code: "insufficient_balance",
      detail: /^Insufficient balance$/,
      hint: /Fund the address|max_tokens/,
    },
  ];

  it.each(CAUSES)("row $row: $what is $code: one request, no charge", async (cause) => {
    cause.arrange?.();
    const { transferAddress } = cause;
    const endpoints = endpointsOf(world.network).map((endpoint) => ({
      ...endpoint,
      ...(transferAddress === undefined ? {} : { address: transferAddress() }),
    }));
    const client = world.client({ retryCharged: true, endpoints }, cause.account?.());
    const response = await client.chat(cause.body);
    expect(response.ok).toBe(false);
    expect(client.error()).toMatchObject({
      code: cause.code,
      charged: "no",
      detail: expect.stringMatching(cause.detail),
      hint: expect.stringMatching(cause.hint),
    });
    expect(nodesAsked()).toEqual([firstNode]);
    expect(started()).toBe(0);
    expect(world.network.violations).toEqual([]);
  });

  it("row 1: a body over 10 MiB is not even sent, one byte less is", async () => {
    const rest = 10_485_760 - chatBody({ filler: "" }).length;
    const client = world.client();
    await expect(client.chat({ filler: "x".repeat(rest + 1) })).rejects.toMatchObject({
      code: "request_too_large",
      hint: expect.stringContaining("10 MiB"),
    });
    expect(world.network.requests).toEqual([]);
    expect((await client.chat({ filler: "x".repeat(rest) })).status).toBe(200);
  });

  it("row 0: a network that tells its version gets no prompt at all", async () => {
    world.network.state.version = "release/v0.2.14-post1";
    const client = world.client();
    await expect(client.chat()).rejects.toMatchObject({ code: "native_closed", hint: expect.stringMatching(GATEWAY) });
    expect(world.posts()).toEqual([]);
  });
});

describe("refusals of one node, before anything is charged", () => {
  const ELSEWHERE: readonly (FaultRow & { readonly coolsMs?: number })[] = [
    { row: "1", fault: "body-timeout", code: "timeout_headers", hint: TRY_AGAIN },
    { row: "4", fault: "not-allowed", code: "transfer_agent_not_allowed", hint: /Use a node that is listed/ },
    { row: "7", fault: "chain-params-unreachable", code: "service_unavailable", hint: TRY_AGAIN },
    { row: "7", fault: "chain-status-unreachable", code: "service_unavailable", hint: TRY_AGAIN },
    { row: "11", fault: "epoch-data-unreachable", code: "service_unavailable", hint: TRY_AGAIN },
    { row: "15", fault: "capacity", code: "capacity_reached", hint: /another node/, coolsMs: 5_000 },
    { row: "16", fault: "no-executor", code: "no_executor", hint: TRY_AGAIN },
    { row: "other: nginx", fault: "nginx-503", code: "service_unavailable", hint: TRY_AGAIN },
    { row: "other: nginx", fault: "nginx-502", code: "upstream_error", hint: TRY_AGAIN },
    { row: "other: nginx", fault: "api-disabled", code: "wrong_url", hint: /gonka_nodes/ },
    { row: "other: nginx", fault: "blocked", code: "forbidden", hint: /another node/ },
    { row: "other: limiter", fault: "rate-limit", code: "capacity_reached", hint: /another node/, coolsMs: 5_000 },
    { row: "other: a web page", fault: "wallet-page", code: "wrong_url", hint: /gonka_nodes/ },
    { row: "other: redirect", fault: "redirect", code: "endpoint_moved", hint: /Check the new address/ },
  ];

  it.each(ELSEWHERE)(
    "row $row: $fault: the next node answers, the first cools",
    async ({ fault, coolsMs = 30_000 }) => {
      world.network.nodes[0]!.faults.always(fault);
      const { chat, gonka } = world.client();
      expect((await chat()).status).toBe(200);
      expect(nodesAsked()).toEqual([firstNode, otherNodes[0]]);
      const [first, second] = world.posts();
      expect(BigInt(second!.headers["x-timestamp"]!)).toBeGreaterThan(BigInt(first!.headers["x-timestamp"]!));
      expect(second!.body.equals(first!.body)).toBe(true);
      expect(started()).toBe(1);

      const [status] = gonka.endpoints();
      expect(status).toMatchObject({ label: firstNode, failures: 1 });
      expect(status!.coolsUntilMs).toBe(world.clock.nowMs() + coolsMs);
      for (let i = 0; i < 4; i += 1) expect((await chat()).status).toBe(200);
      expect(nodesAsked().filter((node) => node === firstNode)).toHaveLength(1);
      expect(world.network.violations).toEqual([]);
    },
  );

  it.each(ELSEWHERE)("row $row: $fault of all nodes is $code: each was asked once", async ({ fault, code, hint }) => {
    for (const node of world.network.nodes) node.faults.always(fault);
    const client = world.client();
    const response = await client.chat();
    expect(response.ok).toBe(false);
    expect(client.error()).toMatchObject({ code, charged: "no", hint: expect.stringMatching(hint) });
    expect(client.error()!.attempts.map(({ endpoint }) => endpoint)).toEqual([firstNode, ...otherNodes]);
    expect(nodesAsked()).toEqual([firstNode, ...otherNodes]);
    expect(world.clock.sleepsMs).toEqual([]);
    expect(started()).toBe(0);
    expect(world.network.violations).toEqual([]);
  });

  it("a node that is switched off costs nothing and is skipped", async () => {
    await world.network.nodes[0]!.goDown();
    const { chat } = world.client();
    for (let i = 0; i < 4; i += 1) expect((await chat()).status).toBe(200);
    expect(new Set(nodesAsked())).toEqual(new Set(otherNodes));
    expect(started()).toBe(4);
  });

  it("different refusals of different nodes are told together, one line each", async () => {
    const faults: readonly NodeFaultKind[] = ["capacity", "not-allowed", "nginx-502"];
    for (const [index, node] of world.network.nodes.entries()) node.faults.always(faults[index]);
    const client = world.client();
    await client.chat();
    const error = client.error()!;
    expect(error).toMatchObject({ code: "all_endpoints_failed", charged: "no" });
    expect(error.attempts.map(({ code }) => code)).toEqual([
      "capacity_reached",
      "transfer_agent_not_allowed",
      "upstream_error",
    ]);
    for (const { name } of world.network.nodes) expect(error.detail).toContain(name);
  });
});

describe("a signature that was seen before (row 14)", () => {
  it("is made anew once", async () => {
    world.network.nodes[0]!.faults.next("replayed");
    const { chat } = world.client();
    expect((await chat()).status).toBe(200);
    expect(world.posts()).toHaveLength(2);
    expect(started()).toBe(1);
    expect(world.network.violations).toEqual([]);
  });

  it("is not made anew for ever", async () => {
    for (const node of world.network.nodes) node.faults.always("replayed");
    const client = world.client();
    expect((await client.chat()).status).toBe(409);
    expect(client.error()).toMatchObject({ code: "replayed", charged: "no", hint: expect.stringMatching(TRY_AGAIN) });
    expect(world.posts()).toHaveLength(2);
  });
});

describe("failures after the network may have charged", () => {
  interface ChargedRow extends FaultRow {
    readonly charged: Charged;
    /** Would another node answer differently? Then it is asked, when the user agreed to a second charge. */
    readonly elsewhere: boolean;
    /** Faults in front of the chain: the client cannot know that nothing was started. */
    readonly started?: 0;
  }
  const maybe = { charged: "maybe", elsewhere: true } as const;
  const CHARGED: readonly ChargedRow[] = [
    { row: "17", fault: "executor-unreachable", code: "executor_failed", hint: /second charge/, ...maybe },
    { row: "18", fault: "no-ml-node", code: "executor_failed", hint: /second charge/, ...maybe },
    { row: "19", fault: "prompt-hash-missing", code: "node_fault", hint: TRY_AGAIN, ...maybe },
    { row: "19", fault: "prompt-hash-mismatch", code: "node_fault", hint: TRY_AGAIN, ...maybe },
    { row: "19", fault: "prompt-hash-failed", code: "node_fault", hint: TRY_AGAIN, ...maybe },
    { row: "20", fault: "ta-signature", code: "node_fault", hint: TRY_AGAIN, ...maybe },
    { row: "21", fault: "executor-late", code: "clock_skew", hint: /clock/, ...maybe },
    { row: "21", fault: "executor-replay", code: "replayed", hint: TRY_AGAIN, ...maybe },
    { row: "22", fault: "model-server-400", code: "invalid_request", hint: /Change/, charged: "yes", elsewhere: false },
    { row: "22", fault: "model-server-422", code: "invalid_request", hint: /Change/, charged: "yes", elsewhere: false },
    { row: "22", fault: "model-server-500", code: "executor_failed", hint: /second charge/, ...maybe },
    { row: "22", fault: "model-server-502", code: "executor_failed", hint: /second charge/, ...maybe },
    {
      row: "23",
      fault: "no-completions-route",
      code: "executor_failed",
      hint: /chat\/completions/,
      charged: "maybe",
      elsewhere: false,
    },
    { row: "24", fault: "not-json", code: "executor_failed", hint: /second charge/, charged: "yes", elsewhere: true },
    { row: "other: panic", fault: "panic", code: "executor_failed", hint: /second charge/, ...maybe, started: 0 },
    { row: "other: nginx", fault: "nginx-504", code: "timeout_headers", hint: /second charge/, ...maybe, started: 0 },
    { row: "other: cut off", fault: "drop", code: "unreachable", hint: /second charge/, ...maybe, started: 0 },
  ];

  it.each(CHARGED)("row $row: $fault is $code: one request, whatever other nodes there are", async (row) => {
    world.network.nodes[0]!.faults.next(row.fault);
    const client = world.client();
    const failure = await client.chat().then(
      (response) => response.headers.get("x-zeph-error-code"),
      (thrown: { code: string }) => thrown.code,
    );
    expect(failure).toBe(row.code);
    expect(client.error()).toMatchObject({
      code: row.code,
      charged: row.charged,
      hint: expect.stringMatching(row.hint),
    });
    expect(nodesAsked()).toEqual([firstNode]);
    expect(started()).toBe(row.started ?? 1);
    expect(world.network.violations).toEqual([]);
  });

  it.each(CHARGED)("row $row: $fault with retryCharged: asked again only where that can help", async (row) => {
    world.network.nodes[0]!.faults.next(row.fault);
    const client = world.client({ retryCharged: true });
    const response = await client.chat();
    if (!row.elsewhere) {
      expect(response.ok).toBe(false);
      expect(nodesAsked()).toEqual([firstNode]);
      expect(started()).toBe(1);
      return;
    }
    expect(response.status).toBe(200);
    expect(nodesAsked()).toEqual([firstNode, otherNodes[0]]);
    const [first, second] = world.posts().map(({ headers }) => headers);
    expect(BigInt(second!["x-timestamp"]!)).toBeGreaterThan(BigInt(first!["x-timestamp"]!));
    expect(second!.authorization).not.toBe(first!.authorization);
    expect(started()).toBe((row.started ?? 1) + 1);
    expect(world.network.violations).toEqual([]);
  });

  it("a refusal before and a failure after the charge: the failure has the last word", async () => {
    world.network.nodes[0]!.faults.next("capacity");
    world.network.nodes[1]!.faults.next("executor-unreachable");
    const client = world.client();
    await client.chat();
    expect(nodesAsked()).toEqual([firstNode, otherNodes[0]]);
    // "None of the nodes could answer" would be untrue: the third was spared on purpose.
    expect(client.error()).toMatchObject({ code: "executor_failed", charged: "maybe" });
    expect(client.error()!.attempts).toHaveLength(2);
  });

  it("row 22: a prompt that is too long is named as that", async () => {
    const client = world.client();
    const words = "word ".repeat(60_000);
    await client.chat({ messages: [{ role: "user", content: words }] });
    expect(client.error()).toMatchObject({ code: "context_length", hint: expect.stringMatching(/Shorten it/) });
    expect(nodesAsked()).toEqual([firstNode]);
  });
});
