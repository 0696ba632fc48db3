import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import type { SandboxAccount } from "../../src/sandbox/chain.ts";
import type { NodeFaultKind } from "../../src/sandbox/classic/faults.ts";
import { type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import {
  type CallOptions,
  chatBody,
  echoEngine,
  highS,
  MODEL,
  phase3Input,
  signedCall,
  signWithOpenSsl,
} from "./sandbox-network-client.ts";

const NANOS_PER_SECOND = 1_000_000_000n;
const clock = manualClock();
let network: SandboxNetwork;
let account: SandboxAccount;
let tick = 0n;

function nowNanos(): bigint {
  tick += 1n;
  return BigInt(clock.nowMs()) * 1_000_000n + tick;
}

/** A good call to the first node, with what the test changes. */
function call(changes: Partial<CallOptions> = {}): Promise<Response> {
  const node = network.nodes[0]!;
  return signedCall({ account, node, body: chatBody(), timestampNanos: nowNanos(), ...changes });
}

async function expectRefusal(response: Response, status: number, text: string): Promise<void> {
  expect({ status: response.status, text: await response.text() }).toEqual({
    status,
    text: `${JSON.stringify({ error: text })}\n`,
  });
  expect(response.headers.get("content-type")).toBe("application/json");
}

const started = () => network.chain.ledger.entries.length;

beforeEach(async () => {
  network = await startNetwork({ engine: echoEngine, clock });
  account = network.createAccount();
});
afterEach(() => network.stop());

describe("refusals before anything is charged", () => {
  afterEach(() => {
    expect(started()).toBe(0);
  });

  it("413: a body over 10485760 bytes, declared or not, and one byte less passes on", async () => {
    const big = chatBody({ filler: "x".repeat(10_485_760) });
    await expectRefusal(await call({ body: big }), 413, "Request Entity Too Large");
    const undeclared = await fetch(`${network.nodes[0]!.baseURL}/chat/completions`, {
      method: "POST",
      body: new Blob([big]).stream(),
      duplex: "half",
    } as RequestInit);
    await expectRefusal(undeclared, 413, "request body too large");
    const rest = 10_485_760 - chatBody({ filler: "" }).length;
    const largest = chatBody({ filler: "x".repeat(rest) });
    expect(Buffer.byteLength(largest)).toBe(10_485_760);
    await expectRefusal(
      await call({ body: largest, headers: { Authorization: undefined } }),
      401,
      "Authorization is required",
    );
  });

  it("400: what is no JSON or of another type, before any header is looked at", async () => {
    const text = "invalid chat completion request: invalid JSON";
    await expectRefusal(await call({ body: "hello", headers: { Authorization: undefined } }), 400, text);
    await expectRefusal(
      await call({ body: chatBody({ max_tokens: 2_147_483_648 }) }),
      400,
      "invalid chat completion request: json: cannot unmarshal number 2147483648 into Go struct field OpenAiRequest.max_tokens of type int32",
    );
    await expectRefusal(await call({ body: "{}" }), 400, "messages is required");
  });

  it("403: a node that is not on the list, or the list's developers only", async () => {
    network.chain.params.allowedTransferAgents = [network.nodes[1]!.address];
    await expectRefusal(await call(), 403, "Transfer Agent not allowed");
    network.chain.params.allowedTransferAgents = [];
    network.chain.params.developerAccess = { untilBlockHeight: 2_459_375, allowed: ["gonka1somebody"] };
    await expectRefusal(await call(), 403, "inference requests are restricted until block height 2459375");
  });

  it("401 and 400: no Authorization, no model", async () => {
    await expectRefusal(await call({ headers: { Authorization: undefined } }), 401, "Authorization is required");
    await expectRefusal(await call({ body: chatBody({ model: "" }) }), 400, "No model specified");
  });

  it("400: the message policy", async () => {
    const body = chatBody({ messages: [{ role: "moderator", content: "x" }] });
    await expectRefusal(await call({ body }), 400, 'messages[0].role has unsupported value "moderator"');
    const nobody = chatBody({ messages: [{ content: "x" }] });
    const text = "invalid chat completion request: message role must be a non-empty string";
    await expectRefusal(await call({ body: nobody }), 400, text);
    const completion = (messages: unknown) => JSON.stringify({ model: MODEL, prompt: "x", messages });
    const path = "/completions";
    await expectRefusal(await call({ path, body: completion("bad") }), 400, "messages must be an array");
  });

  it("500: an account the chain does not know, one without a public key, no address at all", async () => {
    const notFound = "rpc error: code = NotFound desc = account not found: key not found";
    await expectRefusal(await call({ account: network.createAccount({ registered: false }) }), 500, notFound);
    const silent = network.createAccount({ publishedKey: false });
    const noKey = "rpc error: code = NotFound desc = account has no public key";
    await expectRefusal(await call({ account: silent }), 500, noKey);
    network.chain.accounts.publishKey(silent);
    const invalid = "rpc error: code = InvalidArgument desc = invalid address";
    for (const address of [undefined, "", "nobody", account.address.replace("gonka1", "cosmos1")]) {
      await expectRefusal(await call({ headers: { "X-Requester-Address": address } }), 500, invalid);
    }
  });

  it("401: every signature that is not exactly right", async () => {
    const wrong = "Unable to validate request against PubKey:invalid signature";
    const node = network.nodes[0]!;
    const body = chatBody();
    const timestampNanos = nowNanos();
    const input = phase3Input(body, timestampNanos, node.address);
    const sign = (...rest: [string, typeof highS?]) => signWithOpenSsl(account.privateKeyHex, ...rest);
    const send = (Authorization: string) => call({ body, timestampNanos, headers: { Authorization } });
    await expectRefusal(await send(sign(input, highS)), 401, wrong);
    await expectRefusal(await send(sign(phase3Input(body, timestampNanos, account.address))), 401, wrong);
    await expectRefusal(await send(sign(phase3Input(`${body} `, timestampNanos, node.address))), 401, wrong);
    await expectRefusal(await send(sign(body + timestampNanos + node.address)), 401, wrong);
    const raw = Buffer.from(sign(input), "base64");
    await expectRefusal(await send(raw.subarray(1).toString("base64")), 401, wrong);
    await expectRefusal(await send(Buffer.concat([raw, Buffer.alloc(1)]).toString("base64")), 401, wrong);
    const illegal = (at: number) => `Unable to validate request against PubKey:illegal base64 data at input byte ${at}`;
    await expectRefusal(await send(`Bearer ${sign(input)}`), 401, illegal(6));
    await expectRefusal(await send(sign(input).replace(/=+$/, "")), 401, illegal(84));
    await expectRefusal(await send(raw.toString("hex")), 401, wrong);
    await expectRefusal(await call({ headers: { "X-Timestamp": "soon" } }), 401, wrong);
    await expectRefusal(await call({ headers: { "X-Timestamp": undefined } }), 401, wrong);
    await expectRefusal(await call({ account: { ...network.createAccount(), address: account.address } }), 401, wrong);
  });

  it("404 and 402: a model nobody serves, a balance below the escrow", async () => {
    await expectRefusal(await call({ body: chatBody({ model: "other" }) }), 404, "model not found");
    // "hello" and a newline are 6 tokens, max_tokens 64: 70 tokens at 1000 ngonka.
    const poor = network.createAccount({ balanceNgonka: 69_999n });
    await expectRefusal(await call({ account: poor }), 402, "Insufficient balance");
    const noLimit = network.createAccount({ balanceNgonka: 5_005_999n });
    const body = chatBody({ max_tokens: undefined, max_completion_tokens: 1 });
    await expectRefusal(await call({ account: noLimit, body }), 402, "Insufficient balance");
  });

  it("400: timestamps outside 60 s and 30 s of the latest block", async () => {
    const blockNanos = BigInt(network.chain.blocks.latest().timeMs) * 1_000_000n;
    const at = (offsetNanos: bigint) => call({ timestampNanos: blockNanos + offsetNanos });
    await expectRefusal(await at(-60n * NANOS_PER_SECOND - 1n), 400, "signature is too old");
    await expectRefusal(await at(30n * NANOS_PER_SECOND + 1n), 400, "signature is in the future");
    network.chain.params.timestampExpirationSeconds = 0;
    network.chain.params.timestampAdvanceSeconds = 0;
    await expectRefusal(await at(-10n * NANOS_PER_SECOND - 1n), 400, "signature is too old");
    await expectRefusal(await at(10n * NANOS_PER_SECOND + 1n), 400, "signature is in the future");
  });

  it("400: a correct clock while the chain stands still, with an honest Date header", async () => {
    network.chain.blocks.stall();
    await clock.advance(40_000);
    const refused = await call();
    expect(Date.parse(refused.headers.get("date")!)).toBe(Math.floor(clock.nowMs() / 1000) * 1000);
    await expectRefusal(refused, 400, "signature is in the future");
  });

  it("400: a wrong clock, which the Date header corrects", async () => {
    network.chain.blocks.setSkew(300_000);
    const refused = await call();
    expect(Date.parse(refused.headers.get("date")!)).toBe(Math.floor((clock.nowMs() + 300_000) / 1000) * 1000);
    await expectRefusal(refused, 400, "signature is too old");
  });
});

describe("the order of the checks", () => {
  /** Each line breaks one more check than the line above; the earliest broken one must answer. */
  const OLD = 1n;
  const lines: readonly [broken: string, changes: () => Partial<CallOptions>, status: number, text: RegExp][] = [
    ["timestamp", () => ({ timestampNanos: OLD }), 400, /signature is too old/],
    ["balance", () => ({ account: poorAccount() }), 402, /Insufficient balance/],
    ["model", () => ({ body: chatBody({ model: "other" }) }), 404, /model not found/],
    ["signature", () => ({ headers: { Authorization: "AAAA" } }), 401, /PubKey:invalid signature/],
    ["account", () => ({ headers: { Authorization: "AAAA", "X-Requester-Address": "x" } }), 500, /invalid address/],
    [
      "policy",
      () => ({ body: chatBody({ model: "other", messages: [{ role: "user" }] }) }),
      400,
      /content: is required/,
    ],
    ["developer", () => restrict({}), 403, /restricted until block height/],
    ["model name", () => ({ body: chatBody({ model: "", messages: [{ role: "user" }] }) }), 400, /No model specified/],
    ["Authorization", () => ({ headers: { Authorization: undefined } }), 401, /Authorization is required/],
    ["allow-list", () => disallow({}), 403, /Transfer Agent not allowed/],
    ["messages", () => ({ body: '{"messages":[]}' }), 400, /messages is required/],
    ["JSON", () => ({ body: "{" }), 400, /invalid JSON/],
  ];
  const poorAccount = () => network.createAccount({ balanceNgonka: 0n });
  const restrict = <T>(value: T): T => {
    network.chain.params.developerAccess = { untilBlockHeight: 9_999_999, allowed: [] };
    return value;
  };
  const disallow = <T>(value: T): T => {
    network.chain.params.allowedTransferAgents = ["gonka1other"];
    return value;
  };

  it.each(lines.map((line, index) => [line[0], index] as const))(
    "%s wins over everything after it",
    async (_, index) => {
      const changes: Partial<CallOptions> = {};
      for (const line of lines.slice(0, index + 1)) Object.assign(changes, line[1]());
      const [, , status, text] = lines[index]!;
      const response = await call(changes);
      expect({ status: response.status, text: await response.text() }).toEqual({
        status,
        text: expect.stringMatching(text),
      });
      expect(started()).toBe(0);
    },
  );
});

describe("replay", () => {
  it("refuses an Authorization twice on one node for 30 blocks, and notes the violation", async () => {
    const timestampNanos = nowNanos();
    const same = () => call({ timestampNanos, headers: { Authorization: authorization } });
    const authorization = signWithOpenSsl(
      account.privateKeyHex,
      phase3Input(chatBody(), timestampNanos, network.nodes[0]!.address),
    );
    expect((await same()).status).toBe(200);
    await expectRefusal(await same(), 400, "AuthKey has already been used for a transfer request");
    expect(network.violations).toHaveLength(1);
    network.chain.params.timestampExpirationSeconds = 60;
    network.chain.blocks.produce(31, 0);
    expect((await call()).status).toBe(200);
    expect((await same()).status).toBe(200);
    // The node has forgotten, the chain has not: one inference, not two.
    expect(network.chain.ledger.entries.map((entry) => entry.state)).toEqual(["finished", "finished", "rejected"]);
  });
});

describe("refusals a test asks for", () => {
  const uncharged: readonly [NodeFaultKind, number, RegExp][] = [
    ["chain-params-unreachable", 503, /unable to fetch chain params/],
    ["chain-status-unreachable", 503, /unable to fetch chain status/],
    ["epoch-data-unreachable", 503, /unable to fetch current epoch group data/],
    [
      "capacity",
      429,
      /capacity reached. Try another TA from http:\/\/127.0.0.1:\d+\/v1\/epochs\/current\/participants"/,
    ],
    ["executor-not-serving-model", 404, /"model not found"/],
    ["no-executor", 503, /no executors available for model/],
    ["body-timeout", 408, /request body read timeout/],
    ["body-malformed", 400, /malformed request body/],
    ["nginx-413", 413, /<h1>413 Request Entity Too Large/],
    ["nginx-502", 502, /<h1>502 Bad Gateway/],
    ["nginx-503", 503, /<h1>503 Service Temporarily Unavailable/],
    ["api-disabled", 404, /^App API Disabled$/],
    ["blocked", 403, /^\{"error": "Access Denied", "message": "This route is currently blocked."\}$/],
    ["rate-limit", 429, /^rate limit exceeded/],
    ["panic", 500, /runtime error: invalid memory address or nil pointer dereference: panic/],
    ["gateway-401", 401, /\{"error":\{"message":"model \\"sandbox\/echo-1\\" requires an API key"/],
    ["retired", 410, /^\{"error":"deprecated","message":"classic inference is deprecated; use devshard"\}\n$/],
  ];
  it.each(uncharged)("%s: %i, nothing charged", async (kind, status, text) => {
    network.nodes[0]!.faults.next(kind);
    const response = await call();
    expect({ status: response.status, text: await response.text() }).toEqual({
      status,
      text: expect.stringMatching(text),
    });
    expect(started()).toBe(0);
    expect(network.requests[0]!.fault).toBe(kind);
    expect((await call()).status).toBe(200);
  });

  const charged: readonly [NodeFaultKind, number, number, string, RegExp][] = [
    ["executor-unreachable", 17, 500, "started", /Post \\"http:\/\/.*connection refused/],
    ["no-ml-node", 18, 503, "started", /no inference nodes available/],
    ["prompt-hash-missing", 19, 400, "started", /Prompt hash is missing/],
    ["prompt-hash-mismatch", 19, 400, "started", /Prompt hash mismatch/],
    ["prompt-hash-failed", 19, 400, "started", /Failed to compute prompt hash/],
    ["ta-signature", 20, 401, "started", /against TransferSignature:invalid signature/],
    ["executor-late", 21, 400, "started", /Request timestamp is too old/],
    ["executor-replay", 21, 400, "started", /AuthKey has already been used for an executor request/],
    ["model-server-400", 22, 400, "finished", /Inference node response with an error. code = 400. error = \{.*\}\./],
    ["model-server-422", 22, 422, "finished", /code = 422/],
    ["model-server-502", 22, 500, "started", /code = 502/],
    ["no-completions-route", 23, 503, "started", /does not support \/v1\/completions; upgrade required/],
    ["not-json", 24, 500, "finished", /^Failed to process inference node response. inferenceId = \S{88}\n$/],
  ];
  it.each(charged)(
    "%s (row %i): %i after the escrow was taken, inference %s",
    async (kind, row, status, state, text) => {
      network.nodes[0]!.faults.next(kind);
      const response = await call();
      expect({ status: response.status, text: await response.text() }).toEqual({
        status,
        text: expect.stringMatching(text),
      });
      expect(network.chain.ledger.entries).toMatchObject([{ state, account: account.address }]);
      expect(network.chain.ledger.charged).toHaveLength(1);
      expect(network.requests[0]).toMatchObject({ row, status, fault: kind });
    },
  );

  it("refuses like the model server when prompt and answer do not fit, and charges a token", async () => {
    const response = await call({ body: chatBody({ max_tokens: 9_000 }) });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/code = 400\. error = .*maximum context length is 8192 tokens/);
    expect(network.chain.ledger.entries).toMatchObject([{ state: "finished", chargedNgonka: 1_000n }]);
  });
});

describe("a network that has retired signed requests", () => {
  it("answers 410 with both headers to every classic route and looks at no signature", async () => {
    network.state.version = "0.2.14";
    const origin = network.nodes[0]!.origin;
    const answers = [
      await call({ headers: { Authorization: undefined }, body: "nonsense" }),
      await call({ path: "/completions" }),
      await fetch(`${origin}/v1/chat/completions?id=x`),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(410);
      expect(answer.headers.get("deprecation")).toBe("true");
      expect(answer.headers.get("link")).toBe('</devshard/{version}>; rel="successor-version"');
      expect(await answer.json()).toEqual({
        error: "deprecated",
        message: "classic inference is deprecated; use devshard",
      });
    }
    const devshard = await fetch(`${origin}/v1/devshard/v1`, { method: "POST" });
    expect(await devshard.json()).toEqual({
      error: "deprecated",
      message: "/v1/devshard is deprecated; use /devshard/{version}",
    });
    const versions = await (await fetch(`${origin}/v1/versions`)).json();
    expect(versions).toMatchObject({ api_version: { version: "0.2.14" } });
    expect(started()).toBe(0);
  });
});

describe("what no client may send", () => {
  it("takes an empty X-Transfer-Address for none", async () => {
    expect((await call({ headers: { "X-Transfer-Address": "" } })).status).toBe(200);
  });

  it("takes names, images, sound and parts of a type of their own", async () => {
    const content = [
      { type: "text", text: "look" },
      { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
      { type: "input_audio", input_audio: { data: "AA==", format: "wav" } },
      { type: "x_custom", x_custom: 1 },
    ];
    const body = chatBody({ messages: [{ role: "user", name: "bob", content }] });
    expect((await call({ body })).status).toBe(200);
  });

  it("lets X-Transfer-Address replace the node's own address, and notes it", async () => {
    const other = network.nodes[1]!;
    const headers = { "X-Transfer-Address": other.address };
    expect((await call({ headers })).status).toBe(401);
    const node = { baseURL: network.nodes[0]!.baseURL, address: other.address };
    expect((await call({ node, headers })).status).toBe(200);
    expect(network.violations.join()).toContain("x-transfer-address");
  });

  it("takes X-Inference-Id with X-Seed for a forwarded request, and refuses its missing signature", async () => {
    const headers = { "X-Inference-Id": "i", "X-Seed": "1" };
    const text = "Unable to validate request against TransferSignature:invalid signature";
    await expectRefusal(await call({ headers }), 401, text);
    expect((await call({ headers: { "X-Seed": "1" } })).status).toBe(200);
    expect(network.violations).toHaveLength(3);
  });

  it("notes a request that was signed for another node", async () => {
    const node = { baseURL: network.nodes[0]!.baseURL, address: network.nodes[2]!.address };
    expect((await call({ node })).status).toBe(401);
    expect(network.violations).toEqual([
      `a request signed for ${network.nodes[2]!.address} came to ${network.nodes[0]!.address} (node-1)`,
    ]);
  });

  it("notes signing headers on a GET", async () => {
    const headers = { Authorization: "x", "X-Timestamp": "1" };
    await fetch(`${network.nodes[0]!.baseURL}/status`, { headers });
    expect(network.violations).toHaveLength(2);
  });

  it("notes key material anywhere, and keeps it out of its own log", async () => {
    const key = account.privateKeyHex;
    const leak = `ECDSA_SIG_EMPTY_${Buffer.from(key.slice(0, 16)).toString("base64")}`;
    await call({ headers: { "X-Note": leak } });
    await call({ body: chatBody({ user: `0x${key}` }) });
    await fetch(`${network.nodes[0]!.baseURL}/status?k=${key.slice(20, 34)}`);
    expect(network.violations).toHaveLength(3);
    const log = JSON.stringify([network.requests, network.violations, network.requests.map((one) => `${one.body}`)]);
    expect(log).not.toContain(key.slice(0, 12));
    expect(log).not.toContain(key.slice(20, 34));
    expect(log).not.toContain(leak);
  });
});

describe("other routes", () => {
  it("answers unknown routes, wrong methods and browsers' preflights as the node and its proxy do", async () => {
    const origin = network.nodes[0]!.origin;
    await expectRefusal(await fetch(`${origin}/v1/nothing`), 404, "Not Found");
    await expectRefusal(await fetch(`${origin}/v1/embeddings`, { method: "POST" }), 404, "Not Found");
    await expectRefusal(await fetch(`${origin}/v1/chat/completions`, { method: "DELETE" }), 405, "Method Not Allowed");
    await expectRefusal(await fetch(`${origin}/v1/models`, { method: "PUT" }), 405, "Method Not Allowed");
    const preflight = await fetch(`${origin}/v1/chat/completions`, { method: "OPTIONS" });
    expect(preflight.headers.get("access-control-allow-headers")).not.toContain("X-Timestamp");
    expect(preflight.headers.get("x-frame-options")).toBe("SAMEORIGIN");
  });

  it("shows one inference by its id", async () => {
    await call();
    const id = encodeURIComponent(network.requests[0]!.headers.authorization!);
    const shown = await fetch(`${network.nodes[1]!.baseURL}/chat/completions?id=${id}`);
    expect(await shown.json()).toMatchObject({ status: "FINISHED", model: MODEL, requested_by: account.address });
  });
});
