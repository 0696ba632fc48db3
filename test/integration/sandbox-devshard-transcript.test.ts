import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { goStringify } from "../../src/sandbox/classic/inference.ts";
import { devshardKey } from "../../src/sandbox/devshard/crypto.ts";
import { type DevshardNetwork, startDevshard } from "../../src/sandbox/devshard/devshard.ts";
import type { execute } from "../../src/sandbox/devshard/host.ts";
import type { DiffJson } from "../../src/wire/devshard/messages.ts";

/** What upstream's v4-development hosts were asked and answered. */
interface Exchange {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly request_headers?: Readonly<Record<string, string>>;
  readonly request_body?: string;
  readonly status?: number;
  readonly response_headers?: Readonly<Record<string, string>>;
  readonly response_body?: string;
  readonly client_cut_after?: string;
  readonly transport_error?: string;
}

const { http } = JSON.parse(readFileSync(new URL("../../vectors/devshard.json", import.meta.url), "utf8"));
const exchanges: readonly Exchange[] = http.exchanges;
const chainReads = exchanges.filter(({ name }) => name.startsWith("chain_"));
const hostCalls = exchanges.filter(({ name }) => !name.startsWith("chain_"));

/** The file does not say which host was asked. It shows in who signed the answer, or in the diffs that were needed. */
const OF_SLOT_0 = [
  ...["probe_fresh", "probe_fresh_signatures", "catch_up", "client_cut", "mempool_after_cut", "bad_user_sig"],
  ...["valid_after_errors", "payload_params_mismatch", "payload_prompt_mismatch", "payload_ok_after_mismatch"],
];
const OF_SLOT_1 = [
  ...["stream", "repost_complete", "repost_without_diff", "not_executor", "engine_fails", "repost_after_failure"],
  ...["root_mismatch", "challenge_receipt"],
];
const slotOf = ({ name }: Exchange) => (OF_SLOT_0.includes(name) ? 0 : OF_SLOT_1.includes(name) ? 1 : 2);

const OWNER = devshardKey("21".padStart(64, "0"));
const clock = manualClock(Date.parse("2026-11-28T07:10:50Z"));
let network: DevshardNetwork;

beforeAll(async () => {
  network = await startDevshard({
    hostKeysHex: ["11", "12", "13"].map((label) => label.padStart(64, "0")),
    chainId: "gonka-sim",
    firstEscrowId: 2,
    clock,
    execute: echo,
    validationRate: 0,
    refusalTimeoutSeconds: 2,
    params: { maxNonce: 0, validationRate: 0, refusalTimeoutSeconds: 2, executionTimeoutSeconds: 3 },
  });
  network.createUser({ privateKeyHex: OWNER.privateKeyHex });
  network.chain.addEscrow(OWNER.address, 5_000_000_000n, "sim/model-a", { epochIndex: 7, appHash: "01020304" });
});
afterAll(() => network.stop());

const failing = new Set(["fail please"]);
/** Answers that wait, until they are let go or their request ends. */
const waiting = new Map<string, () => void>();

