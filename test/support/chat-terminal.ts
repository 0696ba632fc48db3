import { Readable } from "node:stream";
import { manualClock } from "../../src/base/time.ts";
import type { CliContext } from "../../src/base/world.ts";
import { memoryKeyboard, memoryOutput } from "./memory-terminal.ts";

export interface ChatTerminalOptions {
  readonly folder: string;
  /** Piped in; without it a keyboard is attached. */
  readonly piped?: string | Uint8Array;
  /** Are the two outputs terminals? Default: yes with a keyboard. */
  readonly screens?: boolean;
  readonly json?: boolean;
  readonly color?: boolean;
}

/** A context for the two chat commands, with everything they print. */
export function chatTerminal({
  folder,
  piped,
  screens = piped === undefined,
  json = false,
  color = false,
}: ChatTerminalOptions) {
  const keyboard = memoryKeyboard();
  const stdout = memoryOutput(screens ? { columns: 80 } : {});
  const stderr = memoryOutput(screens ? { columns: 80 } : {});
  const interrupt = new AbortController();
  const clock = manualClock();
  const context: CliContext = {
    stdin: piped === undefined ? keyboard : Readable.from([Buffer.from(piped)]),
    stdout,
    stderr,
    env: {},
    cwd: folder,
    homeDir: folder,
    platform: process.platform,
    clock,
    random: () => 0.5,
    fetch: () => Promise.reject(new Error("this test reaches no network")),
    signal: interrupt.signal,
    interactive: screens,
    json,
    verbose: false,
    color,
    paths: {},
  };
  return { context, keyboard, stdout, stderr, interrupt, clock };
}
