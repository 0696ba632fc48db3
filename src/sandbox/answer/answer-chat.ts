import type { ChatRequest, EngineEvent } from "../engine.ts";
import type { AnswerOptions } from "./answer-options.ts";
import { chatCompletion } from "./chat-completion.ts";
import { chatFrames } from "./chat-frames.ts";
import { streamBody } from "./stream-body.ts";

/**
 * Answers a chat request in the form it asks for, JSON or SSE. Rejects with what the engine threw when it failed
 * before its first event; a later failure of a stream becomes an error object inside the stream.
 */
export async function answerChat(request: ChatRequest, options: AnswerOptions): Promise<Response> {
  const events = options.engine.complete(request, options.signal)[Symbol.asyncIterator]();
  if (request.stream !== true) return Response.json(await chatCompletion(resume(undefined, events), request, options));
  // The status line must not promise an answer before the engine has begun one.
  const first = await events.next();
  const frames = chatFrames(resume(first, events), request, options);
  return new Response(streamBody(frames), {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      // Keeps the server from gathering chunks before it sends the first.
      "transfer-encoding": "chunked",
    },
  });
}

async function* resume(
  first: IteratorResult<EngineEvent> | undefined,
  rest: AsyncIterator<EngineEvent>,
): AsyncGenerator<EngineEvent> {
  try {
    for (let step = first ?? (await rest.next()); step.done !== true; step = await rest.next()) yield step.value;
  } finally {
    await rest.return?.();
  }
}
