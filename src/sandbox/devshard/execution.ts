import type { Engine, EngineEvent, SandboxModel } from "../engine.ts";
import { type AnswerFrame, answerChunks, wholeAnswer } from "../network/answer/completion.ts";
import { executorRequest } from "../network/answer/executor-request.ts";
import { goStringify } from "../network/answer/go-stringify.ts";
import { CHAT_PATH } from "../network/request/incoming-call.ts";
import { sha256 } from "./curve.ts";
import type { Executed, Payload } from "./host-session.ts";

interface Execution {
  readonly engine: Engine;
  /** Of the answer's objects, such as `devshard-2-1`. */
  readonly id: string;
  readonly payload: Payload;
  readonly nowSeconds: number;
  /** Chance for the seed, 0 <= value < 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

const MAX_SEED = 2 ** 31 - 1;

/** Asks the engine as an executor does; the contents of the `data:` lines come one by one, the finished answer last. */
export async function* execute(execution: Execution): AsyncGenerator<Buffer, Executed, undefined> {
  const { engine, payload, signal } = execution;
  const request = executorRequest(
    { path: CHAT_PATH, body: payload.prompt, header: () => undefined },
    seedOf(execution),
  );
  const frame = frameOf(execution, request.promptText, await engine.models());
  const events: EngineEvent[] = [];
  async function* recorded(): AsyncIterable<EngineEvent> {
    for await (const event of engine.complete(request.chat, signal)) {
      events.push(event);
      yield event;
    }
  }
  if (request.stream) {
    for await (const chunk of answerChunks(frame, recorded())) yield Buffer.from(goStringify(chunk));
  } else {
    for await (const event of recorded()) if (event.type === "finish") break;
  }
  const { body: answer, usage } = await wholeAnswer(frame, again(events));
  const body = Buffer.from(goStringify(answer));
  if (!request.stream) yield body;
  return { body, responseHash: sha256(body), input: usage.promptTokens, output: usage.completionTokens };
}

function seedOf({ random }: Execution): number {
  return Math.floor(random() * MAX_SEED);
}

function frameOf(
  { id, payload, nowSeconds }: Execution,
  promptText: string,
  models: readonly SandboxModel[],
): AnswerFrame {
  const reasoning = models.find((model) => model.id === payload.model)?.reasoning;
  return { path: CHAT_PATH, id, model: payload.model, createdSeconds: nowSeconds, promptText, reasoning };
}

async function* again(events: readonly EngineEvent[]): AsyncIterable<EngineEvent> {
  yield* events;
}
