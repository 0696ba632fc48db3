import { createHash } from "node:crypto";
import type { SandboxModel } from "../../engine.ts";
import type { ChainAccount } from "../chain/accounts.ts";
import type { ChainStandIn } from "../chain/chain.ts";
import { decodeBech32 } from "../crypto/bech32.ts";
import { parseTimestampHeader, signingInput } from "../crypto/signing-input.ts";
import { verifySignature } from "../crypto/verify-signature.ts";
import type { IncomingCall } from "./incoming-call.ts";
import { checkMessages } from "./message-policy.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { ReplayMemory } from "./replay-memory.ts";
import type { TypedRequest } from "./typed-request.ts";

/** Everything the checks look at. */
export interface CheckContext {
  readonly chain: ChainStandIn;
  readonly call: IncomingCall;
  readonly typed: TypedRequest;
  readonly models: readonly SandboxModel[];
  readonly replay: ReplayMemory;
  /** The address the signature must name: the node's own, or what X-Transfer-Address says. */
  readonly transferAddress: string;
}

/** One line of the refusal table, checked in the order of the table. */
export interface Check {
  readonly row: number;
  readonly run: (context: CheckContext) => Refusal | undefined;
}

const DEFAULT_WINDOW_SECONDS = 10;
const NANOS_PER_SECOND = 1_000_000_000n;
const NANOS_PER_MS = 1_000_000n;
const ADDRESS_BYTES = 20;
/** What the escrow assumes when the request names no max_tokens. */
const DEFAULT_MAX_TOKENS = 5_000;

/** Rows 4 to 7: before it is decided whether the node acts as transfer agent or executor. */
export const ACCESS_CHECKS: readonly Check[] = [
  { row: 4, run: checkTransferAgent },
  {
    row: 5,
    run: ({ call }) => (call.header("authorization") ? undefined : refusal(5, 401, "Authorization is required")),
  },
  { row: 6, run: ({ typed }) => (typed.model === "" ? refusal(6, 400, "No model specified") : undefined) },
  { row: 7, run: checkDeveloper },
];

/** Rows 8 to 16: the transfer agent's own checks. After the last one the escrow is taken. */
export const TRANSFER_CHECKS: readonly Check[] = [
  { row: 8, run: checkPolicy },
  { row: 9, run: checkAccount },
  { row: 10, run: checkSignature },
  { row: 11, run: checkModel },
  { row: 12, run: checkBalance },
  { row: 13, run: checkTimestamp },
  { row: 14, run: checkReplay },
  // Capacity (15) and the choice of an executor (16) fail only by a fault.
  { row: 15, run: () => undefined },
  { row: 16, run: () => undefined },
];

/** Rows 9, 10 and 20, for a request that looks as if another node had forwarded it. */
export const EXECUTOR_CHECKS: readonly Check[] = [
  { row: 9, run: checkAccount },
  { row: 10, run: checkSignature },
  // No node of the sandbox forwards over HTTP, so no transfer agent can have signed it.
  { row: 20, run: () => refusal(20, 401, "Unable to validate request against TransferSignature:invalid signature") },
];

function checkTransferAgent({ chain, transferAddress }: CheckContext): Refusal | undefined {
  const allowed = chain.params.allowedTransferAgents;
  if (allowed.length === 0 || allowed.includes(transferAddress)) return undefined;
  return refusal(4, 403, "Transfer Agent not allowed");
}

function checkDeveloper({ chain, call }: CheckContext): Refusal | undefined {
  const access = chain.params.developerAccess;
  if (access === undefined || chain.blocks.latest().height >= access.untilBlockHeight) return undefined;
  if (access.allowed.includes(call.header("x-requester-address") ?? "")) return undefined;
  return refusal(7, 403, `inference requests are restricted until block height ${access.untilBlockHeight}`);
}