/** The stub engine that the captured hosts ran with: it says what it heard, and fails or waits when asked to. */
const echo: typeof execute = async function* ({ id, payload, signal }) {
  const { messages, stream } = JSON.parse(payload.prompt.toString());
  const heard: string = messages[0].content;
  if (failing.delete(heard)) throw new Error("the model server is down");
  if (heard === "slow please" || heard.startsWith("one two three")) {
    await new Promise<void>((resolve, reject) => {
      waiting.set(heard, resolve);
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }
  const content = `echo[${Number(id.split("-")[2]) % 3}]: ${heard}`;
  const usage = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
  const object = (kind: string, choice: object, last: object = {}) =>
    inOrder({
      id,
      object: kind,
      created: 1_700_000_000,
      model: payload.model,
      choices: [{ index: 0, ...choice }],
      ...last,
    });
  const body = object("chat.completion", { message: { role: "assistant", content }, finish_reason: "stop" }, { usage });
  if (stream !== true) yield body;
  else {
    for (const [index, piece] of (content.match(/^echo\[\d\]: |\S+\s?/g) ?? []).entries()) {
      const delta = { ...(index === 0 ? { role: "assistant" } : {}), content: piece };
      yield object("chat.completion.chunk", { delta, finish_reason: null });
    }
    yield object("chat.completion.chunk", { delta: {}, finish_reason: "stop" }, { usage });
  }
  return { body, responseHash: createHash("sha256").update(body).digest(), input: 11, output: 7 };
};

/** As Go writes a struct: members in their order, the characters of HTML escaped. */
function inOrder(value: object): Buffer {
  return Buffer.from(JSON.stringify(value).replace(/[<>&]/g, (character) => goStringify(character).slice(1, -1)));
}

function send({ method, path, request_headers = {}, request_body }: Exchange, slot: number, signal?: AbortSignal) {
  const body = request_body === undefined ? {} : { body: request_body };
  const url = `${network.hosts[slot]?.url}${path}`;
  return fetch(url, { method, headers: request_headers, signal: signal ?? null, ...body });
}

/** The first request of inference 5 is not in the file: it brought the host the diffs before it, and was slow. */
async function sendSlowly(repost: Exchange): Promise<Response> {
  const sent = JSON.parse(repost.request_body ?? "");
  const known = exchanges.flatMap(({ response_body = "", request_body = "" }) => [
    ...`${request_body}${response_body}`.matchAll(/\{"nonce":[34],"txs":"[^}]+\}/g),
  ]);
  const before = [3, 4].map((nonce) =>
    known.map(([text]) => JSON.parse(text) as DiffJson).find((diff) => diff.nonce === nonce),
  );
  const request_body = JSON.stringify({ ...sent, diffs: [...before, ...sent.diffs] });
  const timestamp = Math.floor(clock.nowMs() / 1000);
  const seconds = Buffer.alloc(8);
  seconds.writeBigInt64BE(BigInt(timestamp));
  const digest = createHash("sha256").update("2").update(request_body).update(seconds).digest();
  const signature = OWNER.sign(digest).toString("hex");
  const request_headers = { "X-Devshard-Signature": signature, "X-Devshard-Timestamp": String(timestamp) };
  return send({ ...repost, request_headers, request_body }, 2);
}

/** Events in their order, the transactions of a mempool without one, as upstream promises none. */
function events(stream: string): unknown[] {
  return stream
    .split("\n\n")
    .slice(0, -1)
    .map((event) => {
      const { devshard_meta: meta } = event === "data: [DONE]" ? {} : JSON.parse(event.slice("data: ".length));
      return meta === undefined ? event : { ...meta, mempool: meta.mempool?.toSorted() };
    });
}

const HEADERS = ["Content-Type", "Cache-Control", "Content-Length", "Date", "X-Devshard-Error"];

describe("the hosts of the sandbox answer as the captured ones, to the byte:", () => {
  it.each(hostCalls)("$name", async (exchange) => {
    const slot = slotOf(exchange);
    const date = exchange.response_headers?.Date;
    if (date !== undefined) clock.set(Date.parse(date));
    network.chain.params.requestsEnabled = exchange.status !== 503;
    network.hosts[slot]?.faults.set({ dead: exchange.transport_error !== undefined });
    if (exchange.transport_error !== undefined) return expect(send(exchange, slot)).rejects.toThrow("fetch failed");
    const slow = exchange.name === "repost_while_executing" ? await sendSlowly(exchange) : undefined;

    const leaving = new AbortController();
    const answer = await send(exchange, slot, leaving.signal);
    const expected = exchange.response_body ?? "";
    const text = exchange.client_cut_after === undefined ? await answer.text() : await firstEvent(answer);
    leaving.abort();

    expect(answer.status, text).toBe(exchange.status);
    for (const name of HEADERS) expect(answer.headers.get(name), name).toBe(exchange.response_headers?.[name] ?? null);
    expect(answer.headers.get("X-Request-Id")).toMatch(/^req-/);
    if (expected.startsWith("data: ")) expect(events(text)).toEqual(events(expected));
    else if (exchange.path.endsWith("/mempool"))
      expect(JSON.parse(text).txs?.toSorted()).toEqual(JSON.parse(expected).txs?.toSorted());
    else expect(text).toBe(expected);
    waiting.get("slow please")?.();
    expect((await slow?.text()) ?? "data: [DONE]").toContain("data: [DONE]");
  });
});

async function firstEvent(answer: Response): Promise<string> {
  const reader = answer.body?.getReader();
  const first = await reader?.read();
  return Buffer.from(first?.value ?? []).toString();
}

describe("the chain of the sandbox answers as the captured stand-in:", () => {
  it.each(chainReads)("$name", async ({ path, status, response_body = "" }) => {
    const answer = await fetch(`${network.chainUrl}${path}`);
    expect(answer.status).toBe(status);
    const got = (await answer.json()) as { params?: { fee_params: unknown } };
    const expected = JSON.parse(response_body);
    // Where the hosts listen and what the node is called is its own; fees of the chain were left out.
    if (expected.participant !== undefined) expected.participant.inference_url = network.hosts[0]?.url;
    if (expected.params !== undefined) expected.params.fee_params = got.params?.fee_params;
    if (expected.default_node_info !== undefined) expected.default_node_info.moniker = "sandbox";
    expect(got).toEqual(expected);
  });
});
