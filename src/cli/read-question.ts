import { ZephError } from "../errors/zeph-error.ts";
import type { CliContext } from "./context.ts";

/** What a Gonka node accepts for one request; brokers take less. */
const MAX_BYTES = 10 * 1024 * 1024;

/**
 * The question of a one-shot command: the words of the command line, what comes on standard input, or both, words first
 * (`zeph ask "summarise" < report.txt`). Throws `missing_input` when there is neither, `request_too_large` above 10 MiB.
 */
export async function readQuestion({ stdin }: Pick<CliContext, "stdin">, words: readonly string[]): Promise<string> {
  const typed = words.join(" ").trim();
  const piped = stdin.isTTY === true ? "" : (await readText(stdin)).trim();
  const question = [typed, piped].filter((part) => part !== "").join("\n\n");
  if (question !== "") return question;
  throw new ZephError("missing_input", {
    detail: "the question",
    hint: 'Type it behind the command, as in `zeph ask "why is the sky blue?"`, or pipe it in.',
  });
}

async function readText(stdin: CliContext["stdin"]): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_BYTES) throw new ZephError("request_too_large", { detail: "standard input has more than 10 MiB" });
    chunks.push(bytes);
  }
  const text = new TextDecoder().decode(Buffer.concat(chunks));
  if (text.includes("\0")) throw new ZephError("usage", { detail: "standard input is not text" });
  return text;
}