function checkPolicy({ call }: CheckContext): Refusal | undefined {
  const body: unknown = JSON.parse(call.body.toString("utf8"));
  // A completion has none as a rule; one that does is held to the same policy.
  const messages = typeof body === "object" && body !== null && "messages" in body ? body.messages : [];
  const problem = Array.isArray(messages) ? checkMessages(messages) : "messages must be an array";
  return problem === undefined ? undefined : refusal(8, 400, problem);
}

function checkAccount({ chain, call }: CheckContext): Refusal | undefined {
  const address = call.header("x-requester-address") ?? "";
  const decoded = decodeBech32(address);
  if (decoded === undefined || decoded.prefix !== chain.prefix || decoded.bytes.length !== ADDRESS_BYTES) {
    return refusal(9, 500, "rpc error: code = InvalidArgument desc = invalid address");
  }
  const account = chain.accounts.find(address);
  if (account === undefined) {
    return refusal(9, 500, "rpc error: code = NotFound desc = account not found: key not found");
  }
  if (account.publicKey !== undefined) return undefined;
  return refusal(9, 500, "rpc error: code = NotFound desc = account has no public key");
}

function checkSignature(context: CheckContext): Refusal | undefined {
  const problem = signatureProblem(context, context.transferAddress);
  return problem === undefined ? undefined : refusal(10, 401, `Unable to validate request against PubKey:${problem}`);
}

/** What is wrong with the call's signature if it were made for `transferAddress`; undefined when it is good. */
export function signatureProblem({ chain, call }: CheckContext, transferAddress: string): string | undefined {
  const publicKey = requester(chain, call)?.publicKey;
  if (publicKey === undefined) return "invalid signature";
  const timestampNanos = parseTimestampHeader(call.header("x-timestamp"));
  const input = signingInput({ body: call.body, timestampNanos, transferAddress });
  return verifySignature(publicKey, input, call.header("authorization") ?? "");
}

function checkModel({ models, typed }: CheckContext): Refusal | undefined {
  return models.some((model) => model.id === typed.model) ? undefined : refusal(11, 404, "model not found");
}

function checkBalance({ chain, call, typed }: CheckContext): Refusal | undefined {
  const balance = requester(chain, call)?.balanceNgonka ?? 0n;
  return escrowNgonka(chain, typed) > balance ? refusal(12, 402, "Insufficient balance") : undefined;
}

function checkTimestamp({ chain, call }: CheckContext): Refusal | undefined {
  const { timestampExpirationSeconds, timestampAdvanceSeconds } = chain.params;
  const blockNanos = BigInt(chain.blocks.latest().timeMs) * NANOS_PER_MS;
  const offsetNanos = blockNanos - parseTimestampHeader(call.header("x-timestamp"));
  if (offsetNanos > windowNanos(timestampExpirationSeconds)) return refusal(13, 400, "signature is too old");
  if (offsetNanos < -windowNanos(timestampAdvanceSeconds)) return refusal(13, 400, "signature is in the future");
  return undefined;
}

function checkReplay({ chain, call, replay }: CheckContext): Refusal | undefined {
  const repeated = replay.isRepeated(call.header("authorization") ?? "", "transfer", {
    height: chain.blocks.latest().height,
    expirationSeconds: chain.params.timestampExpirationSeconds,
  });
  return repeated ? refusal(14, 400, "AuthKey has already been used for a transfer request") : undefined;
}

function windowNanos(seconds: number): bigint {
  return BigInt(seconds === 0 ? DEFAULT_WINDOW_SECONDS : seconds) * NANOS_PER_SECOND;
}

function requester(chain: ChainStandIn, call: IncomingCall): ChainAccount | undefined {
  return chain.accounts.find(call.header("x-requester-address") ?? "");
}

/** What MsgStartInference takes: prompt bytes count as tokens, and only `max_tokens` limits the answer. */
export function escrowNgonka(chain: ChainStandIn, typed: TypedRequest): bigint {
  const maxTokens = typed.maxTokens === 0 ? DEFAULT_MAX_TOKENS : typed.maxTokens;
  return BigInt(typed.promptBytes + maxTokens) * chain.params.pricePerTokenNgonka;
}

/** Groups the attempts of one logical request. */
export function bodySha256(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}
