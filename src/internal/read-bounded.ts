import { ZephError } from "../errors/zeph-error.ts";

/** Reads a body as bytes, at most `maxBytes`; beyond that the stream is cancelled and `response_too_large` thrown. */
export async function readBounded(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      throw new ZephError("response_too_large", { detail: `more than ${maxBytes} bytes` });
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** As {@link readBounded}, decoded as UTF-8 (invalid sequences become U+FFFD). */
export async function readBoundedText(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<string> {
  return new TextDecoder().decode(await readBounded(body, maxBytes));
}
