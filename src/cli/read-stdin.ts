import { addAbortSignal } from "node:stream";
import { ZephError } from "../errors/zeph-error.ts";
import type { CliContext } from "./context.ts";

export interface ReadStdinOptions {
  readonly maxBytes: number;
  /** Thrown when more comes. */
  readonly tooMuch: () => ZephError;
}

/**
 * Standard input up to its end. Ctrl-C ends the wait, which may be for a program that never closes its side. Throws
 * `cancelled`, and `tooMuch`.
 */
export async function readStdin(
  { stdin, signal }: Pick<CliContext, "stdin" | "signal">,
  { maxBytes, tooMuch }: ReadStdinOptions,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of addAbortSignal(signal, stdin)) {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > maxBytes) throw tooMuch();
      chunks.push(bytes);
    }
  } catch (error) {
    if (signal.aborted) throw new ZephError("cancelled", { cause: error });
    throw error;
  }
  return Buffer.concat(chunks);
}
