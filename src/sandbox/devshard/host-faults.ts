/** What can go wrong at one host of the sandbox's devshard. All may be changed while it runs. */
export interface HostFaults {
  /** Closes every connection without an answer. */
  readonly dead: boolean;
  /** Waits before every answer. */
  readonly delayMs: number;
  /** Answers with this status and does nothing; `error` becomes `X-Devshard-Error`. */
  readonly refuse:
    | { readonly status: number; readonly message: string; readonly error?: string | undefined }
    | undefined;
  /** Applies the diffs, then closes the connection before the first event. */
  readonly loseReply: boolean;
  /**
   * What happens behind the receipt: `hang`, nothing until the client leaves; `fail`, the end of the stream; `break`, one
   * piece and then an error's bare text; `cut`, one piece and then the end of the connection. Nothing is finished then.
   */
  readonly afterReceipt: "execute" | "hang" | "fail" | "break" | "cut";
  /** Closes the connection behind `[DONE]`, before the mempool. */
  readonly cutBeforeMeta: boolean;
  readonly stateSignature: "good" | "withheld" | "wrong";
  /** `wrong` reports and signs another state than its own. */
  readonly stateRoot: "good" | "wrong";
  /** What it says of the answers of others, as a validator. */
  readonly verdict: "valid" | "invalid";
  /** Whether it votes when an executor is late. */
  readonly timeoutVotes: "honest" | "never";
  readonly clockSkewMs: number;
  /** Requests that one sender may make of one session; upstream allows 100 and 200. More are answered with 429. */
  readonly rateLimit: { readonly perSecond: number; readonly burst: number } | undefined;
  /** Between two pieces of an answer. */
  readonly chunkDelayMs: number;
  /** Pads the first piece of an answer with spaces to a line of so many bytes. */
  readonly longLineBytes: number;
  /** Puts a `data:` line that is no JSON into the answer. */
  readonly textLine: boolean;
  /** Puts comments and lines of other fields between the events. */
  readonly comments: boolean;
  readonly crlf: boolean;
  /** Cuts pieces of the stream inside of characters. */
  readonly splitUtf8: boolean;
}

const HEALTHY: HostFaults = {
  dead: false,
  delayMs: 0,
  refuse: undefined,
  loseReply: false,
  afterReceipt: "execute",
  cutBeforeMeta: false,
  stateSignature: "good",
  stateRoot: "good",
  verdict: "valid",
  timeoutVotes: "honest",
  clockSkewMs: 0,
  rateLimit: undefined,
  chunkDelayMs: 0,
  longLineBytes: 0,
  textLine: false,
  comments: false,
  crlf: false,
  splitUtf8: false,
};

/**
 * The switches of one host.
 *
 * @example
 * host.faults.set({ dead: true }); // until
 * host.faults.clear();
 * host.faults.next({ loseReply: true }); // the next chat request only
 */
export class HostFaultSwitch {
  #lasting = HEALTHY;
  readonly #queue: Partial<HostFaults>[] = [];

  /** Changes these, and leaves the others as they are. */
  set(faults: Partial<HostFaults>): void {
    this.#lasting = { ...this.#lasting, ...faults };
  }

  /** For one chat request each, in order, on top of what lasts. */
  next(...faults: readonly Partial<HostFaults>[]): void {
    this.#queue.push(...faults);
  }

  /** Back to a healthy host. */
  clear(): void {
    this.#lasting = HEALTHY;
    this.#queue.length = 0;
  }

  /** What lasts now. */
  get now(): HostFaults {
    return this.#lasting;
  }

  /** For the host: the faults of a request. */
  take(isChat: boolean): HostFaults {
    return isChat ? { ...this.#lasting, ...this.#queue.shift() } : this.#lasting;
  }
}
