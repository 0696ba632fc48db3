import { FRONT_ANSWERS, type FrontAnswerKind, type Refusal, refusal } from "./node.ts";

/** What may happen to the connection instead of an answer. */
type ConnectionFaultKind = "drop" | "hang" | "slow" | "redirect";

/** What may go wrong with an answer that is otherwise good; the inference is charged. */
type AnswerFaultKind =
  | "cut"
  | "no-done"
  | "text-line"
  | "long-line"
  | "stall"
  | "crlf"
  | "utf8-split"
  | "duplicate-headers";

export type NodeFaultKind =
  | ConnectionFaultKind
  | FrontAnswerKind
  | CheckFaultKind
  | ExecutorFaultKind
  | AnswerFaultKind;

export interface NodeFault {
  readonly kind: NodeFaultKind;
  /** `cut`, `text-line`, `stall`: data lines that still come. Default 2. */
  readonly afterEvents?: number;
  /** `slow`: waiting before anything is looked at, milliseconds. Default 100. */
  readonly delayMs?: number;
  /** `redirect`: where to. */
  readonly location?: string;
  /** `long-line`: length of the line. Default one byte more than 1 MiB. */
  readonly lineBytes?: number;
}

export function isFrontAnswer(kind: NodeFaultKind): kind is FrontAnswerKind {
  return kind in FRONT_ANSWERS;
}

export function isCheckFault(kind: NodeFaultKind): kind is CheckFaultKind {
  return kind in CHECK_FAULTS;
}

export function isExecutorFault(kind: NodeFaultKind): kind is ExecutorFaultKind {
  return kind in EXECUTOR_FAULTS;
}

/** What a plan knows when it decides. */
interface FaultOccasion {
  readonly method: string;
  readonly path: string;
  /** Requests this switch has seen before, from 0. */
  readonly index: number;
}

export type NodeFaultPlan = (occasion: FaultOccasion) => NodeFault | NodeFaultKind | undefined;

/** Decides what goes wrong with the next requests of one node. Order: `next`, then `plan`, then `always`. */
export class FaultSwitch {
  readonly #queue: NodeFault[] = [];
  #constant: NodeFault | undefined;
  #plan: NodeFaultPlan | undefined;
  #seen = 0;

  /** Every request from now on, until another call; undefined: none. */
  always(fault: NodeFault | NodeFaultKind | undefined): void {
    this.#constant = toFault(fault);
  }

  /** One request each, in order. */
  next(...faults: readonly (NodeFault | NodeFaultKind)[]): void {
    for (const fault of faults) this.#queue.push(typeof fault === "string" ? { kind: fault } : fault);
  }

  /** Asks `plan` about each request. */
  plan(plan: NodeFaultPlan | undefined): void {
    this.#plan = plan;
  }

  /** Back to a healthy node. */
  clear(): void {
    this.#queue.length = 0;
    this.#constant = undefined;
    this.#plan = undefined;
  }

  /** For the node: the fault of this request. */
  take(method: string, path: string): NodeFault | undefined {
    const index = this.#seen;
    this.#seen += 1;
    return this.#queue.shift() ?? toFault(this.#plan?.({ method, path, index })) ?? this.#constant;
  }
}

/**
 * A plan that lets chance decide.
 * @param weights how likely each fault is, 0 to 1; what is left over is no fault
 * @example node.faults.plan(randomFaults(random, { drop: 0.1, capacity: 0.2, cut: 0.05 }))
 */
export function randomFaults(random: () => number, weights: Partial<Record<NodeFaultKind, number>>): NodeFaultPlan {
  return () => {
    let left = random();
    for (const [kind, weight] of Object.entries(weights)) {
      left -= weight;
      if (left < 0) return kind as NodeFaultKind;
    }
    return undefined;
  };
}

function toFault(fault: NodeFault | NodeFaultKind | undefined): NodeFault | undefined {
  return typeof fault === "string" ? { kind: fault } : fault;
}

/** Refusals of the transfer agent itself that depend on more than the request. Nothing is charged. */
export const CHECK_FAULTS = {
  "not-allowed": refusal(4, 403, "Transfer Agent not allowed"),
  "chain-params-unreachable": refusal(7, 503, "unable to fetch chain params"),
  "chain-status-unreachable": refusal(7, 503, "unable to fetch chain status"),
  "epoch-data-unreachable": refusal(11, 503, "unable to fetch current epoch group data"),
  "request-too-old": refusal(13, 400, "signature is too old"),
  "request-in-future": refusal(13, 400, "signature is in the future"),
  // The words before v0.2.4.
  "request-too-old-before-0.2.4": refusal(13, 400, "Request timestamp is too old"),
  "request-in-future-before-0.2.4": refusal(13, 400, "Request timestamp is in the future"),
  replayed: refusal(14, 400, "AuthKey has already been used for a transfer request"),
  capacity: refusal(15, 429, "Transfer Agent capacity reached. Try another TA from "),
  "executor-not-serving-model": refusal(16, 404, "model not found"),
  "no-executor": refusal(16, 503, "no executors available for model"),
} as const satisfies Readonly<Record<string, Refusal>>;

/** Failures after MsgStartInference was submitted: the escrow is taken. */
export const EXECUTOR_FAULTS = {
  "executor-unreachable": refusal(
    17,
    500,
    'Post "http://executor.sandbox:8000/v1/chat/completions": dial tcp 10.0.0.9:8000: connect: connection refused',
  ),
  "no-ml-node": refusal(18, 503, "no inference nodes available"),
  "prompt-hash-missing": refusal(19, 400, "Prompt hash is missing"),
  "prompt-hash-mismatch": refusal(19, 400, "Prompt hash mismatch"),
  "prompt-hash-failed": refusal(19, 400, "Failed to compute prompt hash"),
  "ta-signature": refusal(20, 401, "Unable to validate request against TransferSignature:invalid signature"),
  "executor-late": refusal(21, 400, "Request timestamp is too old"),
  "executor-replay": refusal(21, 400, "AuthKey has already been used for an executor request"),
  "model-server-400": refusal(22, 400, modelServerText(400, "Bad request of some kind")),
  "model-server-422": refusal(22, 422, modelServerText(422, "Unprocessable in some way")),
  "model-server-500": refusal(22, 500, modelServerText(500, "EngineCore encountered an issue")),
  "model-server-502": refusal(22, 500, modelServerText(502, "Bad gateway")),
  "no-completions-route": refusal(23, 503, "selected executor does not support /v1/completions; upgrade required"),
  "not-json": refusal(24, 500, "Failed to process inference node response. inferenceId = "),
} as const satisfies Readonly<Record<string, Refusal>>;

type CheckFaultKind = keyof typeof CHECK_FAULTS;
type ExecutorFaultKind = keyof typeof EXECUTOR_FAULTS;

/** Row 22: the node's wrapping of what the model server said. */
export function modelServerText(status: number, message: string): string {
  const inner = { error: { message, type: "BadRequestError", param: null, code: status } };
  return `Inference node response with an error. code = ${status}. error = ${JSON.stringify(inner)}.`;
}
