import { jsonFault, parseForeignJson, readBoundedText } from "../base/json.ts";
import type { Clock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import {
  type DevshardTx,
  type DiffJson,
  decodeTx,
  fromDiffJson,
  type HostRefusal,
  readHostRefusal,
  type SignedDiff,
} from "../wire/devshard/messages.ts";
import { type DevshardSigner, requestDigest } from "../wire/devshard/signing.ts";

/** What an executor must be given to serve an inference: values of its MsgStartInference, and the prompt itself. */
export interface InferencePayload {
  /** Base64 of the canonical body. */
  readonly prompt: string;
  readonly model: string;
  readonly input_length: number;
  readonly max_tokens: number;
  /** Unix seconds. */
  readonly started_at: number;
}

/** What a host says of its state, and of the inference where it takes it. */
export interface HostReceipt {
  /** Highest nonce of the host: may be higher than that of the request. */
  readonly nonce: number;
  readonly stateHash: Uint8Array | undefined;
  readonly stateSig: Uint8Array | undefined;
  /** The executor's signature for the inference that was asked for. */
  readonly receipt: Uint8Array | undefined;
  /** Unix seconds, by the executor's clock. */
  readonly confirmedAt: number | undefined;
}

/** Parts of a host's reply, in the order they come. */
export type HostReply =
  | { readonly kind: "receipt"; readonly receipt: HostReceipt }
  /** Content of one `data:` line that belongs to the answer. */
  | { readonly kind: "data"; readonly data: string }
  | { readonly kind: "done" }
  | { readonly kind: "mempool"; readonly txs: readonly DevshardTx[] };

/** A host said no, with a status. */
export class HostRefused extends Error {
  override readonly name = "HostRefused";
  readonly refusal: HostRefusal;

  constructor(refusal: HostRefusal) {
    super(`${refusal.status} ${refusal.text}`);
    this.refusal = refusal;
  }
}

interface HostOptions {
  /** `inference_url` of the participant, without trailing slash. */
  readonly url: string;
  readonly version: string;
  readonly escrowId: string;
  readonly fetch: FetchFunction;
  readonly clock: Clock;
}

/** One diff as a host keeps it. */
export interface StoredDiff {
  readonly diff: SignedDiff;
  /** The state root that the host computed. */
  readonly stateHash: Uint8Array;
}

const READ_TIMEOUT_MS = 30_000;

/** As upstream's client: a long answer of a slow model. */
const CHAT_TIMEOUT_MS = 30 * 60_000;
const VERIFY_TIMEOUT_MS = 3 * 60_000;
const MAX_READ_BYTES = 64 * 1024 * 1024;

/**
 * One host of a devshard, over the routes of v3 and v4. Reads need no key. A refusal is thrown as {@link HostRefused}; no
 * answer as whatever `fetch` throws.
 */
export function devshardHost({ url, version, escrowId, fetch, clock }: HostOptions) {
  const base = `${url.replace(/\/+$/, "")}/devshard/${version}/sessions/${escrowId}`;

  async function get(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    const response = await fetch(`${base}${path}`, { redirect: "manual", signal: within(READ_TIMEOUT_MS, signal) });
    const text = await readBoundedText(response.body, MAX_READ_BYTES);
    if (!response.ok) throw refused(response, text);
    return parse(text);
  }

  async function post(
    route: string,
    body: Uint8Array<ArrayBuffer>,
    signer: DevshardSigner,
    signal: AbortSignal,
  ): Promise<Response> {
    const timestampSeconds = Math.floor(clock.nowMs() / 1000);
    const signature = signer.sign(requestDigest({ escrowId, body, timestampSeconds }));
    const response = await fetch(`${base}${route}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "x-devshard-signature": Buffer.from(signature).toString("hex"),
        "x-devshard-timestamp": String(timestampSeconds),
      },
      body,
      redirect: "manual",
      signal,
    });
    if (response.ok) return response;
    throw refused(response, await readBoundedText(response.body, MAX_READ_BYTES).catch(() => ""));
  }

  return {
    url,
    /** Diffs `from` to `to`, both inclusive; fewer where the host has fewer. */
    async diffs(from: number, to: number, signal?: AbortSignal): Promise<readonly StoredDiff[]> {
      const list = await get(`/diffs?from=${from}&to=${to}`, signal);
      if (!Array.isArray(list)) throw malformed("its diffs are no list");
      return list.map(readStoredDiff);
    },
    async mempool(signal?: AbortSignal): Promise<readonly DevshardTx[]> {
      const json = (await get("/mempool", signal)) as { txs?: unknown } | null;
      return readTxs(json?.txs);
    },
    /** State signatures at a nonce, by slot; to be checked by the caller. */
    async signatures(nonce: number, signal?: AbortSignal): Promise<ReadonlyMap<number, Uint8Array>> {
      const json = (await get(`/signatures?nonce=${nonce}`, signal)) as { signatures?: unknown } | null;
      const bySlot = new Map<number, Uint8Array>();
      for (const [slot, text] of Object.entries(json?.signatures ?? {})) {
        if (/^\d{1,3}$/.test(slot) && typeof text === "string") bySlot.set(Number(slot), Buffer.from(text, "base64"));
      }
      return bySlot;
    },
    /**
     * Orders diffs, and asks for an inference where there is a payload. Parts come as they arrive; the end of the stream
     * ends the iteration, whatever was missing.
     *
     * @param signal ends the request: to a host that is executing, this means to stop
     */
    async *chat(
      order: {
        readonly diffs: readonly DiffJson[];
        readonly nonce: number;
        readonly payload?: InferencePayload | undefined;
      },
      signer: DevshardSigner,
      signal?: AbortSignal,
    ): AsyncGenerator<HostReply> {
      const body = new TextEncoder().encode(JSON.stringify({ ...order, stream: order.payload !== undefined }));
      const limitMs = order.payload === undefined ? READ_TIMEOUT_MS : CHAT_TIMEOUT_MS;
      const response = await post("/chat/completions", body, signer, within(limitMs, signal));
      yield* readReply(response);
    },
    /** The empty order: the host binds the session, and says where it stands. */
    async probe(signer: DevshardSigner, signal?: AbortSignal): Promise<HostReceipt> {
      const body = new TextEncoder().encode("{}");
      const response = await post("/chat/completions", body, signer, within(READ_TIMEOUT_MS, signal));
      let found: HostReceipt | undefined;
      for await (const part of readReply(response)) if (part.kind === "receipt") found = part.receipt;
      if (found === undefined) throw malformed("it did not say where it stands");
      return found;
    },
    /** A verifier's vote about a timeout; `undefined` when it does not accept the claim (yet). */
    async verifyTimeout(
      claim: {
        readonly inference_id: number;
        readonly reason: "refused" | "execution";
        readonly payload?: InferencePayload | undefined;
        readonly diffs: readonly DiffJson[];
      },
      signer: DevshardSigner,
      signal?: AbortSignal,
    ): Promise<{ readonly slot: number; readonly signature: Uint8Array } | undefined> {
      const body = new TextEncoder().encode(JSON.stringify(claim));
      const response = await post("/verify-timeout", body, signer, within(VERIFY_TIMEOUT_MS, signal));
      const json = parse(await readBoundedText(response.body, MAX_READ_BYTES)) as {
        accept?: unknown;
        signature?: unknown;
        voter_slot?: unknown;
      } | null;
      if (json?.accept !== true || typeof json.signature !== "string" || typeof json.voter_slot !== "number") {
        return undefined;
      }
      return { slot: json.voter_slot, signature: Buffer.from(json.signature, "base64") };
    },
  };
}

export type DevshardHost = ReturnType<typeof devshardHost>;

function within(limitMs: number, signal: AbortSignal | undefined): AbortSignal {
  const deadline = AbortSignal.timeout(limitMs);
  return signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
}

function refused(response: Response, text: string): HostRefused {
  return new HostRefused(readHostRefusal(response.status, text, response.headers.get("x-devshard-error")));
}

function malformed(what: string): ZephError {
  return new ZephError("bad_response", { detail: `the host answered something else: ${what}` });
}

function parse(text: string): unknown {
  try {
    return parseForeignJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the host's answer ${jsonFault(cause)}`, cause });
  }
}

