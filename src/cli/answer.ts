import type { Clock } from "../base/time.ts";
import type { CliContext, TerminalStream } from "../base/world.ts";
import { type ChatSession, type ConversationEvent, isOutcome, type OutcomeEvent } from "../chat/session.ts";
import { ZephError } from "../errors.ts";
import type { TransportEvent } from "../transport/policy.ts";
import { renderMarkdown } from "./markdown.ts";
import {
  cutToWidth,
  foldFor,
  formatCount,
  formatSeconds,
  formatWait,
  renderPlain,
  renderUsage,
  show,
  style,
  type TextRenderer,
  toTerminalLine,
  toTerminalPage,
} from "./terminal.ts";

interface AnswerViewOptions {
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
async function writeText(stream: TerminalStream, text: string): Promise<void> {
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

/** One line that tells what is being waited for and for how long; it is gone before anything else is written. */
interface StatusLine {
  /** Starts telling; the time counts from here. */
  wait(promptTokensEstimate: number): void;
  /** Another provider is asked from now on. */
  waitFor(providerName: string): void;
  /** What the connection does. */
  onTransportEvent(event: TransportEvent): void;
  /** Something arrives that is not shown: hidden thoughts, an answer that goes into a file. */
  progress(what: string): void;
  /** Takes the line away and stops. Safe to call at any time. */
  clear(): void;
  /** Goes on after something else was written. */
  resume(): void;
}

interface StatusLineOptions {
  readonly stream: TerminalStream;
  readonly clock: Clock;
  readonly color: boolean;
  readonly providerName: string;
}

/** Anything shorter needs no explanation. */
const APPEARS_AFTER_MS = 200;
const REDRAW_MS = 100;
const SLOW_AFTER_MS = 8_000;

/** Prompts above this size were reported to take a minute and more before the first byte. */
const SLOW_ABOVE_TOKENS = 7_000;
const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const ERASE_LINE = "\r\u001b[2K";
const ERASE_REST = "\u001b[K";

type Activity =
  | { readonly type: "waiting" }
  | { readonly type: "signing"; readonly endpoint: string; readonly untilMs: number }
  | { readonly type: "retrying"; readonly untilMs: number; readonly attempt: number; readonly maxAttempts: number }
  | { readonly type: "progress"; readonly what: string };

/** How long a step that takes a moment stays readable. */
const BRIEF_MS = 600;

/** Shorter waits are over before anybody could read about them. */
const WORTH_A_LINE_MS = 1_000;

/** A wait that the connection has begun, in one line for standard error. Undefined for one that is over at once. */
export function waitLine(event: TransportEvent, providerName: string): string | undefined {
  if (event.type !== "waiting" || event.delayMs < WORTH_A_LINE_MS) return undefined;
  const { attempt, maxAttempts, delayMs } = event;
  return `${providerName} rate limited or unavailable, trying again in ${formatWait(delayMs)} (${attempt}/${maxAttempts})\n`;
}

/** A status line on a terminal. On anything else it tells of longer waits only, each in a line of its own. */
export function startStatusLine({ stream, clock, color, ...options }: StatusLineOptions): StatusLine {
  const isTerminal = stream.isTTY === true;
  const { dim } = style(color);
  let { providerName } = options;
  let activity: Activity = { type: "waiting" };
  let startMs = 0;
  let promptTokens = 0;
  let shown = false;
  let frame = 0;
  let cancelTimer: (() => void) | undefined;

  function describe(): string {
    const nowMs = clock.nowMs();
    const elapsedMs = nowMs - startMs;
    if (activity.type === "retrying" && nowMs < activity.untilMs) {
      const seconds = Math.ceil((activity.untilMs - nowMs) / 1_000);
      const { attempt, maxAttempts } = activity;
      return `${providerName} rate limited or unavailable, retrying in ${seconds} s (${attempt}/${maxAttempts})`;
    }
    if (activity.type === "signing" && nowMs < activity.untilMs) {
      return `Gonka: signing request to ${activity.endpoint}`;
    }
    if (activity.type === "progress") return `${activity.what} … ${formatSeconds(elapsedMs)}`;
    if (elapsedMs < SLOW_AFTER_MS) return `waiting for ${providerName} … ${formatSeconds(elapsedMs)}`;
    const why =
      promptTokens > SLOW_ABOVE_TOKENS
        ? `, about ${formatTokens(promptTokens)} tokens; this endpoint is slow above about ${formatTokens(SLOW_ABOVE_TOKENS)}`
        : ` for ${providerName}`;
    return `still waiting${why} … ${formatSeconds(elapsedMs)} (Ctrl-C stops it)`;
  }

  function draw(): void {
    const spinner = FRAMES[frame++ % FRAMES.length] ?? "";
    const text = cutToWidth(`${spinner} ${toTerminalLine(describe())}`, (stream.columns ?? 80) - 1);
    // Written over the old text, then the rest erased: erasing first would flicker.
    stream.write(`\r${toTerminalPage(dim(text))}${ERASE_REST}`);
    shown = true;
    cancelTimer = clock.schedule(REDRAW_MS, draw);
  }

  function start(): void {
    if (isTerminal && cancelTimer === undefined) cancelTimer = clock.schedule(APPEARS_AFTER_MS, draw);
  }

  return {
    wait(promptTokensEstimate) {
      activity = { type: "waiting" };
      startMs = clock.nowMs();
      promptTokens = promptTokensEstimate;
      start();
    },
    waitFor(name) {
      providerName = name;
      activity = { type: "waiting" };
    },
    onTransportEvent(event) {
      const nowMs = clock.nowMs();
      if (!isTerminal) stream.write(waitLine(event, providerName) ?? "");
      if (event.type === "waiting") {
        const { attempt, maxAttempts, delayMs } = event;
        activity = { type: "retrying", untilMs: nowMs + delayMs, attempt, maxAttempts };
      } else if (event.type === "attempt-started") {
        activity = event.signed
          ? { type: "signing", endpoint: event.endpoint, untilMs: nowMs + BRIEF_MS }
          : { type: "waiting" };
      }
    },
    progress(what) {
      activity = { type: "progress", what };
      start();
    },
    clear() {
      cancelTimer?.();
      cancelTimer = undefined;
      if (shown) stream.write(ERASE_LINE);
      shown = false;
    },
    resume: start,
  };
}

function formatTokens(tokens: number): string {
  return tokens < 1_000 ? formatCount(tokens) : `${Math.round(tokens / 1_000)}K`;
}
