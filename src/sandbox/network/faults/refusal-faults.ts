import { type Refusal, refusal } from "../request/refusal.ts";

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

export type CheckFaultKind = keyof typeof CHECK_FAULTS;
export type ExecutorFaultKind = keyof typeof EXECUTOR_FAULTS;

/** Row 22: the node's wrapping of what the model server said. */
export function modelServerText(status: number, message: string): string {
  const inner = { error: { message, type: "BadRequestError", param: null, code: status } };
  return `Inference node response with an error. code = ${status}. error = ${JSON.stringify(inner)}.`;
}
