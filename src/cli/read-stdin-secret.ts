import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { CliContext } from "./context.ts";
import { readStdin } from "./read-stdin.ts";

const MAX_BYTES = 64 * 1024;

/**
 * Reads one secret from standard input up to its end; one trailing line break is not part of it. Throws
 * `missing_input` when nothing comes, `cancelled`, `usage` for more than 64 KiB or for what is not UTF-8 text.
 */
export async function readStdinSecret(context: Pick<CliContext, "stdin" | "signal">): Promise<Secret> {
  const tooMuch = () => new ZephError("usage", { detail: "standard input has more than 64 KiB: no secret" });
  const value = decode(await readStdin(context, { maxBytes: MAX_BYTES, tooMuch })).replace(/\r?\n$/, "");
  if (value === "") {
    throw new ZephError("missing_input", {
      detail: "nothing came on standard input",
      hint: "Pipe the secret in, as in `… < key.txt`; check that the file or the command before it has one.",
    });
  }
  return new Secret(value);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Replacing the odd bytes, as decoders do by default, would store another secret than the one given.
    throw new ZephError("usage", { detail: "standard input is not UTF-8 text" });
  }
}
