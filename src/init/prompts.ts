import { Transform } from "node:stream";
import { type CANCEL_SYMBOL, confirm, intro, log, outro, password, select, text } from "@clack/prompts";
import { Secret } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { containsKey } from "../brokers/registry.ts";
import { ZephError } from "../errors.ts";
import { type Ask, type InitWorld, KEY_HERE, printable, printableLine, type Tell } from "./session.ts";

/** The conversation at the terminal, on standard input and standard error. Only words and keys: it decides nothing. */
interface Wizard {
  readonly ask: Ask;
  readonly tell: Tell;
  begin(title: string): void;
  end(words: string): void;
}

/** Width of `│` and the blanks beside it. */
const GUIDE_COLUMNS = 4;

/** More than the longest report of a doctor. */
const MAX_WORDS_CHARS = 20_000;

/** More lines than this scroll. */
const MAX_CHOICES_SHOWN = 12;

export function terminalWizard(world: Pick<InitWorld, "stdin" | "stderr" | "signal" | "clock">): Wizard {
  const output = { output: world.stderr };
  const wrapped = (show: (words: string, options: typeof output) => void) => (words: string) =>
    show(wrapWords(printable(words, MAX_WORDS_CHARS), (world.stderr.columns ?? 80) - GUIDE_COLUMNS), output);
  return {
    ask: terminalAsk(world),
    tell: {
      info: wrapped(log.info),
      done: wrapped(log.step),
      warn: wrapped(log.warn),
      fail: wrapped(log.error),
      work: (label, task) => withStatusLine(world, label, task),
    },
    begin: (title) => intro(title, output),
    end: wrapped(outro),
  };
}

/** clack breaks long lines in the middle of words. A word that is longer than a line stays whole. */
function wrapWords(text: string, width: number): string {
  const fold = (line: string) =>
    line.split(/(?<=\S) (?=\S)/).reduce((folded, word) => {
      const last = folded.slice(folded.lastIndexOf("\n") + 1);
      return `${folded}${last.length + 1 + word.length > width ? "\n" : " "}${word}`;
    });
  return text.split("\n").map(fold).join("\n");
}

type Streams = {
  readonly input: InitWorld["stdin"];
  readonly output: InitWorld["stderr"];
  readonly signal: AbortSignal;
};

/** clack leaves its listener on the signal of every question; here each question has a signal of its own. */
async function asking<T>(
  { stdin, stderr, signal }: Pick<InitWorld, "stdin" | "stderr" | "signal">,
  question: (streams: Streams) => Promise<T | typeof CANCEL_SYMBOL>,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return unlessCancelled(await question({ input: stdin, output: stderr, signal: controller.signal }));
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Questions at the terminal. A key that is pasted where the screen shows it is taken out before anything can. */
export function terminalAsk(world: Pick<InitWorld, "stdin" | "stderr" | "signal">): Ask {
  return {
    async select({ message, choices, initial }) {
      const options = choices.map(({ label, hint }, index) => ({
        value: index,
        label: printableLine(label),
        ...(hint === undefined ? {} : { hint: printableLine(hint) }),
      }));
      const initialValue = Math.max(
        0,
        choices.findIndex(({ value }) => value === initial),
      );
      const shown = {
        message: printable(message, MAX_WORDS_CHARS),
        options,
        initialValue,
        maxItems: MAX_CHOICES_SHOWN,
        showInstructions: false,
      };
      const chosen = choices[await asking(world, (streams) => select({ ...streams, ...shown }))];
      if (chosen === undefined) throw new ZephError("internal", { detail: "a choice that was not offered" });
      return chosen.value;
    },
    async hidden({ message, check }) {
      const validate = (value = "") => (value.trim() === "" ? "Nothing was typed." : check?.(new Secret(value)));
      const shown = { message: printable(message, MAX_WORDS_CHARS), validate, clearOnError: true };
      return new Secret(await asking(world, (streams) => password({ ...streams, ...shown })));
    },
    async text({ message, initial, placeholder, check }) {
      const shown = {
        message: printable(message, MAX_WORDS_CHARS),
        validate: (value = "") => {
          const typed = withoutStandIn(value);
          return typed === "" && value !== "" && value.includes(STAND_IN) ? KEY_HERE : check?.(typed);
        },
        ...(initial === undefined ? {} : { initialValue: initial }),
        ...(placeholder === undefined ? {} : { placeholder }),
      };
      // clack gives undefined for an input that was left empty.
      const shield = keyShield(world.stdin);
      const ask = (streams: Streams) => text({ ...streams, input: shield.input, ...shown });
      const answer = await asking<string | undefined>(world, ask).finally(shield.remove);
      return withoutStandIn(answer ?? "");
    },
    async confirm({ message, initial = false }) {
      return asking(world, (streams) =>
        confirm({ ...streams, message: printable(message, MAX_WORDS_CHARS), initialValue: initial }),
      );
    },
  };
}

/** Stands on the screen for a pasted key, which must not. */
const STAND_IN = "•";

function withoutStandIn(value: string): string {
  return value.replaceAll(STAND_IN, "").trim();
}

/** The keyboard, with a key that is pasted in one piece taken out before anything can show it. */
function keyShield(keyboard: InitWorld["stdin"]) {
  const input = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const typed = chunk.toString("utf8");
      const isKey = typed.length > 1 && containsKey(typed);
      done(null, isKey ? STAND_IN.repeat(8) + (/[\r\n]+$/.exec(typed)?.[0] ?? "") : chunk);
    },
  });
  const setRawMode =
    "setRawMode" in keyboard && typeof keyboard.setRawMode === "function" ? keyboard.setRawMode : undefined;
  Object.defineProperties(input, {
    isTTY: { value: keyboard.isTTY },
    ...(setRawMode === undefined ? {} : { setRawMode: { value: (mode: boolean) => setRawMode.call(keyboard, mode) } }),
  });
  keyboard.pipe(input);
  return {
    input,
    remove() {
      keyboard.unpipe(input);
      keyboard.pause();
    },
  };
}

/** clack answers Ctrl-C with a symbol in the place of the value; here it becomes an error, once. */
function unlessCancelled<T>(answer: T | typeof CANCEL_SYMBOL): T {
  if (typeof answer === "symbol") throw new ZephError("cancelled");
  return answer;
}

/** Shorter waits are not worth a line. */
const SHOW_AFTER_MS = 200;
const REDRAW_MS = 100;
const FRAMES = ["◒", "◐", "◓", "◑"];
const ERASE_LINE = "\r\u001b[2K";

/**
 * Shows a line with what is waited for and the seconds so far while a task runs, and removes it at the end. The terminal
 * stays as it is, so that Ctrl-C reaches the program as a signal and ends the request.
 */
async function withStatusLine<T>(
  { stderr, clock }: { readonly stderr: InitWorld["stderr"]; readonly clock: Clock },
  label: string,
  task: () => Promise<T>,
): Promise<T> {
  if (stderr.isTTY !== true) return task();
  const startedAtMs = clock.nowMs();
  let frame = 0;
  let isShown = false;
  const draw = () => {
    isShown = true;
    const seconds = ((clock.nowMs() - startedAtMs) / 1000).toFixed(1);
    const line = `${FRAMES[frame++ % FRAMES.length]}  ${printableLine(label)} … ${seconds} s`;
    stderr.write(`${ERASE_LINE}${line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}`);
    cancel = clock.schedule(REDRAW_MS, draw);
  };
  let cancel = clock.schedule(SHOW_AFTER_MS, draw);
  try {
    return await task();
  } finally {
    cancel();
    if (isShown) stderr.write(ERASE_LINE);
  }
}
