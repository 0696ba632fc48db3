import { promptHash } from "../canonical-json.ts";
import { applyDiff, checkUserSignature } from "../compose.ts";
import { Ledger, stateSignatureContent } from "../ledger.ts";
import {
  type DevshardTx,
  type DiffJson,
  decodeTx,
  EXECUTOR_RECEIPT,
  encodeDiffContent,
  FINISH_INFERENCE,
  fromDiffJson,
  type SignedDiff,
  TIMEOUT_REASON,
  TIMEOUT_VOTE_CONTENT,
  type TxMessage,
  toDiffJson,
  VALIDATION,
  VALIDATION_VOTE,
} from "../messages.ts";
import { refusalOf } from "../rules.ts";
import { recoverAddress, requestDigest, requestSigner } from "../signing.ts";
import type { SignatureRules } from "../transitions.ts";
import { type ConfigVector, configOf, grantsOf, labelled, type Tally } from "./tally.ts";

export interface TranscriptVector {
  readonly config: ConfigVector;
  readonly group: readonly string[];
  readonly initial_root: string;
  readonly escrow_id: string;
  readonly version: string;
  readonly amount: string;
  readonly exchanges: readonly Exchange[];
}

interface Exchange {
  readonly method: string;
  readonly name: string;
  readonly path: string;
  readonly request_headers?: Readonly<Record<string, string>>;
  readonly request_body?: string;
  readonly status?: number;
  readonly response_headers?: Readonly<Record<string, string>>;
  readonly response_body?: string;
  readonly reads?: readonly { readonly bytes: number }[];
}

const MEMBERS = [
  ...["method", "name", "note", "path", "request_headers", "request_body", "status", "response_headers"],
  ...["response_body", "transfer_encoding", "reads", "client_cut_after", "transport_error"],
];

/** What requests and answers hold, read leniently: the rules below say what must be there. */
interface RequestBody {
  readonly diffs?: readonly DiffJson[];
  readonly nonce?: number;
  readonly inference_id?: number;
  readonly reason?: string;
  readonly payload?: Payload;
}

interface Payload {
  readonly prompt: string;
  readonly model: string;
  readonly input_length: number;
  readonly max_tokens: number;
  readonly started_at: number;
}

interface Receipt {
  readonly state_sig?: string;
  readonly state_hash?: string;
  readonly nonce: number;
  readonly receipt?: string;
  readonly confirmed_at?: number;
}

interface ResponseBody {
  readonly message?: string;
  readonly txs?: readonly string[];
  readonly signatures?: Readonly<Record<string, string>>;
  readonly accept?: boolean;
  readonly signature?: string;
  readonly voter_slot?: number;
  readonly receipt?: string;
  readonly escrow?: { readonly slots: readonly string[]; readonly amount: string; readonly creator: string } | null;
}

/**
 * Requests that real hosts were sent and their answers. Every signature is recovered and made again where the key is known,
 * every diff applied, every root, receipt and transaction of a host compared; what a host refused must be refused here in
 * the same words. Times, request ids and the model's words are what they are.
 */
export function checkTranscript(tally: Tally, section: TranscriptVector, labels: readonly string[]): void {
  const { config: vector, exchanges } = section;
  tally.known("http", section, ["config", "group", "initial_root", "escrow_id", "version", "amount", "exchanges"]);
  const config = configOf(vector);
  tally.same("http.group", section.group, config.group);
  tally.same("http.escrow_id", section.escrow_id, config.escrowId);
  tally.same("http.version", section.version, config.version);
  tally.same("http.amount", section.amount, config.amount);
  const reader = new Reader(tally, new Ledger(config), grantsOf(vector), [
    ...labels,
    ...(vector.group ?? []),
    ...(vector.warm_grants ?? []).map(({ warm }) => warm),
  ]);
  tally.same("http.initial_root", section.initial_root, reader.ledger.root().root);
  exchanges.forEach((exchange, index) => {
    const path = `http.exchanges[${index}]`;
    tally.known(path, exchange, MEMBERS);
    tally.guarded(path, () => reader.read(path, exchange));
  });
}

class Reader {
  readonly ledger: Ledger;
  readonly #tally: Tally;
  readonly #rules: SignatureRules;
  readonly #labelOf: ReadonlyMap<string, string>;
  readonly #roots = new Map<number, Uint8Array>();
  readonly #diffs = new Map<number, DiffJson>();
  readonly #starts = new Map<bigint, TxMessage<"start">>();

