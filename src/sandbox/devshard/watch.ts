import { KeyLeakDetector } from "../network/server/key-leak.ts";
import { sha256 } from "./curve.ts";
import type { HostCall } from "./host-request.ts";
import type { HostSession, ReceivedDiff } from "./host-session.ts";

/** One request to a host or to the chain; holds nothing of its body. */
export interface DevshardRequest {
  /** `host-1`, `host-2`, …, or `chain`. */
  readonly to: string;
  readonly method: string;
  readonly path: string;
  /** Of arrival, Unix time. */
  readonly atMs: number;
  /** Undefined while there is none, and for good when the connection was dropped. */
  status?: number;
  /** Until the answer's end, or the connection's. */
  elapsedMs?: number;
}

const MAX_REQUESTS = 10_000;
const WITHHELD = "[key material]";

/**
 * Sees all that arrives at every host and the chain, as no single one of them can, and writes down what no client may ever
 * do: sign two diffs for one nonce, or let a key out.
 */
export class DevshardWatch {
  /** The latest 10 000, in order of arrival. */
  readonly requests: DevshardRequest[] = [];
  /** One sentence per offence; tests expect none. */
  readonly violations: string[] = [];
  readonly #leaks = new KeyLeakDetector();
  /** Hash of the diff that was signed for a nonce of an escrow. */
  readonly #signed = new Map<string, string>();

  /** A key whose digits must never come over the wire. */
  protect(privateKeyHex: string): void {
    this.#leaks.add([privateKeyHex]);
  }

  record(to: string, { method, path, header, body }: HostCall, atMs: number): DevshardRequest {
    const texts = [path, body.toString("latin1"), header("authorization") ?? "", header("cookie") ?? ""];
    const isLeak = texts.some((text) => this.#leaks.finds(text));
    const recorded = { to, method, path: isLeak ? WITHHELD : path, atMs };
    if (isLeak) this.violations.push(`a ${method} to ${to} holds part of a private key`);
    this.requests.push(recorded);
    if (this.requests.length > MAX_REQUESTS) this.requests.shift();
    return recorded;
  }

  /** Compares diffs with those that any host was sent before; what the user did not sign does not count. */
  compare(session: HostSession, diffs: readonly ReceivedDiff[]): void {
    for (const { json, signed } of diffs) {
      const place = `${session.owner} ${session.escrowId} ${signed.nonce}`;
      const content = sha256(json.txs, json.post_state_root).toString("base64");
      const before = this.#signed.get(place);
      if (before === content || !session.isSignedByOwner(signed)) continue;
      if (before === undefined) this.#signed.set(place, content);
      else this.violations.push(`two diffs were signed for nonce ${signed.nonce} of escrow ${session.escrowId}`);
    }
  }
}