function readStoredDiff(entry: unknown): StoredDiff {
  const { diff, state_hash } = (entry ?? {}) as { diff?: Partial<DiffJson>; state_hash?: unknown };
  const { nonce, txs, user_sig, post_state_root } = diff ?? {};
  const isWhole =
    Number.isSafeInteger(nonce) &&
    typeof txs === "string" &&
    typeof user_sig === "string" &&
    typeof post_state_root === "string" &&
    typeof state_hash === "string";
  if (!isWhole) throw malformed("a diff lacks members");
  return { diff: fromDiffJson(diff as DiffJson), stateHash: Buffer.from(state_hash, "base64") };
}

/** What cannot be decoded is left out: a host's mempool is no part of what was agreed. */
function readTxs(list: unknown): DevshardTx[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((text) => {
    try {
      return typeof text === "string" ? [decodeTx(Buffer.from(text, "base64"))] : [];
    } catch {
      return [];
    }
  });
}

async function* readReply(response: Response): AsyncGenerator<HostReply> {
  if (response.headers.get("content-type")?.includes("text/event-stream") !== true) {
    // Older hosts answer orders without a payload with the same members in one object.
    const json = parse(await readBoundedText(response.body, MAX_READ_BYTES));
    yield { kind: "receipt", receipt: readReceipt(json) };
    const { mempool } = (json ?? {}) as { mempool?: unknown };
    return yield { kind: "mempool", txs: readTxs(mempool) };
  }
  for await (const line of dataLines(response.body)) {
    if (line === "[DONE]") yield { kind: "done" };
    else yield readEnvelope(line) ?? { kind: "data", data: line };
  }
}