  constructor(tally: Tally, ledger: Ledger, rules: SignatureRules, labels: readonly string[]) {
    this.#tally = tally;
    this.ledger = ledger;
    this.#rules = rules;
    this.#labelOf = new Map(labels.map((label) => [labelled(label).address, label]));
    this.#roots.set(0, ledger.root().root);
  }

  read(path: string, exchange: Exchange): void {
    const { response_body: answer = "", response_headers: headers = {}, reads, status } = exchange;
    const length = Buffer.byteLength(answer);
    const announced = headers["Content-Length"];
    if (announced !== undefined) this.#tally.same(`${path}.response_headers.Content-Length`, announced, String(length));
    if (reads !== undefined) {
      const received = reads.reduce((sum, each) => sum + each.bytes, 0);
      this.#tally.same(`${path}.reads`, length, received);
    }
    const events = answer.startsWith("data: ") ? readEvents(answer) : undefined;
    const reply = events === undefined ? (parse(answer) as ResponseBody | undefined) : undefined;
    if (status !== undefined) {
      const isStream = headers["Content-Type"] === "text/event-stream";
      this.#tally.same(`${path}.response_headers.Content-Type`, events !== undefined, isStream);
      this.#tally.same(`${path}.response_body`, "events or JSON", (events ?? reply) ? "events or JSON" : answer);
      const due = reply?.message === undefined ? 200 : statusOf(reply.message);
      this.#tally.same(`${path}.status`, due ?? status >= 400, due === undefined ? true : status);
      if (status === 503 && headers["X-Devshard-Error"] !== undefined) {
        const isGate = reply?.message?.endsWith("requests are disabled") === true;
        const cause = headers["X-Devshard-Error"];
        this.#tally.same(`${path}.response_headers.X-Devshard-Error`, cause, isGate ? "requests_disabled" : cause);
      }
    }
    const request = (parse(exchange.request_body ?? "") ?? {}) as RequestBody;
    if (this.#checkSender(path, exchange, reply)) this.#checkRequest(path, exchange, request, reply);
    if (events !== undefined) this.#checkEvents(`${path}.response_body`, events, request);
    if (reply !== undefined && status === 200) this.#checkReply(`${path}.response_body`, exchange, request, reply);
  }

  /** Who signed the request; a host's refusal must be ours too. */
  #checkSender(path: string, exchange: Exchange, reply: ResponseBody | undefined): boolean {
    const { method, request_headers: headers = {}, response_headers: answered = {}, status } = exchange;
    if (method !== "POST") return false;
    const escrowId = /\/sessions\/(\d+)\//.exec(exchange.path)?.[1] ?? "";
    const [signature, timestamp] = [headers["X-Devshard-Signature"], headers["X-Devshard-Timestamp"]];
    const body = Buffer.from(exchange.request_body ?? "", "utf8");
    let refusal: string | undefined;
    let sender: string | undefined;
    if (signature === undefined || timestamp === undefined) refusal = "missing auth headers";
    else if (!/^(?:[0-9a-f]{2})*$/.test(signature)) refusal = "invalid signature hex";
    else if (!/^-?\d+$/.test(timestamp)) refusal = "invalid timestamp";
    else {
      const request = { escrowId, body, timestampSeconds: BigInt(timestamp) };
      const clock = answered.Date === undefined ? Number(timestamp) : Date.parse(answered.Date) / 1000;
      refusal = refusalOf(() => {
        sender = requestSigner(request, Buffer.from(signature, "hex"), clock);
      })?.message;
      // Every key that signed in time is known, and a late request is the owner's.
      const label = this.#labelOf.get(
        sender ?? (refusal?.startsWith("timestamp drift") ? this.ledger.config.user : ""),
      );
      if (label !== undefined) {
        const again = labelled(label).sign(requestDigest(request));
        this.#tally.same(`${path}.request_headers.X-Devshard-Signature`, signature, again);
      }
    }
    refusal ??= this.#refusalOfSender(exchange.path, sender);
    // Before the sender stand the lookup of the session, its version, and the gate.
    if (status === undefined || status === 404 || status === 409 || status === 503) return refusal === undefined;
    const isRefused = status === 401 || status === 403;
    this.#tally.same(`${path}.response_body.message`, isRefused ? reply?.message : undefined, refusal);
    return refusal === undefined;
  }

  #refusalOfSender(path: string, sender: string | undefined): string | undefined {
    const { group, user } = this.ledger.config;
    const isHost = sender !== undefined && group.some((address) => this.#maySignFor(sender, address));
    if (path.includes("/gossip/")) return isHost ? undefined : "gossip restricted to group members";
    if (sender === user) return undefined;
    if (!isHost) return "sender not in group";
    return path.endsWith("/challenge-receipt") ? undefined : "restricted to escrow owner";
  }

  #checkRequest(path: string, exchange: Exchange, request: RequestBody, reply: ResponseBody | undefined): void {
    const { status } = exchange;
    const refused = /^apply diff nonce (\d+): (.*)$/s.exec(reply?.message ?? "");
    for (const [index, diff] of (request.diffs ?? []).entries()) {
      const place = `${path}.request_body.diffs[${index}]`;
      // A body that no host can read is the point of some exchanges.
      if (status === 400) return;
      const signed = fromDiffJson(diff);
      this.#tally.same(place, JSON.stringify(diff), JSON.stringify(toDiffJson(signed)));
      const words = refused !== null && Number(refused[1]) === diff.nonce ? refused[2] : undefined;
      this.#checkDiff(place, diff, signed, words, status === 200 || status === 500);
    }
    const start = this.#starts.get(BigInt(request.nonce ?? request.inference_id ?? 0));
    if (request.payload === undefined || start === undefined) return;
    const fault = payloadFault(request.payload, start);
    if (exchange.path.endsWith("/chat/completions")) {
      const said = status === 500 && refused === null ? reply?.message : undefined;
      this.#tally.same(`${path}.request_body.payload`, said, fault);
    } else if (reply?.accept === true || reply?.receipt !== undefined) {
      this.#tally.same(`${path}.request_body.payload`, undefined, fault);
    }
  }

  #checkDiff(path: string, json: DiffJson, diff: SignedDiff, refused: string | undefined, isApplied: boolean): void {
    const { ledger } = this;
    // A gap depends on what the one host has seen; whatever else is wrong with a diff is wrong for everybody.
    if (refused?.startsWith("invalid nonce")) {
      this.#tally.same(`${path}.user_sig`, undefined, refusalOf(() => checkUserSignature(ledger, diff))?.message);
      this.#tally.same(`${path}.nonce`, true, refused.endsWith(`, got ${diff.nonce}`));
      return;
    }
    const content = encodeDiffContent({ ...diff, escrowId: ledger.config.escrowId });
    const user = this.#labelOf.get(ledger.config.user);
    if (user !== undefined && !refused?.startsWith("invalid user signature")) {
      this.#tally.same(`${path}.user_sig`, Buffer.from(diff.userSig), Buffer.from(labelled(user).sign(content)));
    }
    if (diff.nonce <= ledger.nonce) {
      if (refused === undefined) this.#tally.same(`${path} (as before)`, this.#diffs.get(diff.nonce), json);
      return;
    }
    const refusal = refusalOf(() => applyDiff(ledger, diff, this.#rules));
    this.#tally.same(`${path} (applied)`, refused, refusal?.message);
    if (refusal !== undefined) return;
    if (!isApplied) {
      ledger.takeBack();
      return;
    }
    this.#diffs.set(diff.nonce, json);
    this.#roots.set(diff.nonce, diff.postStateRoot);
    for (const tx of diff.txs) if (tx.kind === "start") this.#starts.set(tx.message.inferenceId, tx.message);
  }

  #checkEvents(path: string, events: readonly string[], request: RequestBody): void {
    let isDone = false;
    events.forEach((event, index) => {
      const place = `${path}.events[${index}]`;
      const value = event === "[DONE]" ? undefined : (JSON.parse(event) as Record<string, unknown>);
      const receipt = value?.devshard_receipt as Receipt | undefined;
      const meta = value?.devshard_meta as { readonly mempool?: readonly string[] } | undefined;
      this.#tally.same(`${place} (first)`, index === 0, receipt !== undefined);
      if (receipt !== undefined) this.#checkReceipt(`${place}.devshard_receipt`, receipt, request.nonce ?? 0);
      else if (meta !== undefined) {
        this.#tally.same(`${place} (last)`, events.length - 1, index);
        this.#checkMempool(`${place}.devshard_meta.mempool`, meta.mempool ?? []);
      } else this.#tally.same(`${place} (before [DONE])`, false, isDone);
      isDone ||= event === "[DONE]";
    });
  }

  #checkReceipt(path: string, receipt: Receipt, nonce: number): void {
    const root = this.#roots.get(receipt.nonce);
    if (receipt.state_hash !== undefined) {
      this.#tally.same(`${path}.state_hash`, receipt.state_hash, root && Buffer.from(root).toString("base64"));
    }
    if (receipt.state_sig !== undefined && root !== undefined) {
      const content = stateSignatureContent(root, this.ledger.config.escrowId, receipt.nonce);
      this.#checkSignature(`${path}.state_sig`, content, receipt.state_sig);
    }
    if (receipt.receipt === undefined) return;
    const content = this.#receiptContent(BigInt(nonce), BigInt(receipt.confirmed_at ?? 0));
    this.#checkSignature(`${path}.receipt`, content, receipt.receipt, nonce % this.ledger.slots);
  }

  #checkMempool(path: string, mempool: readonly string[]): void {
    mempool.forEach((encoded, index) => {
      const tx = decodeTx(Buffer.from(encoded, "base64"));
      this.#tally.same(`${path}[${index}]`, encoded, Buffer.from(tx.bytes).toString("base64"));
      const signed = this.#signedContent(tx);
      if (signed === undefined) return;
      const signature = Buffer.from(signed.signature).toString("base64");
      this.#checkSignature(`${path}[${index}] (signature)`, signed.content, signature, signed.slot);
    });
  }

  #signedContent(tx: DevshardTx): { slot: number; content: Uint8Array; signature: Uint8Array } | undefined {
    const proposerSig = new Uint8Array();
    if (tx.kind === "confirm") {
      const { inferenceId, confirmedAt, executorSig } = tx.message;
      const slot = Number(inferenceId) % this.ledger.slots;
      return { slot, content: this.#receiptContent(inferenceId, confirmedAt), signature: executorSig };
    }
    if (tx.kind === "finish") {
      const { executorSlot: slot, proposerSig: signature } = tx.message;
      return { slot, content: FINISH_INFERENCE.encode({ ...tx.message, proposerSig }), signature };
    }
    if (tx.kind === "validation") {
      const { validatorSlot: slot, proposerSig: signature } = tx.message;
      return { slot, content: VALIDATION.encode({ ...tx.message, proposerSig }), signature };
    }
    if (tx.kind === "vote") {
      const { voterSlot: slot, proposerSig: signature } = tx.message;
      return { slot, content: VALIDATION_VOTE.encode({ ...tx.message, proposerSig }), signature };
    }
    return undefined;
  }

  #checkReply(path: string, exchange: Exchange, request: RequestBody, reply: ResponseBody): void {
    const { escrowId, group, amount, user } = this.ledger.config;
    if (Array.isArray(reply)) this.#checkDiffList(path, exchange.path, reply);
    if (reply.txs !== undefined) this.#checkMempool(`${path}.txs`, reply.txs);
    if (reply.signatures !== undefined) {
      const nonce = Number(/[?&]nonce=(\d+)/.exec(exchange.path)?.[1]);
      const content = stateSignatureContent(this.#roots.get(nonce) ?? new Uint8Array(), escrowId, nonce);
      for (const [slot, signature] of Object.entries(reply.signatures)) {
        this.#checkSignature(`${path}.signatures.${slot}`, content, signature, Number(slot));
      }
    }
    if (reply.accept !== undefined) {
      this.#tally.same(`${path}.accept`, reply.signature !== undefined, reply.accept);
    }
    if (reply.signature !== undefined) {
      const reason = request.reason === "refused" ? TIMEOUT_REASON.refused : TIMEOUT_REASON.execution;
      const inferenceId = BigInt(request.inference_id ?? 0);
      const content = TIMEOUT_VOTE_CONTENT.encode({ escrowId, inferenceId, reason, accept: true });
      this.#checkSignature(`${path}.signature`, content, reply.signature, reply.voter_slot);
    }
    if (reply.receipt !== undefined) this.#checkChallenge(`${path}.receipt`, exchange, request, reply.receipt);
    if (reply.escrow) {
      this.#tally.same(`${path}.escrow.slots`, reply.escrow.slots, group);
      this.#tally.same(`${path}.escrow.amount`, reply.escrow.amount, amount);
      this.#tally.same(`${path}.escrow.creator`, reply.escrow.creator, user);
    }
  }

  #checkDiffList(path: string, query: string, list: readonly { diff: DiffJson; state_hash: string }[]): void {
    const from = Number(/[?&]from=(\d+)/.exec(query)?.[1]);
    list.forEach(({ diff, state_hash }, index) => {
      this.#tally.same(`${path}[${index}].diff.nonce`, from + index, diff.nonce);
      this.#tally.same(`${path}[${index}].diff`, this.#diffs.get(diff.nonce), diff);
      const root = Buffer.from(this.#roots.get(diff.nonce) ?? []).toString("base64");
      this.#tally.same(`${path}[${index}].state_hash`, state_hash, root);
    });
  }

  /** The answer leaves out when the executor signed, which is within seconds of the answer's date. */
  #checkChallenge(path: string, exchange: Exchange, { inference_id: id = 0 }: RequestBody, receipt: string): void {
    const date = Date.parse(exchange.response_headers?.Date ?? "") / 1000;
    const executor = this.ledger.addressOf(id % this.ledger.slots) ?? "";
    const made = [0, -1, 1, -2, 2]
      .map((offset) => this.#receiptContent(BigInt(id), BigInt(date + offset)))
      .find((content) => this.#maySignFor(recoverAddress(content, Buffer.from(receipt, "base64")), executor));
    this.#tally.same(path, true, made !== undefined);
  }

  /** Whether a signature is one of the group's, or of the slot given; made again where its key is known. */
  #checkSignature(path: string, content: Uint8Array, signature: string, slot?: number): void {
    const { group } = this.ledger.config;
    const signer = recoverAddress(content, Buffer.from(signature, "base64"));
    const owners = slot === undefined ? group : [group[slot] ?? ""];
    this.#tally.same(
      `${path} (signer)`,
      true,
      owners.some((owner) => this.#maySignFor(signer, owner)),
    );
    const label = this.#labelOf.get(signer);
    if (label === undefined) return;
    this.#tally.same(path, signature, Buffer.from(labelled(label).sign(content)).toString("base64"));
  }

  #maySignFor(signer: string, owner: string): boolean {
    return signer === owner || (this.#rules !== "trusted" && this.#rules.isGranted(signer, owner));
  }

  #receiptContent(inferenceId: bigint, confirmedAt: bigint): Uint8Array {
    const start = this.#starts.get(inferenceId);
    if (start === undefined) throw new RangeError(`inference ${inferenceId} was never started`);
    return EXECUTOR_RECEIPT.encode({ ...start, escrowId: this.ledger.config.escrowId, confirmedAt });
  }
}

