import { asText, type ChatChunk, type ChatUsage } from "./dialect.ts";

/** A piece of the answer that has a beginning and an end: thoughts, text, a refusal in words, or one tool call. */
export interface Part {
  readonly kind: "reasoning" | "text" | "refusal" | "call";
  /** Of the call; empty for other kinds. */
  readonly callId: string;
  /** Of the called function; empty for other kinds. */
  readonly name: string;
  /** All of it so far: words, or the arguments of the call. */
  readonly text: string;
}

/** Writes parts strictly one after the other. Each method gives the events to send. */
export interface PartWriter {
  open(part: Part): string;
  grow(part: Part, piece: string): string;
  close(part: Part): string;
}

/** What chunks say besides the parts. */
export interface Ending {
  readonly finishReason: "stop" | "length" | "tool_calls" | "content_filter";
  /** The stop sequence that was met, where the server named it. */
  readonly stopSequence: string | undefined;
  readonly usage: ChatUsage | undefined;
  readonly model: string | undefined;
}

type CallPiece = NonNullable<ChatChunk["choices"][number]["delta"]["tool_calls"]>[number];

interface OpenPart {
  kind: Part["kind"];
  callIndex: number;
  callId: string;
  name: string;
  text: string;
  pending: string;
  isOpen: boolean;
}

/**
 * Brings the deltas of a chat stream into parts that follow one another. The first part that is not over is written while
 * it grows; later ones wait. A call is over when its arguments are complete JSON and something else has begun, so calls
 * that arrive in turns come out whole. Blank text between other parts, which many models write, is left out.
 */
export function orderedParts(writer: PartWriter) {
  const queue: OpenPart[] = [];
  let written = 0;
  let calls = 0;
  let finishReason: string | undefined;
  let stopReason: unknown;
  let usage: ChatUsage | undefined;
  let model: string | undefined;

  function say(kind: Exclude<Part["kind"], "call">, piece: string | null | undefined): void {
    if (piece === null || piece === undefined || piece === "") return;
    const last = queue.at(-1);
    const part = last?.kind === kind ? last : begin(kind, -1);
    part.pending += piece;
  }

  function call({ index, id = "", function: target }: CallPiece): void {
    const known = queue.find((part) => part.kind === "call" && part.callIndex === index);
    const part = known ?? begin("call", index);
    if (part.callId === "") part.callId = id;
    if (!part.isOpen) part.name += target.name ?? "";
    part.pending += target.arguments;
  }

  function begin(kind: Part["kind"], callIndex: number): OpenPart {
    const part = { kind, callIndex, callId: "", name: "", text: "", pending: "", isOpen: false };
    queue.push(part);
    return part;
  }

  function flush(isEnd: boolean): string {
    let events = "";
    for (let part = queue[0]; part !== undefined; part = queue[0]) {
      const isOver = isEnd || (queue.length > 1 && isComplete(part));
      if (!part.isOpen && (isReady(part) || (isEnd && written === 0 && part.kind !== "call"))) {
        part.isOpen = true;
        written += 1;
        if (part.kind === "call") calls += 1;
        events += writer.open(part);
      }
      if (part.isOpen && isOver && part.kind === "call" && `${part.text}${part.pending}`.trim() === "") {
        part.pending = "{}";
      }
      if (part.isOpen && part.pending !== "") {
        const piece = part.pending;
        part.text += piece;
        part.pending = "";
        events += writer.grow(part, piece);
      }
      if (!isOver) break;
      if (part.isOpen) events += writer.close(part);
      queue.shift();
    }
    return events;
  }

  return {
    add(chunk: ChatChunk): string {
      model ??= chunk.model || undefined;
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        if (choice.index !== 0) continue;
        const { delta } = choice;
        say("reasoning", delta.reasoning_content);
        say("text", delta.content);
        say("refusal", asText(delta.refusal));
        for (const piece of delta.tool_calls ?? []) call(piece);
        finishReason = choice.finish_reason ?? finishReason;
        stopReason = choice.stop_reason ?? stopReason;
      }
      return flush(false);
    },
    /** Writes what still waits. */
    end: () => flush(true),
    ending(): Ending {
      return {
        finishReason: known(finishReason, calls + queue.filter(({ kind }) => kind === "call").length > 0),
        stopSequence: typeof stopReason === "string" ? stopReason : undefined,
        usage,
        model,
      };
    },
  };
}

/** Some servers say `stop` where a call ended the answer. */
function known(reason: string | undefined, hasCalls: boolean): Ending["finishReason"] {
  if (reason === "length" || reason === "content_filter") return reason;
  return hasCalls ? "tool_calls" : "stop";
}

function isReady({ kind, name, pending }: OpenPart): boolean {
  return kind === "call" ? name !== "" : kind !== "text" || pending.trim() !== "";
}

function isComplete({ kind, text, pending }: OpenPart): boolean {
  if (kind !== "call") return true;
  const whole = `${text}${pending}`.trimEnd();
  if (!whole.endsWith("}")) return false;
  try {
    JSON.parse(whole);
    return true;
  } catch {
    // More pieces of this call will come.
    return false;
  }
}
