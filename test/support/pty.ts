import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { spawn } from "@lydell/node-pty";

/** The built command, as an installed package runs it. `npm test` builds it first. */
export const CLI = fileURLToPath(
  new URL(
    "cli/main.js",
    process.env.ZEPH_DIST === undefined ? new URL("../../dist/", import.meta.url) : `file://${process.env.ZEPH_DIST}/`,
  ),
);

/** A program in a terminal, with a person in front of it. */
export interface PseudoTerminal {
  readonly pid: number;
  /** Everything the program wrote, escape sequences and all. */
  readonly output: string;
  /** The same, readable. */
  readonly screen: string;
  /** Resolves when what was written since the last call matches. */
  waitFor(words: RegExp | string, timeoutMs?: number): Promise<void>;
  /** Presses keys. `\r` is Enter, `\u0003` Ctrl-C. */
  press(keys: string): void;
  /** The exit code. */
  readonly ended: Promise<number>;
  kill(): void;
}

export const ENTER = "\r";
export const UP = "\u001b[A";
export const DOWN = "\u001b[B";
export const CTRL_C = "\u0003";

const DEFAULT_TIMEOUT_MS = 30_000;

/** Starts `node dist/cli/main.js ...args` in a pseudo-terminal of 100 x 40. */
export function openTerminal(args: readonly string[], env: Readonly<Record<string, string>>): PseudoTerminal {
  const terminal = spawn(process.execPath, [CLI, ...args], {
    name: "xterm-256color",
    cols: 100,
    rows: 40,
    cwd: env.HOME ?? process.cwd(),
    env: { PATH: process.env.PATH ?? "", TERM: "xterm-256color", ...env },
  });
  let output = "";
  let seen = 0;
  let exitCode: number | undefined;
  const waiting = new Set<() => void>();
  const notify = () => {
    for (const check of waiting) check();
  };
  terminal.onData((piece) => {
    output += piece;
    notify();
  });
  const ended = new Promise<number>((resolve) => {
    terminal.onExit((event) => {
      exitCode = event.exitCode;
      resolve(event.exitCode);
      notify();
    });
  });
  // An escape sequence whose end has not come yet would be taken for text.
  const readable = () => stripVTControlCharacters(output.replace(/\u001b(?:\[[0-9;?]*)?$/, ""));
  return {
    pid: terminal.pid,
    get output() {
      return output;
    },
    get screen() {
      return readable();
    },
    waitFor(words, timeoutMs = DEFAULT_TIMEOUT_MS) {
      return new Promise((resolve, reject) => {
        const finish = (end: () => void) => {
          waiting.delete(check);
          clearTimeout(timer);
          end();
        };
        const fail = (why: string) =>
          reject(new Error(`${why} ${String(words)}; the screen:\n${readable().slice(-3_000)}`));
        const check = () => {
          const text = readable();
          const fresh = text.slice(seen);
          const end = endOfMatch(fresh, words);
          if (end !== undefined) {
            // What came in the same piece and after it is for the next call.
            seen += end;
            finish(resolve);
          } else if (exitCode !== undefined) finish(() => fail(`ended with ${exitCode} before`));
        };
        const timer = setTimeout(() => finish(() => fail("never saw")), timeoutMs);
        waiting.add(check);
        check();
      });
    },
    press: (keys) => terminal.write(keys),
    ended,
    kill: () => {
      if (exitCode === undefined) terminal.kill("SIGKILL");
    },
  };
}

function endOfMatch(text: string, words: RegExp | string): number | undefined {
  if (typeof words === "string") {
    const at = text.indexOf(words);
    return at < 0 ? undefined : at + words.length;
  }
  const match = words.exec(text);
  return match === null ? undefined : match.index + match[0].length;
}