/** What a host says about a payload that is not the one the start was signed for. */
function payloadFault(payload: Payload, start: TxMessage<"start">): string | undefined {
  const params = "request payload does not match StartInference params";
  if (payload.model !== start.model) return `${params}: model ${payload.model} vs ${start.model}`;
  const numbers = [
    ["input_length", payload.input_length, start.inputLength],
    ["max_tokens", payload.max_tokens, start.maxTokens],
    ["started_at", payload.started_at, start.startedAt],
  ] as const;
  const other = numbers.find(([, said, signed]) => BigInt(said) !== signed);
  if (other !== undefined) return `${params}: ${other[0]} ${other[1]} vs ${other[2]}`;
  const hash = promptHash(Buffer.from(payload.prompt, "base64"));
  return Buffer.compare(hash, start.promptHash) === 0 ? undefined : "prompt does not match hash in StartInference";
}

/** The contents of `data:` lines, each followed by a blank line. */
function readEvents(stream: string): string[] {
  const blocks = stream.split("\n\n");
  if (blocks.pop() !== "") throw new RangeError("the stream ends in the middle of an event");
  return blocks.map((block) => {
    if (!block.startsWith("data: ")) throw new RangeError("an event is no data line");
    return block.slice("data: ".length);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Some bodies are broken on purpose, and empty ones are none.
    return undefined;
  }
}

/** The status that a host or a chain gives each of its texts; `undefined` for one that no document names. */
function statusOf(message: string): number | undefined {
  return STATUSES.find(([text]) => text.test(message))?.[1];
}

const STATUSES: readonly (readonly [text: RegExp, status: number])[] = [
  [/^apply diff nonce |^build group: |^no payload |^prompt does not |^request payload does /, 500],
  [/^inference \d+(?: not found|: expected )|^diff at nonce \d+ not found /, 500],
  [/^missing auth headers$|^invalid (?:signature hex|timestamp)$|^timestamp drift |^recover address: /, 401],
  [/^sender not in group$|^restricted to |^gossip restricted /, 403],
  [/^invalid json: |^decode request: |^unknown timeout reason: |' parameter$/, 400],
  [/^Not Found$|not found(?:: \w+)?$|^tx not found: /, 404],
  [/ version conflict: /, 409],
  [/^rate limit exceeded$/, 429],
  [/requests are disabled$/, 503],
];
