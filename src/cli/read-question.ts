import { fstatSync } from "node:fs";
import { ZephError } from "../errors/zeph-error.ts";
import { utf16Kind } from "../internal/regular-file.ts";
import type { CliContext } from "./context.ts";
import { readStdin } from "./read-stdin.ts";

/** What a Gonka node accepts for one request; brokers take less. */
const MAX_BYTES = 10 * 1024 * 1024;

/** How long a parent program that started us gets to begin writing, when the question is on the command line already. */
const SOCKET_GRACE_MS = 300;
/** After this a user who did not mean to pipe anything is told why nothing happens. */
const NOTICE_AFTER_MS = 1_000;

type QuestionContext = Pick<CliContext, "stdin" | "stderr" | "clock" | "signal">;

/**
 * The question of a one-shot command: the words of the command line, what comes on standard input, or both
 * (`zeph ask "summarise" < report.txt`). Throws `missing_input` when there is neither, unless something else makes the
 * question complete, `request_too_large` above 10 MiB, `cancelled` for Ctrl-C while it waits.
 */
export async function readQuestion(
  context: QuestionContext,
  words: readonly string[],
  { isOptional = false } = {},
): Promise<{ readonly typed: string; readonly piped: string }> {
  const typed = words.join(" ").trim();
  const piped = context.stdin.isTTY === true ? "" : (await readPiped(context, typed !== "" || isOptional)).trim();
  if (isOptional || typed !== "" || piped !== "") return { typed, piped };
  throw new ZephError("missing_input", {
    detail: "the question",
    hint: 'Type it behind the command, as in `zeph ask "why is the sky blue?"`, or pipe it in.',
  });
}

async function readPiped(context: QuestionContext, hasWords: boolean): Promise<string> {
  const { stdin, stderr, clock } = context;
  if (hasWords && isSocket(stdin) && !(await beginsWithin(stdin, clock, SOCKET_GRACE_MS))) {
    stdin.destroy();
    return "";
  }
  const cancelNotice = clock.schedule(NOTICE_AFTER_MS, () => {
    stderr.write(
      "Waiting for standard input to end … (Ctrl-D; programs that pipe nothing in can give `< /dev/null`)\n",
    );
  });
  try {
    return await readText(context);
  } finally {
    cancelNotice();
  }
}

/**
 * A shell's pipe is a FIFO, and nobody can tell `slow-command | zeph ask` from a program that leaves a FIFO open for
 * nothing: it is read to its end, with a notice. A socket is what Node and others give the programs they start, often to write nothing and
 * never close it; waiting for its end would hang.
 */
function isSocket(stdin: CliContext["stdin"]): boolean {
  return "fd" in stdin && typeof stdin.fd === "number" && fstatSync(stdin.fd).isSocket();
}

function beginsWithin(stdin: CliContext["stdin"], clock: CliContext["clock"], delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (begins: boolean) => {
      cancel();
      for (const event of ["readable", "end"]) stdin.off(event, onBegin);
      resolve(begins);
    };
    const onBegin = () => settle(true);
    const cancel = clock.schedule(delayMs, () => settle(false));
    for (const event of ["readable", "end"]) stdin.once(event, onBegin);
  });
}

async function readText(context: QuestionContext): Promise<string> {
  const tooMuch = () => new ZephError("request_too_large", { detail: "standard input has more than 10 MiB" });
  const bytes = await readStdin(context, { maxBytes: MAX_BYTES, tooMuch });
  if (utf16Kind(bytes) !== undefined) {
    const hint =
      "Save it as UTF-8: in PowerShell, `… | Set-Content FILE -Encoding utf8`; elsewhere, `iconv -f UTF-16 -t UTF-8`.";
    throw new ZephError("usage", { detail: "standard input is UTF-16 text, not UTF-8", hint });
  }
  const text = new TextDecoder().decode(bytes);
  if (text.includes("\0")) throw new ZephError("usage", { detail: "standard input is not text" });
  return text;
}
