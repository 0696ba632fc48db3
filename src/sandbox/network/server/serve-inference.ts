import { isCheckFault, isExecutorFault, type NodeFault } from "../faults/node-fault.ts";
import { CHECK_FAULTS, EXECUTOR_FAULTS } from "../faults/refusal-faults.ts";
import type { IncomingCall } from "../request/incoming-call.ts";
import type { Refusal } from "../request/refusal.ts";
import {
  ACCESS_CHECKS,
  bodySha256,
  type Check,
  type CheckContext,
  EXECUTOR_CHECKS,
  escrowNgonka,
  signatureProblem,
  TRANSFER_CHECKS,
} from "../request/transfer-checks.ts";
import { isRefusal, parseTypedRequest } from "../request/typed-request.ts";
import type { Exchange } from "./exchange.ts";
import { executeInference, failAfterCharge } from "./execute-inference.ts";
import { inferenceId, sendRefusal } from "./inference-run.ts";
import type { NodeSetting } from "./node-setting.ts";

/** The classic path: parse, refuse or take the escrow, then play the executor. */
export async function serveInference(
  setting: NodeSetting,
  call: IncomingCall,
  exchange: Exchange,
  fault: NodeFault | undefined,
): Promise<void> {
  const typed = parseTypedRequest(call);
  if (isRefusal(typed)) return sendRefusal(setting, exchange, typed);
  const context: CheckContext = {
    chain: setting.chain,
    call,
    typed,
    models: await setting.engine.models(),
    replay: setting.replay,
    // Go's Header.Get does not tell an empty header from an absent one.
    transferAddress: call.header("x-transfer-address") || setting.address,
  };
  const refused = firstRefusal(context, fault);
  if (refused !== undefined) {
    if (refused.row === 10) noteForeignSignature(setting, context, exchange);
    return sendRefusal(setting, exchange, refused);
  }
  startInference(setting, context);
  const run = { setting, context, exchange, fault };
  if (fault !== undefined && isExecutorFault(fault.kind)) return failAfterCharge(run, EXECUTOR_FAULTS[fault.kind]);
  await executeInference(run);
}

function firstRefusal(context: CheckContext, fault: NodeFault | undefined): Refusal | undefined {
  const { call } = context;
  const isForwarded = Boolean(call.header("x-inference-id")) && Boolean(call.header("x-seed"));
  const checks: readonly Check[] = [...ACCESS_CHECKS, ...(isForwarded ? EXECUTOR_CHECKS : TRANSFER_CHECKS)];
  const faultRefusal = fault !== undefined && isCheckFault(fault.kind) ? CHECK_FAULTS[fault.kind] : undefined;
  for (const check of checks) {
    const refused = check.run(context) ?? (faultRefusal?.row === check.row ? faultRefusal : undefined);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** A signature that is good for another node means that the client sent a request to the wrong place. */
function noteForeignSignature(setting: NodeSetting, context: CheckContext, exchange: Exchange): void {
  for (const address of setting.otherAddresses()) {
    if (signatureProblem(context, address) === undefined) {
      setting.log.violations.push(
        `a request signed for ${address} came to ${setting.address} (${exchange.recorded.node})`,
      );
    }
  }
}

function startInference({ chain, address }: NodeSetting, context: CheckContext): void {
  chain.ledger.start({
    inferenceId: inferenceId(context),
    account: context.call.header("x-requester-address") ?? "",
    node: address,
    model: context.typed.model,
    bodySha256: bodySha256(context.call.body),
    startedAtHeight: chain.blocks.latest().height,
    escrowNgonka: escrowNgonka(chain, context.typed),
  });
}
