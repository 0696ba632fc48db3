import { createInterface, type Interface } from "node:readline";
import { Transform, Writable } from "node:stream";
import type { CliContext, TerminalStream } from "../base/world.ts";
import { foldFor, toTerminalPage, toTerminalText } from "./terminal.ts";

interface LineInputOptions {
  readonly keyboard: CliContext["stdin"];
  readonly screen: TerminalStream;
  /** Earlier messages, newest first. */
  readonly history: readonly string[];
  /** Words that could stand at the end of the line, and the part of it they replace. */
  readonly complete: (line: string) => readonly [string[], string];
  /** Ctrl-C while no line is being typed. */
  readonly onInterrupt: () => void;
  /** Ctrl-D on an empty line, or the terminal is gone. */
  readonly onClose: () => void;
}

/** The keyboard of the chat: one message after the other, with editing, history and pastes. */
export interface LineInput {
  /** The next message; `undefined` when the user leaves (Ctrl-D) or the terminal is gone. */
  readMessage(prompt: string, morePrompt: string): Promise<string | undefined>;
  /** One plain line, for a question in between; not kept in the history. Ctrl-C answers it with an empty one. */
  readLine(prompt: string): Promise<string | undefined>;
  /** Shows something above the line that is being typed. */
  printAbove(text: string): void;
  readonly isClosed: boolean;
  close(): void;
}

const HISTORY_SIZE = 1_000;

/**
 * A line editor that stays attached while an answer arrives: keys typed meanwhile do not disturb the screen and are
 * there at the next prompt, and Ctrl-C is heard at any time.
 */
export function openLineInput(options: LineInputOptions): LineInput {
  const { keyboard, screen } = options;
  const gate = openGate(screen);
  const pasted = keepPastedText();
  const message = collectMessageLines();
  const filter = pasteFilter(keyboard, (text) => {
    if (!isClosed) editor.write(pasted.insert(text));
  });
  const editor = createInterface({
    input: keyboard.pipe(filter),
    output: gate.output,
    terminal: true,
    history: options.history.map(toOneLine),
    historySize: HISTORY_SIZE,
    removeHistoryDuplicates: true,
    completer: (line: string) => [...options.complete(line)],
  });
  /** Lines that were typed before anybody asked for one. */
  const early: string[] = [];
  let deliver: ((line: string | undefined) => void) | undefined;
  let recall: string[] = [];
  let isClosed = false;
  let isQuestion = false;
  screen.write(BRACKETED_PASTE.on);

  editor.on("line", (line) => {
    if (deliver === undefined) early.push(line);
    else deliver(line);
  });
  // The editor keeps every line; what is worth recalling is the message, which can have several.
  editor.on("history", (entries) => {
    recall = entries;
    entries.shift();
  });
  editor.on("SIGINT", () => {
    if (deliver === undefined) options.onInterrupt();
    else if (isQuestion) {
      clearTyped(editor);
      screen.write("\n");
      deliver("");
    } else if (editor.line !== "") clearTyped(editor);
    else if (message.isOpen) {
      message.reset();
      screen.write("\n");
      deliver("");
    } else options.onInterrupt();
  });
  editor.on("close", () => {
    isClosed = true;
    deliver?.(undefined);
    keyboard.unpipe(filter);
    keyboard.pause();
    gate.detach();
    screen.write(BRACKETED_PASTE.off);
    options.onClose();
  });

  function nextLine(prompt: string): Promise<string | undefined> {
    if (isClosed) return Promise.resolve(undefined);
    const line = early.shift();
    if (line !== undefined) {
      screen.write(`${prompt}${line}\n`);
      return Promise.resolve(line);
    }
    return new Promise((resolve) => {
      deliver = (given) => {
        deliver = undefined;
        gate.close();
        resolve(given);
      };
      showPrompt(prompt);
    });
  }

  function remember(text: string): void {
    const line = toOneLine(text);
    const same = recall.indexOf(line);
    if (same !== -1) recall.splice(same, 1);
    recall.unshift(line);
    recall.length = Math.min(recall.length, HISTORY_SIZE);
  }

  /** What was typed before the prompt came is typed again, so that it stands behind it. */
  function showPrompt(prompt: string): void {
    const typed = editor.line;
    clearTyped(editor);
    gate.open();
    editor.setPrompt(prompt);
    editor.prompt();
    if (typed !== "") editor.write(typed);
  }

  return {
    async readMessage(prompt, morePrompt) {
      for (;;) {
        const line = await nextLine(message.isOpen ? morePrompt : prompt);
        if (line === undefined) return undefined;
        const text = message.add(line);
        if (text === undefined) continue;
        if (text.trim() !== "") remember(text);
        return pasted.expand(text);
      }
    },
    async readLine(prompt) {
      isQuestion = true;
      try {
        return await nextLine(prompt);
      } finally {
        isQuestion = false;
      }
    },
    printAbove(text) {
      const folded = toTerminalPage(foldFor(screen, text));
      if (deliver === undefined) {
        screen.write(folded);
        return;
      }
      const { rows } = editor.getCursorPos();
      screen.write(`${rows > 0 ? `\u001b[${rows}A` : ""}\r\u001b[J${folded}`);
      editor.prompt(true);
    },
    get isClosed() {
      return isClosed;
    },
    close() {
      if (!isClosed) editor.close();
    },
  };
}

function clearTyped(editor: Interface): void {
  editor.write(null, { ctrl: true, name: "e" });
  editor.write(null, { ctrl: true, name: "u" });
}

/** The editor's way to the screen, shut while somebody else writes. */
function openGate(screen: TerminalStream) {
  let isOpen = false;
  const output = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      if (isOpen) screen.write(chunk);
      done();
    },
  });
  Object.defineProperties(output, {
    columns: { get: () => screen.columns ?? 80 },
    isTTY: { value: true },
  });
  // The editor lays its line out anew when the window changes.
  const onResize = () => output.emit("resize");
  screen.on("resize", onResize);
  return {
    output,
    open() {
      isOpen = true;
    },
    close() {
      isOpen = false;
    },
    detach() {
      screen.off("resize", onResize);
    },
  };
}

