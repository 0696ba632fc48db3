import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import type { CliContext } from "./context.ts";
import { readStdin } from "./read-stdin.ts";

/** What a node takes at most, 10 MiB. */
const MAX_BODY_BYTES = 10_485_760;

/**
 * The bytes of a file, or of standard input up to its end, untouched: a final line break is part of them. Throws
 * `missing_input`, `request_too_large`.
 */
export async function readBody(context: CliContext, file: string | undefined): Promise<Uint8Array> {
  const bytes = file === undefined ? await readPiped(context) : await readNamed(resolve(context.cwd, file));
  if (bytes.length <= MAX_BODY_BYTES) return bytes;
  throw tooLarge(bytes.length);
}

async function readPiped(context: CliContext): Promise<Uint8Array> {
  if (context.stdin.isTTY === true) {
    throw new ZephError("missing_input", {
      detail: "the body of the request",
      hint: "Give it with --file PATH, or pipe it in.",
    });
  }
  return readStdin(context, { maxBytes: MAX_BODY_BYTES, tooMuch: () => tooLarge("too many") });
}

function tooLarge(size: number | "too many"): ZephError {
  return new ZephError("request_too_large", { detail: `${size} bytes, a node takes ${MAX_BODY_BYTES}` });
}

async function readNamed(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new ZephError("missing_input", { detail: `${path} cannot be read`, cause });
  }
}
