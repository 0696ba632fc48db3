import { ZephError } from "../../errors/zeph-error.ts";
import { toErrorObject } from "../stream-error.ts";
import { type ChunkRepairer, chunkRepairer } from "./chunk-repairer.ts";
import { parseRecord } from "./json-record.ts";

const encoder = new TextEncoder();

/**
 * An event stream with its chunks mended. Lines that need nothing pass untouched, and a piece in which no line does
 * passes as the same bytes. A stream that breaks ends with an error event instead, so that the text before it is not
 * lost on its way through the decoder's queues; the caller's abort stays what it is.
 */
export function repairEventStream(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const lines = lineRepairer();
  return new ReadableStream(
    {
      async pull(controller) {
        for (;;) {
          let step: Awaited<ReturnType<typeof reader.read>>;
          try {
            step = await reader.read();
          } catch (thrown) {
            if (!ZephError.is(thrown)) return controller.error(thrown);
            // What is left of an unfinished line is nothing a decoder could read.
            controller.enqueue(encoder.encode(`\n\n${event({ error: toErrorObject(thrown) })}`));
            return controller.close();
          }
          const repaired = step.done ? encoder.encode(lines.end()) : lines.next(step.value);
          if (repaired.byteLength > 0) controller.enqueue(repaired);
          if (step.done) return controller.close();
          if (repaired.byteLength > 0) return;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Works on whole lines; an unfinished one waits, which costs no time because no decoder can use it either. */
function lineRepairer() {
  const decoder = new TextDecoder();
  const chunks = chunkRepairer();
  const seen = { choice: false, usage: false };
  let rest = "";

  function repairLines(text: string): string {
    if (text === "" || (!text.includes("data:") && !text.includes('"tool_calls"'))) return text;
    // Looked for only until the first choice, which is in the first piece as a rule.
    seen.choice ||= HAS_A_CHOICE.test(text);
    if (!seen.choice) seen.usage ||= HAS_USAGE.test(text);
    const isUsageAlone = seen.usage && !seen.choice;
    return text
      .split("\n")
      .map((line) => repairLine(line, chunks, isUsageAlone))
      .join("\n");
  }

  return {
    next(bytes: Uint8Array): Uint8Array {
      const text = decoder.decode(bytes, { stream: true });
      const end = text.lastIndexOf("\n") + 1;
      if (end === 0) {
        rest += text;
        return new Uint8Array();
      }
      const whole = rest + text.slice(0, end);
      const arrivedWhole = rest === "" && end === text.length;
      rest = text.slice(end);
      const repaired = repairLines(whole);
      // Unchanged text that came in whole lines: the very bytes, without encoding them again.
      return arrivedWhole && repaired === whole ? bytes : encoder.encode(repaired);
    },
    end: (): string => repairLines(rest + decoder.decode()),
  };
}

/** A call's entries; `null` and `[]`, which some servers repeat in every chunk, need nothing. */
const HAS_TOOL_CALLS = /"tool_calls"\s*:\s*\[\s*[^\]\s]/;
const HAS_CHOICES = /"choices"\s*:\s*\[/;

const HAS_A_CHOICE = /"choices"\s*:\s*\[\s*\{|"error"\s*:/;
const HAS_USAGE = /"usage"\s*:\s*\{/;

/**
 * An answer of no words that was counted, and charged: the SDK's decoder wants to hear why it ended. A stream with words
 * and without a reason gets none, because it may have been cut on its way to a server that adds `[DONE]` to everything.
 */
const EMPTY_ANSWER = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };

function repairLine(line: string, chunks: ChunkRepairer, isUsageAlone: boolean): string {
  if (!line.startsWith("data:")) return line;
  const data = line.slice("data:".length).trim();
  if (data === "[DONE]") {
    const last = chunks.finish() ?? (isUsageAlone ? EMPTY_ANSWER : undefined);
    return last === undefined ? line : event(last) + line;
  }
  if (HAS_CHOICES.test(data) && !HAS_TOOL_CALLS.test(data)) return line;
  const chunk = parseRecord(data);
  if (chunk === undefined) return line;
  const repaired = JSON.stringify(chunks.repair(chunk));
  return `data: ${repaired}${line.endsWith("\r") ? "\r" : ""}`;
}

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
