import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import type { CliContext } from "./context.ts";

/** What a node takes at most, 10 MiB. */
const MAX_BODY_BYTES = 10_485_760;

/**
 * The bytes of a file, or of standard input up to its end, untouched: a final line break is part of them. Throws
 * `missing_input`, `request_too_large`.
 */
export async function readBody(context: CliContext, file: string | undefined): Promise<Uint8Array> {
  const bytes = file === undefined ? await readStdin(context) : await readNamed(resolve(context.cwd, file));
  if (bytes.length <= MAX_BODY_BYTES) return bytes;
  throw new ZephError("request_too_large", { detail: `${bytes.length} bytes, a node takes ${MAX_BODY_BYTES}` });
}

async function readStdin({ stdin }: CliContext): Promise<Uint8Array> {
  if (stdin.isTTY === true) {
    throw new ZephError("missing_input", {
      detail: "the body of the request",
      hint: "Give it with --file PATH, or pipe it in.",
    });
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    chunks.push(bytes);
    if (length > MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks);
}

async function readNamed(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new ZephError("missing_input", { detail: `${path} cannot be read`, cause });
  }
}