/** Puts typed lines together to messages. */
interface MessageLines {
  /** Takes a line; gives back the message when it is complete. */
  add(line: string): string | undefined;
  /** Is a message begun and not complete? */
  readonly isOpen: boolean;
  /** Drops what was begun. */
  reset(): void;
}

const QUOTES = '"""';

/**
 * A line is a message, unless it ends with `\` (the next line belongs to it) or a message is begun with `"""` (then all
 * lines up to the next `"""` belong to it, and backslashes are text).
 */
export function collectMessageLines(): MessageLines {
  let lines: string[] = [];
  let isQuoted = false;

  function close(last: string): string {
    const message = [...lines, last].join("\n");
    lines = [];
    isQuoted = false;
    return message;
  }
  return {
    add(line) {
      let rest = line;
      if (lines.length === 0 && !isQuoted && line.trimStart().startsWith(QUOTES)) {
        isQuoted = true;
        rest = line.trimStart().slice(QUOTES.length);
      }
      if (isQuoted) {
        if (rest.trimEnd().endsWith(QUOTES)) return close(rest.trimEnd().slice(0, -QUOTES.length)).trim();
        lines.push(rest);
        return undefined;
      }
      // An even number of backslashes is text, as in `C:\\`.
      if (/(?:^|[^\\])(?:\\\\)*\\$/.test(rest)) {
        lines.push(rest.slice(0, -1));
        return undefined;
      }
      return close(rest);
    },
    get isOpen() {
      return isQuoted || lines.length > 0;
    },
    reset() {
      lines = [];
      isQuoted = false;
    },
  };
}

const START = Buffer.from("\u001b[200~");
const END = Buffer.from("\u001b[201~");

/** Written to a terminal, these switch bracketed paste on and off: pasted text then comes between two marks. */
const BRACKETED_PASTE = { on: "\u001b[?2004h", off: "\u001b[?2004l" } as const;

