import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import type { CliContext, TerminalStream } from "../context.ts";
import { foldFor } from "../render/fold-text.ts";
import { toTerminalPage } from "../render/terminal-text.ts";
import { collectMessageLines } from "./message-lines.ts";
import { BRACKETED_PASTE, pasteFilter } from "./paste-filter.ts";
import { keepPastedText, toOneLine } from "./pasted-text.ts";

export interface LineInputOptions {
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
