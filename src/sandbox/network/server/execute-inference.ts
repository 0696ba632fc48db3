import type { EngineEvent, EngineUsage } from "../../engine.ts";
import { type AnswerFrame, answerChunks, wholeAnswer } from "../answer/completion.ts";
import { type ExecutorRequest, executorRequest } from "../answer/executor-request.ts";
import { goStringify } from "../answer/go-stringify.ts";
import { whenAborted, writeStream, writeTextLine } from "../answer/write-stream.ts";
import { modelServerText } from "../faults/refusal-faults.ts";
import { type Refusal, refusal } from "../request/refusal.ts";
import type { CheckContext } from "../request/transfer-checks.ts";
import { type InferenceRun, inferenceId, sendRefusal } from "./inference-run.ts";
import type { NodeSetting } from "./node-setting.ts";

const MAX_SEED = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

/** The executor's part, after the escrow was taken: asks the engine, and ends the inference in the ledger. */
export async function executeInference(run: InferenceRun): Promise<void> {
  const { setting, context, exchange } = run;
  const request = executorRequest(context.call, Math.floor(setting.random() * MAX_SEED));
  const tooLong = contextProblem(context, request);
  if (tooLong !== undefined) return failAfterCharge(run, tooLong);
  try {
    const events = setting.engine.complete(request.chat, exchange.signal);
    const frame = answerFrame(run, request);
    if (request.stream) await executeStream(run, frame, events);
    else await executeWhole(run, frame, events);
  } catch (error) {
    if (exchange.signal.aborted) return;
    const text = modelServerText(500, error instanceof Error ? error.message : "engine failed");
    if (exchange.recorded.status === undefined) return sendRefusal(setting, exchange, refusal(22, 500, text));
    await writeTextLine(exchange, text);
  }
}

/** Rows 17 to 24: the escrow is taken, and the answer is a refusal. */
export function failAfterCharge({ setting, context, exchange }: InferenceRun, failed: Refusal): void {
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

function answerFrame({ setting, context }: InferenceRun, request: ExecutorRequest): AnswerFrame {
  const { model } = context.typed;
  return {
    path: context.call.path,
    id: inferenceId(context),
    model,
    createdSeconds: Math.floor(setting.chain.blocks.nowMs() / MS_PER_SECOND),
    promptText: request.promptText,
    reasoning: context.models.find(({ id }) => id === model)?.reasoning,
  };
}

async function executeStream(
  { setting, exchange, fault }: InferenceRun,
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
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
  { setting, exchange, fault }: InferenceRun,
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
): Promise<void> {
  const { body, usage } = await wholeAnswer(frame, events);
  setting.chain.ledger.finish(frame.id, usageCost(setting, usage));
  const bytes = Buffer.from(goStringify(body));
  const contentType = ["Content-Type", "application/json"] as const;
  // Two Content-Length lines would be refused by HTTP itself, so only the type is ever copied twice.
  const copied = fault?.kind === "duplicate-headers" ? [contentType] : [];
  exchange.begin(200, [contentType, ...copied, ["Content-Length", String(bytes.length)]]);
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

function cost({ chain }: NodeSetting, tokens: number): bigint {
  return BigInt(tokens) * chain.params.pricePerTokenNgonka;
}

function usageCost(setting: NodeSetting, usage: EngineUsage): bigint {
  return cost(setting, usage.promptTokens + usage.completionTokens);
}
