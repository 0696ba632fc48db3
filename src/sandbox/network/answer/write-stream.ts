import { systemClock } from "../../../internal/clock.ts";
import type { NodeFault } from "../faults/node-fault.ts";
import type { Exchange } from "../server/exchange.ts";
import { goStringify } from "./go-stringify.ts";

const DEFAULT_EVENTS = 2;
const DEFAULT_LINE_BYTES = 1024 * 1024 + 1;
const STREAM_HEADERS: readonly (readonly [string, string])[] = [["Content-Type", "text/event-stream; charset=utf-8"]];

/**
 * Writes chunks as server-sent events, `[DONE]` at the end, and plays the stream faults. The headers go out with the
 * first chunk, so that an engine that fails before it can still be answered with an error.
 * @returns whether the stream came to its end
 */
export async function writeStream(
  exchange: Exchange,
  chunks: AsyncIterable<unknown>,
  fault: NodeFault | undefined,
): Promise<"complete" | "broken"> {
  const lineEnd = fault?.kind === "crlf" ? "\r\n" : "\n";
  const write = (line: string) => writePieces(exchange, Buffer.from(line + lineEnd + lineEnd), fault);
  let events = 0;
  for await (const chunk of chunks) {
    if (events === 0) exchange.begin(200, repeated(STREAM_HEADERS, fault));
    if (exchange.signal.aborted) return "broken";
    if (events === (fault?.afterEvents ?? DEFAULT_EVENTS) && (await breakStream(exchange, fault))) return "broken";
    await write(`data: ${goStringify(chunk)}`);
    if (events === 0 && fault?.kind === "long-line") await write(longLine(chunk, fault));
    events += 1;
  }
  if (fault?.kind !== "no-done") await write("data: [DONE]");
  exchange.end();
  return "complete";
}

/** Headers as they arrive when they were copied twice on the way. */
function repeated(
  headers: readonly (readonly [string, string])[],
  fault: NodeFault | undefined,
): readonly (readonly [string, string])[] {
  return fault?.kind === "duplicate-headers" ? [...headers, ...headers] : headers;
}

async function breakStream(exchange: Exchange, fault: NodeFault | undefined): Promise<boolean> {
  if (fault?.kind === "cut") {
    exchange.drop();
    return true;
  }
  if (fault?.kind === "stall") {
    await whenAborted(exchange.signal);
    exchange.drop();
    return true;
  }
  if (fault?.kind === "text-line") {
    await writeTextLine(
      exchange,
      `Failed to process inference node response. inferenceId = ${exchange.recorded.headers.authorization ?? ""}`,
    );
    return true;
  }
  return false;
}

/** What Go's http.Error leaves in a stream that has already begun. */
export async function writeTextLine(exchange: Exchange, text: string): Promise<void> {
  await exchange.write(`${text}\n`);
  exchange.end();
}

export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const MAX_SPLITS = 3;

async function writePieces(exchange: Exchange, bytes: Buffer, fault: NodeFault | undefined): Promise<void> {
  if (fault?.kind !== "utf8-split") return exchange.write(bytes);
  let from = 0;
  for (const at of splitPoints(bytes)) {
    await exchange.write(bytes.subarray(from, at));
    // A real moment: pieces that reach the client in one turn of its loop would be joined again.
    await systemClock.sleep(1);
    from = at;
  }
  await exchange.write(bytes.subarray(from));
}

/** Positions of continuation bytes: what stands there belongs to a character that has begun. */
function splitPoints(bytes: Buffer): readonly number[] {
  const positions = [...bytes.keys()].filter((at) => ((bytes[at] ?? 0) & 0xc0) === 0x80);
  return positions.slice(0, MAX_SPLITS);
}

function longLine(chunk: unknown, fault: NodeFault): string {
  const line = (filler: string) => `data: ${goStringify({ ...(chunk as object), prompt_text: filler })}`;
  const missing = (fault.lineBytes ?? DEFAULT_LINE_BYTES) - line("").length;
  return line("x".repeat(Math.max(missing, 0)));
}
