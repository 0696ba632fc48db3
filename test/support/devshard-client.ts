import { expect } from "vitest";
import { accountKey } from "../../src/sandbox/crypto.ts";
import type { DevshardNetwork } from "../../src/sandbox/devshard/devshard.ts";
import { promptHash } from "../../src/wire/devshard/canonical-json.ts";
import { type ChainMessage, createEscrowMessage, signUnorderedTx } from "../../src/wire/devshard/chain-tx.ts";
import { composeDiff, composingOrder, signDiff } from "../../src/wire/devshard/compose.ts";
import { Ledger } from "../../src/wire/devshard/ledger.ts";
import {
  type DevshardTx,
  decodeTx,
  devshardTx,
  type SignedDiff,
  toDiffJson,
} from "../../src/wire/devshard/messages.ts";
import { sessionTerms } from "../../src/wire/devshard/rules.ts";
import { type DevshardSigner, devshardSigner, requestDigest } from "../../src/wire/devshard/signing.ts";

/** What a host answered: events without `data: `, and its parts as JSON. */
export interface ChatReply {
  readonly status: number;
  readonly text: string;
  readonly events: readonly string[];
  readonly receipt: { readonly nonce: number; readonly state_sig?: string; readonly receipt?: string } | undefined;
  readonly mempool: readonly DevshardTx[];
}

export const PROMPT = { messages: [{ role: "user", content: "say hello" }], stream: true };

/** Reads a URL as JSON of the shape the test expects. */
export async function readJson<T>(url: string, init?: RequestInit): Promise<T> {
  return (await (await fetch(url, init)).json()) as T;
}

export interface TxResponse {
  readonly code: number;
  readonly codespace: string;
  readonly txhash: string;
  readonly height: string;
  readonly raw_log: string;
  readonly events: readonly {
    readonly type: string;
    readonly attributes: readonly { readonly key: string; readonly value: string }[];
  }[];
}

/**
 * The smallest client of a devshard: one request at a time, all diffs with each of them, nothing written down. It is
 * there to try the sandbox's hosts with; zeph's own client is another.
 */
export class SmallClient {
  readonly network: DevshardNetwork;
  readonly signer: DevshardSigner;
  readonly ledger: Ledger;
  readonly diffs: SignedDiff[] = [];
  /** Offered by hosts, and not yet in a diff. */
  readonly pending = new Map<string, DevshardTx>();
  /** State signatures over the newest diff. */
  readonly signatures = new Map<number, Uint8Array>();

  constructor(network: DevshardNetwork, signer: DevshardSigner, escrowId: string, version = "v4") {
    const escrow = network.chain.escrow(escrowId);
    if (escrow === undefined) throw new RangeError(`there is no escrow ${escrowId}`);
    const { slots: group, amount } = escrow;
    this.network = network;
    this.signer = signer;
    const terms = sessionTerms(escrow, group.length);
    this.ledger = new Ledger({ escrowId, version, group, user: signer.address, amount, ...terms });
  }

  /** A client with a new account and an escrow, by a real transaction. */
  static async open(network: DevshardNetwork, amount = 5_000_000n): Promise<SmallClient> {
    const user = network.createUser({ privateKeyHex: accountKey().privateKeyHex });
    const signer = devshardSigner(Buffer.from(user.privateKeyHex, "hex"));
    const model = network.chain.models[0] ?? "";
    const hash = await broadcast(network, signer, createEscrowMessage(signer.address, amount, model));
    const { tx_response } = await readJson<{ tx_response: TxResponse }>(
      `${network.chainUrl}/cosmos/tx/v1beta1/txs/${hash}`,
    );
    const id = tx_response.events[0]?.attributes.find(({ key }) => key === "escrow_id")?.value;
    return new SmallClient(network, signer, id ?? tx_response.raw_log);
  }

  get nonce(): number {
    return this.ledger.nonce;
  }

  /** Host index of a slot. */
  hostOf(slot: number): number {
    return this.network.hosts.findIndex(({ address }) => address === this.ledger.addressOf(slot));
  }

  start(prompt: object = PROMPT): DevshardTx {
    return devshardTx("start", {
      inferenceId: BigInt(this.nonce + 1),
      promptHash: promptHash(JSON.stringify(prompt)),
      model: this.network.chain.models[0] ?? "",
      inputLength: 100n,
      maxTokens: 50n,
      startedAt: BigInt(Math.floor(this.network.chain.nowMs() / 1000)),
    });
  }

  /** Composes, signs and sends the next diff, with all that is pending, to the host of its nonce. */
  async send(txs: readonly DevshardTx[] = [], prompt: object = PROMPT): Promise<ChatReply> {
    this.compose(txs);
    return this.post(this.nonce, prompt);
  }

  compose(txs: readonly DevshardTx[] = []): void {
    const candidates = composingOrder([...this.pending.values(), ...txs]);
    this.pending.clear();
    const rules = { isGranted: (warm: string, granter: string) => this.network.chain.isGranted(warm, granter) };
    this.diffs.push(signDiff(composeDiff(this.ledger, candidates, rules), this.ledger.config.escrowId, this.signer));
    this.signatures.clear();
  }

