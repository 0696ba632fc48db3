import type { ServerResponse } from "node:http";
import type { Clock } from "../../base/time.ts";
import { type AnswerFrame, answerChunks, executorRequest, goStringify, wholeAnswer } from "../classic/inference.ts";
import { CHAT_PATH } from "../classic/node.ts";
import type { Engine, EngineEvent, SandboxModel } from "../engine.ts";
import { aborted, writePiece } from "../server.ts";
import type { DevshardChain } from "./chain.ts";
import { answerChain } from "./chain-routes.ts";
import { type DevshardKey, devshardKey, prefixOf, sha256 } from "./crypto.ts";
import {
  type ChatCall,
  type DevshardWatch,
  type HostCall,
  HostFaultSwitch,
  type HostFaults,
  queryNumber,
  readChallenge,
  readChat,
  readTimeout,
  senderOf,
} from "./host-request.ts";
import {
  bindSession,
  type Executed,
  HostRefusal,
  type HostSession,
  type Payload,
  type ReceivedDiff,
} from "./host-session.ts";

/** What the hosts of one network share: the chain, the model, the clock and chance; nothing of a session. */
export interface HostWorld {
  readonly chain: DevshardChain;
  readonly engine: Engine;
  /** How an executor makes an answer of what the engine says. */
  readonly execute: typeof execute;
  readonly clock: Clock;
  /** 0 <= value < 1 */
  readonly random: () => number;
  /** Versions the host program was built for. */
  readonly versions: readonly string[];
  /** How long a failed bind is remembered. */
  readonly failureCacheMs: number;
  readonly refusalTimeoutSeconds: number;
  readonly executionTimeoutSeconds: number;
  /** Basis points of finished inferences that a host validates. */
  readonly validationRate: number;
  readonly watch: DevshardWatch;
  readonly stopped: AbortSignal;
}

/** One HTTP answer in the making. */
export interface HostExchange {
  readonly call: HostCall;
  readonly outgoing: ServerResponse;
  /** Aborted when the client leaves. */
  readonly gone: AbortSignal;
}

/** An execution and where its answer goes. */
interface Serving {
  readonly inferenceId: bigint;
  readonly payload: NonNullable<ChatCall["payload"]>;
  readonly stream: EventStream;
  readonly signal: AbortSignal;
  readonly faults: HostFaults;
}

/** One host: its key, its sessions, its mempools, its faults. It shares no state with the others. */
export class DevshardHost {
  readonly name: string;
  readonly key: DevshardKey;
  readonly faults = new HostFaultSwitch();
  readonly #world: HostWorld;
  readonly #sessions = new Map<string, HostSession>();
  readonly #failures = new Map<string, { readonly untilMs: number; readonly refusal: HostRefusal }>();
  readonly #buckets = new Map<string, { readonly tokens: number; readonly atMs: number }>();
  #signingKey: DevshardKey;
  #running = new AbortController();
  #requests = 0;

  constructor(name: string, key: DevshardKey, world: HostWorld) {
    this.name = name;
    this.key = key;
    this.#signingKey = key;
    this.#world = world;
  }

  get address(): string {
    return this.key.address;
  }

  /** Bound escrows; for tests that look behind the wire. */
  session(escrowId: string): HostSession | undefined {
    return this.#sessions.get(escrowId);
  }

  /** Signs with a new key from now on, which the chain knows a grant for, or not. */
  useWarmKey({
    isGranted = true,
    key = devshardKey(undefined, prefixOf(this.address)),
  }: {
    isGranted?: boolean;
    key?: DevshardKey;
  } = {}): DevshardKey {
    this.#signingKey = key;
    if (isGranted) this.#world.chain.grant(this.address, key.address);
    return key;
  }

  useOwnKey(): void {
    this.#signingKey = this.key;
  }

  /** Ends every connection and execution; without its state the host knows no escrow any more. */
  restart({ keepState = true }: { readonly keepState?: boolean } = {}): void {
    this.#running.abort(new Error("the host restarts"));
    this.#running = new AbortController();
    this.#failures.clear();
    if (!keepState) this.#sessions.clear();
  }

