import type { DevshardChain } from "./chain.ts";
import { answerChain } from "./chain-routes.ts";
import type { HostExchange } from "./host.ts";

/** What can go wrong with a request to the chain's node. */
export type ChainFault =
  /** Closes the connection; nothing is done. */
  | "dead"
  /** Does what is asked, and closes the connection before the answer. */
  | "lose-reply"
  /** 429 and 503, as public nodes answer when they are busy. */
  | "too-many"
  | "unavailable"
  /** Answers a broadcast as if it were taken; it never gets into a block. */
  | "forget-tx";

/** The switches of the chain's node. */
export class ChainFaultSwitch {
  #lasting: ChainFault | undefined;
  readonly #broadcasts: ChainFault[] = [];
  readonly #reads: ChainFault[] = [];

  /** For every request, until cleared. */
  set(fault: ChainFault | undefined): void {
    this.#lasting = fault;
  }

  /** For one broadcast each, in order. */
  nextBroadcast(...faults: readonly ChainFault[]): void {
    this.#broadcasts.push(...faults);
  }

  /** For one read each, in order. */
  nextRead(...faults: readonly ChainFault[]): void {
    this.#reads.push(...faults);
  }

  clear(): void {
    this.#lasting = undefined;
    this.#broadcasts.length = 0;
    this.#reads.length = 0;
  }

  /** For the node: the fault of a request. */
  take(isBroadcast: boolean): ChainFault | undefined {
    return (isBroadcast ? this.#broadcasts : this.#reads).shift() ?? this.#lasting;
  }
}

/** Answers one request to the chain's node. */
export function serveChain(
  chain: DevshardChain,
  faults: ChainFaultSwitch,
  { call, outgoing }: Pick<HostExchange, "call" | "outgoing">,
): void {
  const fault = faults.take(call.method === "POST");
  if (fault === "dead") return void outgoing.destroy();
  if (fault === "too-many" || fault === "unavailable") {
    outgoing.writeHead(fault === "too-many" ? 429 : 503, { "Content-Type": "text/plain" }).end("try again later\n");
    return;
  }
  const { status, body } = answerChain(chain, call);
  if (fault === "forget-tx") chain.forgetNewestTx();
  if (fault === "lose-reply") return void outgoing.destroy();
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  outgoing.writeHead(status, { "Content-Type": "application/json", "Content-Length": text.length }).end(text);
}
