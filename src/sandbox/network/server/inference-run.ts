import type { NodeFault } from "../faults/node-fault.ts";
import { errorAnswer } from "../faults/static-answers.ts";
import type { Refusal } from "../request/refusal.ts";
import type { CheckContext } from "../request/transfer-checks.ts";
import type { Exchange } from "./exchange.ts";
import type { NodeSetting } from "./node-setting.ts";

/** One inference on its way through a node. */
export interface InferenceRun {
  readonly setting: NodeSetting;
  readonly context: CheckContext;
  readonly exchange: Exchange;
  readonly fault: NodeFault | undefined;
}

/** The Authorization string: what the chain calls the inference. */
export function inferenceId({ call }: CheckContext): string {
  return call.header("authorization") ?? "";
}

export function sendRefusal(setting: NodeSetting, exchange: Exchange, refused: Refusal): void {
  exchange.recorded.row = refused.row;
  // Row 15 names the node's own list of others to try.
  const text = refused.row === 15 ? `${refused.text}${setting.origin()}/v1/epochs/current/participants` : refused.text;
  exchange.send(errorAnswer(refused.status, text));
}
