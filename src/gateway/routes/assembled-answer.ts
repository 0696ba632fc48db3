import { chatAssembler } from "../../wire/chat-answer.ts";
import { chatStreamReader } from "../../wire/chat-stream.ts";
import { type Answer, jsonAnswer } from "../answer.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import type { JsonObject } from "../read-json-body.ts";
import { readUsage } from "../usage.ts";
import { noteUpstream, upstreamAnswer } from "./upstream-answer.ts";

/**
 * A whole answer from an upstream that is asked to stream it. Nothing reaches the caller before the end, so a stream that
 * breaks off is an error with a status; callers need a timeout of their own that allows for a whole answer.
 */
export async function assembledAnswer(context: RouteContext, request: JsonObject): Promise<Answer> {
  const asked = { ...request, stream: true, stream_options: { include_usage: true } };
  const response = await forwardText(context, "/chat/completions", JSON.stringify(asked));
  if (!response.ok || response.body === null) return upstreamAnswer(context, response);
  const headers = noteUpstream(context, response.headers);
  const completion = await assemble(response.body, request);
  context.exchange.record.usage = readUsage(completion, response.headers);
  return jsonAnswer(completion, 200, { ...headers, "content-type": "application/json" });
}

/** Throws what the stream broke off with, and `bad_response` when there was no answer in it. */
async function assemble(body: ReadableStream<Uint8Array>, request: JsonObject) {
  const reader = chatStreamReader({ thinking: "kept" });
  const assembler = chatAssembler((name) => isUnwanted(name, request));
  const take = (pieces: ReturnType<typeof reader.push>) => {
    for (const piece of pieces) if (piece.type === "chunk") assembler.add(piece.chunk);
  };
  for await (const bytes of body) take(reader.push(bytes));
  const { pieces, end } = reader.end();
  take(pieces);
  if (end.error !== undefined) throw end.error;
  return assembler.finish();
}

const LOGPROBS: ReadonlySet<string> = new Set(["logprob", "logprobs", "top_logprobs"]);
const TOKEN_IDS: ReadonlySet<string> = new Set(["token_ids", "prompt_token_ids"]);

/** What the network computes for every request, and this caller did not ask for: older gateways let it through to everybody. */
function isUnwanted(name: string, { logprobs, return_token_ids: tokenIds }: JsonObject): boolean {
  if (LOGPROBS.has(name)) return logprobs !== true;
  return name === "prompt_logprobs" || (TOKEN_IDS.has(name) && tokenIds !== true);
}