  /** Sends all diffs up to a nonce, with the prompt when it starts an inference; by default to the host of its slot. */
  async post(
    nonce: number,
    prompt: object = PROMPT,
    to = this.hostOf(nonce % this.ledger.slots),
    signal?: AbortSignal,
  ): Promise<ChatReply> {
    const answer = await this.request("chat/completions", { nonce, ...this.diffsWith(nonce, prompt) }, to, signal);
    const text = await answer.text().catch(() => "");
    return this.#read(to, answer.status, text);
  }

  /** Asks every host for its signature over the newest diff. */
  async collectSignatures(): Promise<void> {
    for (const index of this.network.hosts.keys()) await this.post(this.nonce, undefined, index);
  }

  /** Finalizes: as many diffs as there are slots, and one more. */
  async finalize(): Promise<void> {
    await this.send([devshardTx("finalize", {})]);
    while (this.ledger.phase < 2) await this.send();
    await this.collectSignatures();
  }

  diffsWith(nonce: number, prompt: object | undefined): object {
    const start = this.diffs[nonce - 1]?.txs.find((tx) => tx.kind === "start")?.message;
    const payload = start &&
      prompt && {
        prompt: Buffer.from(JSON.stringify(prompt)).toString("base64"),
        model: start.model,
        input_length: Number(start.inputLength),
        max_tokens: Number(start.maxTokens),
        started_at: Number(start.startedAt),
      };
    return { diffs: this.diffs.slice(0, nonce).map(toDiffJson), payload };
  }

  /** A signed POST to one host. */
  request(route: string, json: object, to: number, signal?: AbortSignal): Promise<Response> {
    const { escrowId, version } = this.ledger.config;
    const body = Buffer.from(JSON.stringify(json));
    const timestampSeconds = Math.floor(this.network.chain.nowMs() / 1000);
    const signature = this.signer.sign(requestDigest({ escrowId, body, timestampSeconds }));
    return fetch(`${this.network.hosts[to]?.url}/devshard/${version}/sessions/${escrowId}/${route}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-devshard-signature": Buffer.from(signature).toString("hex"),
        "x-devshard-timestamp": String(timestampSeconds),
      },
      body,
      signal: signal ?? null,
    });
  }

  #read(from: number, status: number, text: string): ChatReply {
    const events = [...text.matchAll(/^data: (.*?)\r?$/gm)].map(([, data = ""]) => data);
    const receipt = parse(events[0])?.devshard_receipt as ChatReply["receipt"];
    const meta = parse(events.at(-1))?.devshard_meta as { readonly mempool?: readonly string[] } | undefined;
    const mempool = (meta?.mempool ?? []).map((tx) => decodeTx(Buffer.from(tx, "base64")));
    for (const tx of mempool) this.pending.set(Buffer.from(tx.bytes).toString("hex"), tx);
    const address = this.network.hosts[from]?.address ?? "";
    const [slot] = this.ledger.slotsOf(address);
    if (receipt?.state_sig !== undefined && receipt.nonce === this.nonce && slot !== undefined) {
      this.signatures.set(slot, Buffer.from(receipt.state_sig, "base64"));
    }
    return { status, text, events, receipt, mempool };
  }
}

/** Sends a transaction, and expects that it is taken. Returns its hash. */
export async function broadcast(
  network: DevshardNetwork,
  signer: DevshardSigner,
  message: ChainMessage,
): Promise<string> {
  const tx = await signTx(network, signer, message);
  const { tx_response } = await broadcastBytes(network, tx.txRaw);
  expect(tx_response).toMatchObject({ code: 0, raw_log: "", txhash: tx.hash, height: "0", events: [] });
  return tx.hash;
}

export function broadcastBytes(
  network: DevshardNetwork,
  txRaw: Uint8Array,
): Promise<{ readonly tx_response: TxResponse }> {
  return readJson(`${network.chainUrl}/cosmos/tx/v1beta1/txs`, {
    method: "POST",
    body: JSON.stringify({ tx_bytes: Buffer.from(txRaw).toString("base64"), mode: "BROADCAST_MODE_SYNC" }),
  });
}

/** No two transactions of a chain may have one time. */
const lastTimeouts = new WeakMap<DevshardNetwork, bigint>();

/** A transaction with the chain's own numbers, unless told otherwise. */
export async function signTx(
  network: DevshardNetwork,
  signer: DevshardSigner,
  message: ChainMessage,
  changes: Partial<Parameters<typeof signUnorderedTx>[0]> = {},
): Promise<ReturnType<typeof signUnorderedTx>> {
  const { account } = await readJson<{ account: { account_number: string } }>(
    `${network.chainUrl}/cosmos/auth/v1beta1/accounts/${signer.address}`,
  );
  const inFiveMinutes = BigInt(network.chain.nowMs() + 300_000) * 1_000_000n;
  const last = lastTimeouts.get(network) ?? 0n;
  const timeoutNanos = inFiveMinutes > last ? inFiveMinutes : last + 1n;
  lastTimeouts.set(network, timeoutNanos);
  const tx = {
    message,
    chainId: network.chain.chainId,
    accountNumber: BigInt(account.account_number),
    fee: 1_000_000n,
    gasLimit: 500_000n,
    timeoutNanos,
    ...changes,
  };
  return signUnorderedTx(tx, signer);
}

function parse(text: string | undefined): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text ?? "");
  } catch {
    // `[DONE]`, and what a fault put there.
    return undefined;
  }
}