/**
 * Keys pass through; text that is pasted does not, it goes to `onPaste` in one piece. Without this every line break in
 * it would send a message, and every tab would ask for a completion.
 */
export function pasteFilter(
  keyboard: CliContext["stdin"],
  onPaste: (text: string) => void,
): Transform & { setRawMode(isRaw: boolean): void } {
  let held = Buffer.alloc(0);
  let pasted: Buffer[] | undefined;

  function endPaste(): void {
    const text = Buffer.concat(pasted ?? []).toString("utf8");
    pasted = undefined;
    onPaste(text.replace(/\r\n?/g, "\n"));
  }

  const filter = new Transform({
    transform(chunk: Buffer | string, _encoding, done) {
      held = Buffer.concat([held, Buffer.from(chunk)]);
      for (;;) {
        const mark: Buffer = pasted === undefined ? START : END;
        const at = held.indexOf(mark);
        const length = at === -1 ? held.length - possibleMarkLength(held, mark, pasted !== undefined) : at;
        const before = held.subarray(0, length);
        if (pasted !== undefined) pasted.push(before);
        else if (before.length > 0) this.push(before);
        held = held.subarray(at === -1 ? length : at + mark.length);
        if (at === -1) break;
        if (pasted === undefined) pasted = [];
        else endPaste();
      }
      done();
    },
    flush(done) {
      if (pasted !== undefined) endPaste();
      if (held.length > 0) this.push(held);
      done();
    },
  });
  return Object.assign(filter, {
    setRawMode(isRaw: boolean) {
      if ("setRawMode" in keyboard && typeof keyboard.setRawMode === "function") keyboard.setRawMode(isRaw);
    },
  });
}

/**
 * How many bytes at the end could be the beginning of `mark`. A lone Escape, or Escape and `[`, must not wait for more:
 * they are keys. Inside a paste there are no keys.
 */
function possibleMarkLength(bytes: Buffer, mark: Buffer, insidePaste: boolean): number {
  for (let length = Math.min(mark.length - 1, bytes.length); length >= (insidePaste ? 1 : 3); length--) {
    if (bytes.subarray(-length).equals(mark.subarray(0, length))) return length;
  }
  return 0;
}

/** Stands for a line break inside the one line a line editor can edit. */
const LINE_BREAK = "⏎";
const MAX_SHOWN_CHARS = 400;
const MAX_SHOWN_LINES = 5;

/** Keeps what was pasted until the message is sent. */
interface PastedText {
  /** What to put into the line: the text itself when it is short, else a sign that stands for it. */
  insert(text: string): string;
  /** The message with everything that was pasted. */
  expand(message: string): string;
}

/** Long pastes would flood the line; they are shown as `[paste 1: 120 lines]` and sent in full. */
export function keepPastedText(): PastedText {
  const kept = new Map<string, string>();
  return {
    insert(text) {
      const clean = toTerminalText(text).replace(/\n+$/, "");
      const lines = clean.split("\n").length;
      const isShort = clean.length <= MAX_SHOWN_CHARS && lines <= MAX_SHOWN_LINES && !clean.includes("\t");
      if (isShort) return toOneLine(clean);
      const sign = `[paste ${kept.size + 1}: ${lines === 1 ? `${clean.length} characters` : `${lines} lines`}]`;
      // The text goes to the model as it was pasted; only what the terminal shows is made harmless.
      kept.set(sign, text.replace(/\n+$/, ""));
      return sign;
    },
    expand(message) {
      let whole = message;
      for (const [sign, text] of kept) whole = whole.replaceAll(sign, () => text);
      return fromOneLine(whole);
    },
  };
}

/** A message of several lines as one line that can be edited, and recalled from the history. */
function toOneLine(message: string): string {
  return message.replaceAll("\n", LINE_BREAK);
}

function fromOneLine(line: string): string {
  return line.replaceAll(LINE_BREAK, "\n");
}
