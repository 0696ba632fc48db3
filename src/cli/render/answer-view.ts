import { type ConversationEvent, isOutcome, type OutcomeEvent } from "../../chat/conversation-event.ts";
import type { ChatSession } from "../../chat/session.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import type { CliContext, TerminalStream } from "../context.ts";
import { show } from "../write-result.ts";
import { foldFor } from "./fold-text.ts";
import { renderMarkdown } from "./markdown.ts";
import { startStatusLine } from "./status-line.ts";
import { style } from "./style.ts";
import { toTerminalLine, toTerminalPage } from "./terminal-text.ts";
import { renderPlain, type TextRenderer } from "./text-renderer.ts";
import { renderUsage } from "./usage-line.ts";

export interface AnswerViewOptions {
  readonly context: Pick<CliContext, "stdout" | "stderr" | "clock" | "color">;
  readonly session: ChatSession;
  readonly hideReasoning: boolean;
}

/**
 * Shows an answer while it arrives: the text alone on standard output; waiting time, thoughts, notices and the usage
 * line on standard error. Gives back how it ended; naming an error is left to the caller.
 */
export async function showAnswer(
  events: AsyncIterable<ConversationEvent>,
  { context, session, hideReasoning }: AnswerViewOptions,
): Promise<OutcomeEvent> {
  const { stdout, stderr, clock, color } = context;
  const { dim, yellow } = style(color);
  const status = startStatusLine({ stream: stderr, clock, color, providerName: session.providerName });
  const unsubscribe = session.subscribe((event) => {
    if (event.type !== "notice") return status.onTransportEvent(event);
    status.clear();
    show(stderr, `${foldFor(stderr, yellow(`! ${event.text}`))}\n`);
    isNoticed = true;
    if (event.standIn !== undefined) status.waitFor(event.standIn.providerName);
    if (isWaiting) status.resume();
  });
  const answer = openBlock(stdout, answerRenderer(stdout, color));
  const thoughts = openBlock(stderr, thoughtsRenderer(stderr, color));
  const showsThoughts = stderr.isTTY === true && !hideReasoning;
  let isWaiting = false;
  /** Did a notice come first? The answer then begins after a blank line. */
  let isNoticed = false;
  const sharesScreen = stdout.isTTY === true && stderr.isTTY === true;

  async function endBlocks(): Promise<void> {
    status.clear();
    await thoughts.end();
    await answer.end();
  }
  async function say(line: string): Promise<void> {
    await endBlocks();
    await writeText(stderr, toTerminalPage(`${foldFor(stderr, line)}\n`));
    if (isWaiting) status.resume();
  }
  async function showEvent(event: ConversationEvent): Promise<void> {
    switch (event.type) {
      case "waiting":
        isWaiting = true;
        return status.wait(event.promptTokensEstimate);
      case "first-byte":
        isWaiting = false;
        return;
      case "reasoning":
        if (!showsThoughts) return status.progress("thinking");
        status.clear();
        return thoughts.write(event.text);
      case "text":
        // Where the text does not reach the screen, the line says that something is happening.
        if (stdout.isTTY === true) status.clear();
        else status.progress("receiving the answer");
        if (((await thoughts.end()) || isNoticed) && sharesScreen) await writeText(stderr, "\n");
        isNoticed = false;
        return answer.write(event.text);
      case "notice":
        return say(yellow(`! ${event.text}`));
      case "tool-call":
        isWaiting = true;
        return say(dim(toTerminalLine(`⚙ ${event.toolName} ${JSON.stringify(event.input) ?? ""}`)));
      case "tool-failed":
        return say(yellow(toTerminalLine(`! the tool ${event.toolName} failed`)));
      case "finished":
        isWaiting = false;
        return say(`${sharesScreen ? "\n" : ""}${dim(renderUsage(event))}`);
    }
  }

  try {
    for await (const event of events) {
      await showEvent(event);
      if (!isOutcome(event)) continue;
      await endBlocks();
      return event;
    }
    throw new ZephError("internal", { detail: "the answer has no end" });
  } finally {
    status.clear();
    unsubscribe();
  }
}

/** Text that grows on a stream until it is ended; it may begin again afterwards. */
interface TextBlock {
  write(text: string): Promise<void>;
  /** True when there was something to end. */
  end(): Promise<boolean>;
}

function openBlock(stream: TerminalStream, newRenderer: () => TextRenderer): TextBlock {
  let renderer: TextRenderer | undefined;
  return {
    write(text) {
      renderer ??= newRenderer();
      return writeText(stream, renderer.push(text));
    },
    async end() {
      if (renderer === undefined) return false;
      const rest = renderer.end();
      renderer = undefined;
      await writeText(stream, rest);
      return true;
    },
  };
}

function answerRenderer(stream: TerminalStream, color: boolean): () => TextRenderer {
  if (stream.isTTY === true && color) return () => renderMarkdown({ columns: () => stream.columns ?? 80 });
  return () => renderPlain({ safe: stream.isTTY === true });
}

function thoughtsRenderer(stream: TerminalStream, color: boolean): () => TextRenderer {
  if (!color) return () => renderPlain({ safe: true });
  return () => renderMarkdown({ columns: () => stream.columns ?? 80, base: [2], margin: "┊ " });
}

/** Writes, and waits where the reader is slower than the model. */
export async function writeText(stream: TerminalStream, text: string): Promise<void> {
  if (text === "" || stream.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}
