import type { EngineEvent, EngineUsage } from "../../engine.ts";
import { type AnswerFrame, answerChunks, wholeAnswer } from "../answer/completion.ts";
import { type ExecutorRequest, executorRequest } from "../answer/executor-request.ts";
import { goStringify } from "../answer/go-stringify.ts";
import { repeated, whenAborted, writeStream, writeTextLine } from "../answer/write-stream.ts";
import { isCheckFault, isExecutorFault, type NodeFault } from "../faults/node-fault.ts";
import { CHECK_FAULTS, EXECUTOR_FAULTS, modelServerText } from "../faults/refusal-faults.ts";
import { errorAnswer } from "../faults/static-answers.ts";
import type { IncomingCall } from "../request/incoming-call.ts";
import { type Refusal, refusal } from "../request/refusal.ts";
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
import type { NodeSetting } from "./node-setting.ts";

const MAX_SEED = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

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
    phase: setting.phase,
    replay: setting.replay,
    transferAddress: call.header("x-transfer-address") ?? setting.address,
  };
  const refused = firstRefusal(context, fault);
  if (refused !== undefined) {
    if (refused.row === 10) noteForeignSignature(setting, context, exchange);
    return sendRefusal(setting, exchange, refused);
  }
  startInference(setting, context);
  if (fault !== undefined && isExecutorFault(fault.kind)) {
    return failAfterCharge(setting, context, exchange, EXECUTOR_FAULTS[fault.kind]);
  }
  await execute(setting, context, exchange, fault);
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

function failAfterCharge(setting: NodeSetting, context: CheckContext, exchange: Exchange, failed: Refusal): void {
  // The model server saw a request it refuses: the inference is closed at the price of one token.
  const isClosed = failed.row === 22 && failed.status !== 500;
  if (isClosed || failed.row === 24) setting.chain.ledger.finish(inferenceId(context), cost(setting, 1));
  if (failed.row !== 24) {
    sendRefusal(setting, exchange, failed);
    return;
  }
  exchange.recorded.row = failed.row;
  const body = `${failed.text}${inferenceId(context)}\n`;
  exchange.send({ status: failed.status, contentType: "text/plain; charset=utf-8", body });
}

async function execute(
  setting: NodeSetting,
  context: CheckContext,
  exchange: Exchange,
  fault: NodeFault | undefined,
): Promise<void> {
  const request = executorRequest(context.call, Math.floor(setting.random() * MAX_SEED));
  const tooLong = contextProblem(context, request);
  if (tooLong !== undefined) return failAfterCharge(setting, context, exchange, tooLong);
  const frame: AnswerFrame = {
    path: context.call.path,
    id: inferenceId(context),
    model: context.typed.model,
    createdSeconds: Math.floor(setting.chain.blocks.nowMs() / MS_PER_SECOND),
    promptText: request.promptText,
    reasoning: context.models.find(({ id }) => id === context.typed.model)?.reasoning,
  };
  try {
    const events = setting.engine.complete(request.chat, exchange.signal);
    if (request.stream) await executeStream(setting, frame, exchange, events, fault);
    else await executeWhole(setting, frame, exchange, events, fault);
  } catch (error) {
    if (exchange.signal.aborted) return;
    const text = modelServerText(500, error instanceof Error ? error.message : "engine failed");
    if (exchange.recorded.status === undefined) return sendRefusal(setting, exchange, refusal(22, 500, text));
    await writeTextLine(exchange, text);
  }
}

async function executeStream(
  setting: NodeSetting,
  frame: AnswerFrame,
  exchange: Exchange,
  events: AsyncIterable<EngineEvent>,
  fault: NodeFault | undefined,
): Promise<void> {
  let usage: EngineUsage | undefined;
  async function* watched(): AsyncIterable<EngineEvent> {
    for await (const event of events) {
      if (event.type === "finish") usage = event.usage;
      yield event;
    }
  }
  await writeStream(exchange, answerChunks(frame, watched()), fault);
  if (usage !== undefined) setting.chain.ledger.finish(frame.id, usageCost(setting, usage));
}

async function executeWhole(
  setting: NodeSetting,
  frame: AnswerFrame,
  exchange: Exchange,
  events: AsyncIterable<EngineEvent>,
  fault: NodeFault | undefined,
): Promise<void> {
  const { body, usage } = await wholeAnswer(frame, events);
  setting.chain.ledger.finish(frame.id, usageCost(setting, usage));
  const bytes = Buffer.from(goStringify(body));
  exchange.begin(
    200,
    repeated(
      [
        ["Content-Type", "application/json"],
        ["Content-Length", String(bytes.length)],
      ],
      // Two Content-Length lines would be refused by HTTP itself.
      undefined,
    ).concat(fault?.kind === "duplicate-headers" ? [["Content-Type", "application/json"]] : []),
  );
  if (fault?.kind === "cut" || fault?.kind === "stall") {
    await exchange.write(bytes.subarray(0, Math.floor(bytes.length / 2)));
    if (fault.kind === "stall") await whenAborted(exchange.signal);
    return exchange.drop();
  }
  await exchange.write(bytes);
  exchange.end();
}

/** Row 22 as the model server says it when prompt and answer do not fit. A token is counted as 4 bytes. */
function contextProblem({ models, typed }: CheckContext, request: ExecutorRequest): Refusal | undefined {
  const limit = models.find((model) => model.id === typed.model)?.contextLengthTokens ?? Number.POSITIVE_INFINITY;
  const promptTokens = Math.ceil(Buffer.byteLength(request.promptText) / 4);
  const asked = typed.maxTokens === 0 ? 0 : request.maxTokens;
  if (promptTokens + asked <= limit) return undefined;
  const message =
    `This model's maximum context length is ${limit} tokens. However, you requested ${promptTokens + asked} tokens ` +
    `(${promptTokens} in the messages, ${asked} in the completion). Please reduce the length of the messages or completion.`;
  return refusal(22, 400, modelServerText(400, message));
}

function inferenceId({ call }: CheckContext): string {
  return call.header("authorization") ?? "";
}

function cost({ chain }: NodeSetting, tokens: number): bigint {
  return BigInt(tokens) * chain.params.pricePerTokenNgonka;
}

function usageCost(setting: NodeSetting, usage: EngineUsage): bigint {
  return cost(setting, usage.promptTokens + usage.completionTokens);
}

function sendRefusal(setting: NodeSetting, exchange: Exchange, refused: Refusal): void {
  exchange.recorded.row = refused.row;
  // Row 15 names the node's own list of others to try.
  const text = refused.row === 15 ? `${refused.text}${setting.origin()}/v1/epochs/current/participants` : refused.text;
  exchange.send(errorAnswer(refused.status, text));
}
