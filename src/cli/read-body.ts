import { resolve } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { readRegularFile, UnusableFile } from "../internal/regular-file.ts";
import type { CliContext } from "./context.ts";
import { readStdin } from "./read-stdin.ts";

/** What a node takes at most, 10 MiB. */
const MAX_BODY_BYTES = 10_485_760;

/**
 * The bytes of a file, or of standard input up to its end, untouched: a final line break is part of them. Throws
 * `missing_input`, `request_too_large`.
 */
export async function readBody(context: CliContext, file: string | undefined): Promise<Uint8Array> {
  return file === undefined ? readPiped(context) : readNamed(resolve(context.cwd, file));
}

async function readPiped(context: CliContext): Promise<Uint8Array> {
  if (context.stdin.isTTY === true) {
    throw new ZephError("missing_input", {
      detail: "the body of the request",
      hint: "Give it with --file PATH, or pipe it in.",
    });
  }
  return readStdin(context, { maxBytes: MAX_BODY_BYTES, tooMuch: tooLarge });
}

function tooLarge(): ZephError {
  return new ZephError("request_too_large", { detail: `too many bytes, a node takes ${MAX_BODY_BYTES}` });
}

async function readNamed(path: string): Promise<Uint8Array> {
  const bytes = await readRegularFile(path, { maxBytes: MAX_BODY_BYTES }).catch((cause: unknown) => {
    if (cause instanceof UnusableFile && cause.code === "too_large") throw tooLarge();
    const detail = cause instanceof UnusableFile ? cause.message : `${path} cannot be read`;
    throw new ZephError("missing_input", { detail, hint: "Name a file, or pipe the body in.", cause });
  });
  if (bytes === undefined) throw new ZephError("missing_input", { detail: `${path} does not exist` });
  return bytes;
}