/** Only a line that begins like one of the two envelopes is parsed: the others are the answer, and there are many. */
function readEnvelope(line: string): HostReply | undefined {
  if (!/^\s*\{\s*"devshard_/.test(line)) return undefined;
  let json: { devshard_receipt?: unknown; devshard_meta?: { mempool?: unknown } | null };
  try {
    json = parseForeignJson(line) as typeof json;
  } catch {
    return undefined;
  }
  if (json.devshard_receipt !== undefined) return { kind: "receipt", receipt: readReceipt(json.devshard_receipt) };
  if (json.devshard_meta !== undefined) return { kind: "mempool", txs: readTxs(json.devshard_meta?.mempool) };
  return undefined;
}

function readReceipt(json: unknown): HostReceipt {
  const { nonce, state_hash, state_sig, receipt, confirmed_at } = (json ?? {}) as Record<string, unknown>;
  if (typeof nonce !== "number" || !Number.isSafeInteger(nonce)) throw malformed("a receipt names no nonce");
  const bytes = (value: unknown) =>
    typeof value === "string" && value !== "" ? Buffer.from(value, "base64") : undefined;
  return {
    nonce,
    stateHash: bytes(state_hash),
    stateSig: bytes(state_sig),
    receipt: bytes(receipt),
    confirmedAt: typeof confirmed_at === "number" ? confirmed_at : undefined,
  };
}

/** A line longer than this is an attack; hosts write whole answers in one. */
const MAX_LINE_CHARS = 256 * 1024 * 1024;

/** What stands behind `data: `. Other lines are comments and fields that this protocol does not use. */
async function* dataLines(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string> {
  if (body === null) return;
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let restChars = 0;
  const finish = (line: string) => {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    return text.startsWith("data: ") ? text.slice("data: ".length) : undefined;
  };
  for await (const bytes of body as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>) {
    const lines = decoder.decode(bytes, { stream: true }).split("\n");
    const last = lines.pop() ?? "";
    for (const line of lines) {
      const data = finish(rest.length === 0 ? line : rest.join("") + line);
      rest = [];
      restChars = 0;
      if (data !== undefined) yield data;
    }
    if (last !== "") rest.push(last);
    restChars += last.length;
    if (restChars > MAX_LINE_CHARS) throw new ZephError("response_too_large", { detail: "one line of a host's reply" });
  }
  const data = finish(rest.join("") + decoder.decode());
  if (data !== undefined) yield data;
}