  /** Answers one request. */
  async answer(exchange: HostExchange): Promise<void> {
    const { call, outgoing } = exchange;
    const isChat = call.method === "POST" && call.path.endsWith("/chat/completions");
    const faults = this.faults.take(isChat);
    if (faults.dead) return void outgoing.destroy();
    if (faults.delayMs > 0) await this.#world.clock.sleep(faults.delayMs, exchange.gone);
    this.#requests += 1;
    outgoing.sendDate = false;
    outgoing.setHeader("Date", new Date(this.#nowMs(faults)).toUTCString());
    outgoing.setHeader("X-Request-Id", `req-${this.name}-${this.#requests}`);
    try {
      if (faults.refuse !== undefined) {
        const { status, message, error } = faults.refuse;
        throw new HostRefusal(status, message, error);
      }
      await this.#route(exchange, faults);
    } catch (error) {
      if (!(error instanceof HostRefusal) || outgoing.headersSent) throw error;
      if (error.cause503 !== undefined) outgoing.setHeader("X-Devshard-Error", error.cause503);
      sendJson(outgoing, error.status, { message: error.message }, "\n");
    }
  }

  async #route(exchange: HostExchange, faults: HostFaults): Promise<void> {
    const { call, outgoing } = exchange;
    if (call.method === "GET" && call.path === "/healthz") return sendJson(outgoing, 200, { status: "ok" });
    if (!call.path.startsWith("/devshard/")) {
      // A host's machine is a node of the chain, too.
      const { status, body } = answerChain(this.#world.chain, call);
      return sendJson(outgoing, status, body, "\n");
    }
    const match = /^\/devshard\/([^/]+)\/sessions\/([^/]+)\/(.+)$/.exec(call.path);
    const [, version = "", escrowId = "", route = ""] = match ?? [];
    const kind = ROUTES[`${call.method} ${route}`];
    if (kind === undefined || !this.#world.versions.includes(version)) throw new HostRefusal(404, "Not Found");
    const session = this.#session(version, escrowId, faults);
    if (kind === "read") return sendJson(outgoing, 200, this.#read(session, route, call));
    const sender = senderOf(call, session, this.#nowSeconds(faults));
    checkSender(session, sender, kind);
    if (faults.rateLimit !== undefined) this.#checkRate(`${escrowId} ${sender}`, faults.rateLimit);
    if (kind === "group") throw new HostRefusal(503, "gossip is not attached", "not_implemented");
    if (route === "challenge-receipt") return sendJson(outgoing, 200, challenge(session, call));
    if (route === "verify-timeout") return sendJson(outgoing, 200, this.#verifyTimeout(session, call, faults));
    await this.#chat(session, exchange, faults);
    setImmediate(() => this.#judge(session));
  }

  /** A bucket for each sender and session. Throws {@link HostRefusal} 429. */
  #checkRate(who: string, { perSecond, burst }: NonNullable<HostFaults["rateLimit"]>): void {
    const nowMs = this.#world.clock.nowMs();
    const { tokens, atMs } = this.#buckets.get(who) ?? { tokens: burst, atMs: nowMs };
    const left = Math.min(burst, tokens + ((nowMs - atMs) / 1000) * perSecond) - 1;
    if (left < 0) throw new HostRefusal(429, "rate limit exceeded");
    this.#buckets.set(who, { tokens: left, atMs: nowMs });
  }

  /** Binds on the first request of any kind; a failure is remembered for a while. */
  #session(version: string, escrowId: string, faults: HostFaults): HostSession {
    const known = this.#sessions.get(escrowId);
    if (known?.version === version) return known;
    const key = `${version} ${escrowId}`;
    const failure = this.#failures.get(key);
    if (failure !== undefined && failure.untilMs > this.#nowMs(faults)) throw failure.refusal;
    try {
      if (known !== undefined) {
        const conflict = `escrow ${escrowId} exists with version ${known.version}, requested ${version}`;
        throw new HostRefusal(409, `init storage session: session version conflict: ${conflict}`);
      }
      const session = bindSession(this.#world.chain, { version, escrowId }, this.#view());
      this.#sessions.set(escrowId, session);
      return session;
    } catch (error) {
      if (!(error instanceof HostRefusal)) throw error;
      this.#failures.set(key, { untilMs: this.#nowMs(faults) + this.#world.failureCacheMs, refusal: error });
      throw error;
    }
  }

  #view(): ConstructorParameters<typeof HostSession>[1] {
    const { chain, refusalTimeoutSeconds, executionTimeoutSeconds } = this.#world;
    return {
      address: this.address,
      key: () => this.#signingKey,
      nowSeconds: () => this.#nowSeconds(this.faults.now),
      maxNonce: () => chain.params.maxNonce,
      isGranted: (warm, granter) => chain.isGranted(warm, granter),
      refusalTimeoutSeconds: () => refusalTimeoutSeconds,
      executionTimeoutSeconds: () => executionTimeoutSeconds,
    };
  }

  #read(session: HostSession, route: string, call: HostCall): unknown {
    if (route === "mempool") return { txs: this.#mempool(session) };
    if (route === "signatures") {
      const signatures = session.signaturesAt(queryNumber(call, "nonce", "missing 'nonce' parameter"));
      const bySlot = [...signatures].map(([slot, signature]) => [slot, base64(signature)]);
      return { signatures: Object.fromEntries(bySlot) };
    }
    const from = queryNumber(call, "from", "invalid 'from' parameter");
    const to = queryNumber(call, "to", "invalid 'to' parameter");
    return session.diffs(from, to).map(({ json, stateHash }) => ({ diff: json, state_hash: base64(stateHash) }));
  }

  /** In an order that nobody may rely on. */
  #mempool(session: HostSession): string[] {
    const shuffled = session.mempool.map(({ bytes }) => base64(bytes));
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = Math.floor(this.#world.random() * (last + 1));
      [shuffled[last], shuffled[other]] = [shuffled[other] as string, shuffled[last] as string];
    }
    return shuffled;
  }

  #verifyTimeout(session: HostSession, { body }: HostCall, faults: HostFaults): unknown {
    if (!this.#world.chain.params.requestsEnabled) throw requestsDisabled();
    const { diffs, ...claim } = readTimeout(body);
    this.#world.watch.compare(session, diffs);
    applyWhatHolds(session, diffs);
    const verdict = session.verifyTimeout(claim);
    if (!verdict.accept || faults.timeoutVotes === "never") return { accept: false, voter_slot: 0 };
    const { signature, voterSlot } = verdict;
    return { accept: true, signature: base64(signature), voter_slot: voterSlot };
  }

  async #chat(session: HostSession, exchange: HostExchange, faults: HostFaults): Promise<void> {
    const { call, outgoing } = exchange;
    const chat = readChat(call.body);
    if (!this.#world.chain.params.requestsEnabled && isNewWork(chat)) throw requestsDisabled();
    this.#world.watch.compare(session, chat.diffs);
    session.apply(chat.diffs);
    const start = chat.payload && session.startToExecute(chat.nonce, chat.diffs, chat.payload);
    const taken = start && session.takeInference(start.inferenceId);
    const state = this.#stateOf(session, faults);
    if (faults.loseReply) return void outgoing.destroy();
    const signal = AbortSignal.any([exchange.gone, this.#running.signal, this.#world.stopped]);
    const stream = new EventStream(outgoing, faults, this.#world.clock);
    const receipt = taken && { receipt: base64(taken.receipt), confirmed_at: taken.confirmedAt };
    await stream.event({ devshard_receipt: { ...state, ...receipt } });
    if (start !== undefined && chat.payload !== undefined) {
      if (faults.afterReceipt === "hang") return void (await aborted(signal).then(() => outgoing.destroy()));
      if (faults.afterReceipt === "fail") return stream.end();
      const { inferenceId } = start;
      const served = await this.#serve(session, { inferenceId, payload: chat.payload, stream, signal, faults });
      if (served === "cut" || signal.aborted) return void outgoing.destroy();
      if (served === "failed") return stream.end();
      if (faults.cutBeforeMeta) return void outgoing.destroy();
    }
    const mempool = this.#mempool(session);
    await stream.event({ devshard_meta: mempool.length === 0 ? {} : { mempool } });
    stream.end();
  }

  #stateOf(session: HostSession, faults: HostFaults): object {
    const { nonce, root, signature } = session.signState();
    if (faults.stateSignature === "withheld") return { nonce };
    const isWrong = faults.stateRoot === "wrong";
    const shown = isWrong ? Buffer.alloc(32, 1) : root;
    const signed = isWrong ? session.signOther(shown) : signature;
    const given = faults.stateSignature === "wrong" ? devshardKey().sign(root) : signed;
    return { state_sig: base64(given), state_hash: base64(shown), nonce };
  }

  /** Streams an answer: the kept one, or a new one. What fails or is cut leaves the receipt, and no finish. */
  async #serve(session: HostSession, serving: Serving): Promise<"served" | "failed" | "cut"> {
    const { inferenceId, payload, stream, signal, faults } = serving;
    const begun = session.beginExecution(inferenceId);
    if (begun === "running") return "served";
    if (begun !== "begun") {
      await stream.line(begun);
      await stream.done();
      return "served";
    }
    const { engine, random, execute } = this.#world;
    const id = `devshard-${session.escrowId}-${inferenceId}`;
    const pieces = execute({ engine, id, payload, nowSeconds: this.#nowSeconds(this.faults.now), random, signal });
    try {
      for (;;) {
        const { done, value } = await pieces.next();
        if (signal.aborted) return "cut";
        if (done) {
          session.finishInference(inferenceId, value);
          await stream.done();
          return "served";
        }
        await stream.line(value);
        if (faults.afterReceipt === "cut") return "cut";
        if (faults.afterReceipt === "break") {
          await stream.bareText("Failed to process inference node response");
          return "failed";
        }
      }
    } catch {
      // The engine failed, or the client left.
      return "failed";
    } finally {
      session.endExecution(inferenceId);
    }
  }

  #judge(session: HostSession): void {
    const { random, validationRate } = this.#world;
    session.judge({
      isValid: this.faults.now.verdict === "valid",
      isChosen: () => random() * 10_000 < validationRate,
    });
  }

  #nowMs({ clockSkewMs }: HostFaults): number {
    return this.#world.clock.nowMs() + clockSkewMs;
  }

  #nowSeconds(faults: HostFaults): number {
    return Math.floor(this.#nowMs(faults) / 1000);
  }
}

const ROUTES: Readonly<Record<string, "owner" | "member" | "group" | "read">> = {
  "POST chat/completions": "owner",
  "POST verify-timeout": "owner",
  "POST challenge-receipt": "member",
  "POST gossip/nonce": "group",
  "POST gossip/txs": "group",
  "GET diffs": "read",
  "GET mempool": "read",
  "GET signatures": "read",
};

function requestsDisabled(): HostRefusal {
  return new HostRefusal(503, "devshard completion and timeout requests are disabled", "requests_disabled");
}

function checkSender(session: HostSession, sender: string, kind: "owner" | "member" | "group"): void {
  const isMember = session.isMember(sender);
  if (kind === "group") {
    if (!isMember) throw new HostRefusal(403, "gossip restricted to group members");
    return;
  }
  if (sender === session.owner) return;
  if (!isMember) throw new HostRefusal(403, "sender not in group");
  if (kind === "owner") throw new HostRefusal(403, "restricted to escrow owner");
}

const NEW_WORK: ReadonlySet<string> = new Set(["start", "timeout", "validation", "vote"]);

function isNewWork({ payload, diffs }: ChatCall): boolean {
  return payload !== undefined || diffs.some(({ signed }) => signed.txs.some(({ kind }) => NEW_WORK.has(kind)));
}

function challenge(session: HostSession, { body }: HostCall): unknown {
  const { inferenceId, payload, diffs } = readChallenge(body);
  applyWhatHolds(session, diffs);
  const receipt = session.answerChallenge(inferenceId, payload);
  return receipt === undefined ? {} : { receipt: base64(receipt) };
}

/** A verifier takes what it can of the diffs it is sent, and says nothing about the rest. */
function applyWhatHolds(session: HostSession, diffs: readonly ReceivedDiff[]): void {
  try {
    session.apply(diffs);
  } catch (error) {
    if (!(error instanceof HostRefusal)) throw error;
  }
}

/** Answers as JSON; refusals of the HTTP framework end in a newline. */
function sendJson(outgoing: ServerResponse, status: number, value: unknown, end = ""): void {
  const body = Buffer.from(goJson(value) + end);
  outgoing.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length }).end(body);
}

function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** The answer to a chat request: server-sent events, with whatever oddities the host's switches ask for. */
class EventStream {
  readonly #outgoing: ServerResponse;
  readonly #faults: HostFaults;
  readonly #clock: Clock;
  #lines = 0;

  constructor(outgoing: ServerResponse, faults: HostFaults, clock: Clock) {
    this.#outgoing = outgoing;
    this.#faults = faults;
    this.#clock = clock;
    outgoing.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  }

  /** An event of the protocol itself. */
  event(value: object): Promise<void> {
    return this.#write(JSON.stringify(value));
  }

  /** A piece of the answer. */
  async line(content: Buffer): Promise<void> {
    const { chunkDelayMs, comments, longLineBytes, textLine } = this.#faults;
    if (chunkDelayMs > 0) await this.#clock.sleep(chunkDelayMs);
    if (comments) await this.#send(Buffer.from(": keep-alive\n\nevent: chunk\nid: 1\nretry: 10\n"));
    const isFirst = this.#lines++ === 0;
    if (isFirst && textLine) await this.#write("upstream notice, no JSON");
    // Blanks are the one padding that leaves a JSON value as it was.
    await this.#write(isFirst ? content.toString().padEnd(longLineBytes, " ") : content.toString());
  }

  /** What Go's http.Error leaves in a stream that has already begun. */
  bareText(text: string): Promise<void> {
    return this.#send(Buffer.from(`${text}\n`));
  }

  done(): Promise<void> {
    return this.#write("[DONE]");
  }

  end(): void {
    this.#outgoing.end();
  }

  #write(data: string): Promise<void> {
    const end = this.#faults.crlf ? "\r\n" : "\n";
    return this.#send(Buffer.from(`data: ${data}${end}${end}`));
  }

  async #send(bytes: Buffer): Promise<void> {
    if (!this.#faults.splitUtf8) return this.#piece(bytes);
    const inside = bytes.findIndex((byte) => (byte & 0xc0) === 0x80);
    if (inside < 0) return this.#piece(bytes);
    await this.#piece(bytes.subarray(0, inside));
    // A turn of the loop, or the two would leave as one.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#piece(bytes.subarray(inside));
  }

  #piece(bytes: Buffer): Promise<void> {
    return writePiece(this.#outgoing, bytes);
  }
}

interface Execution {
  readonly engine: Engine;
  /** Of the answer's objects, such as `devshard-2-1`. */
  readonly id: string;
  readonly payload: Payload;
  readonly nowSeconds: number;
  /** Chance for the seed, 0 <= value < 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

const MAX_SEED = 2 ** 31 - 1;

/** Asks the engine as an executor does; the contents of the `data:` lines come one by one, the finished answer last. */
export async function* execute(execution: Execution): AsyncGenerator<Buffer, Executed, undefined> {
  const { engine, payload, signal } = execution;
  const request = executorRequest(
    { path: CHAT_PATH, body: payload.prompt, header: () => undefined },
    seedOf(execution),
  );
  const frame = frameOf(execution, request.promptText, await engine.models());
  const events: EngineEvent[] = [];
  async function* recorded(): AsyncIterable<EngineEvent> {
    for await (const event of engine.complete(request.chat, signal)) {
      events.push(event);
      yield event;
    }
  }
  if (request.stream) {
    for await (const chunk of answerChunks(frame, recorded())) yield Buffer.from(goStringify(chunk));
  } else {
    for await (const event of recorded()) if (event.type === "finish") break;
  }
  const { body: answer, usage } = await wholeAnswer(frame, again(events));
  const body = Buffer.from(goStringify(answer));
  if (!request.stream) yield body;
  return { body, responseHash: sha256(body), input: usage.promptTokens, output: usage.completionTokens };
}

function seedOf({ random }: Execution): number {
  return Math.floor(random() * MAX_SEED);
}

function frameOf(
  { id, payload, nowSeconds }: Execution,
  promptText: string,
  models: readonly SandboxModel[],
): AnswerFrame {
  const reasoning = models.find((model) => model.id === payload.model)?.reasoning;
  return { path: CHAT_PATH, id, model: payload.model, createdSeconds: nowSeconds, promptText, reasoning };
}

async function* again(events: readonly EngineEvent[]): AsyncIterable<EngineEvent> {
  yield* events;
}
