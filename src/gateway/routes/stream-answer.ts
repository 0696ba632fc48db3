import { ZephError } from "../../errors/zeph-error.ts";
import { type Answer, type ByteSource, isByteSource } from "../answer.ts";
import { firstOf } from "../first-of.ts";
import { forwardText } from "../forward-text.ts";
import type { RouteContext } from "../gateway-state.ts";
import { HEARTBEAT } from "../stream/fill-silence.ts";
import { errorEvent } from "../stream/pass-stream.ts";
import { isEventStream, streamHeaders, upstreamAnswer, watcher } from "./upstream-answer.ts";

/**
 * A stream. The caller gets the upstream's own status when it comes within the heartbeat's interval. After that the
 * answer begins without it, with comments that keep the connection alive, and a refusal arrives as an event.
 */
export async function streamAnswer(context: RouteContext, text: string): Promise<Answer> {
  const { state } = context;
  const upstream = forwardText(context, "/chat/completions", text);
  const first = await firstOf(upstream, state.clock, state.heartbeatMs);
  const answer =
    first === "silence"
      ? { status: 200, headers: streamHeaders(), body: lateStream(context, upstream) }
      : await upstreamAnswer(context, first);
  if (!isByteSource(answer.body)) return answer;
  return { ...answer, body: { ...answer.body, filler: { piece: HEARTBEAT, afterMs: state.heartbeatMs } } };
}

/** A stream whose upstream has not answered yet. */
function lateStream(context: RouteContext, upstream: Promise<Response>): ByteSource {
  let begun = false;
  let hasLeft = false;
  let source: ByteSource | undefined;
  const { onEnd } = watcher(context);
  return {
    async next() {
      if (!begun) {
        begun = true;
        return HEARTBEAT;
      }
      try {
        source ??= await lateSource(context, await upstream);
      } catch (error) {
        onEnd({ outcome: hasLeft || context.request.signal.aborted ? "caller-left" : "failed", error });
        source = { next: async () => undefined, cancel: () => {} };
        return errorEvent(error);
      }
      return source.next();
    },
    cancel(reason) {
      hasLeft = true;
      onEnd({ outcome: "caller-left" });
      if (source !== undefined) return source.cancel(reason);
      // A server has aborted the request by now. Without one, what comes late is sent back.
      upstream.then(
        (response) => response.body?.cancel(reason),
        () => {},
      );
    },
  };
}

async function lateSource(context: RouteContext, response: Response): Promise<ByteSource> {
  const { body } = await upstreamAnswer(context, response);
  if (isByteSource(body) && isEventStream(response)) return body;
  if (response.ok) throw new ZephError("bad_response", { detail: "no stream came where one was asked for" });
  context.exchange.firstByte();
  context.exchange.end("failed");
  const events = [`data: ${String(body)}\n\n`];
  return { next: async () => events.shift(), cancel: () => {} };
}
