import { ZephError } from "../errors/zeph-error.ts";
import { asObject } from "../protocol/json/measure-json.ts";
import type { JsonObject } from "../protocol/json/read-value.ts";

export { asObject, type JsonObject };

/** A request body: its text as it came, and what it means. */
export interface JsonBody {
  readonly text: string;
  readonly value: JsonObject;
}

/** What reading a body may cost. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Called with bytes before they are held. Throws when all requests together hold too much. */
  readonly reserve: (bytes: number) => void;
}

/** Reads a JSON object. Throws `request_too_large`, `invalid_request`, and what `reserve` throws. */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<JsonBody> {
  const text = decode(await readBytes(request, limits));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words would repeat a piece of the body.
    throw new ZephError("invalid_request", { detail: "the body is not valid JSON" });
  }
  const object = asObject(value);
  if (object === undefined) throw new ZephError("invalid_request", { detail: "the body must be a JSON object" });
  return { text, value: object };
}

async function readBytes(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const { maxBytes, reserve } = limits;
  const announced = request.headers.get("content-length");
  if (announced === null) return readChunked(request.body, limits);
  if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
  reserve(Number(announced));
  // A server lets no more bytes pass than were announced, so the fast way of reading them is safe.
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes);
  return bytes;
}

async function readChunked(
  body: ReadableStream<Uint8Array> | null,
  { maxBytes, reserve }: BodyLimits,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    reserve(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): ZephError {
  return new ZephError("request_too_large", { detail: `more than ${maxBytes} bytes` });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    // The only complaint a fatal decoder has.
    throw new ZephError("invalid_request", { detail: "the body is not valid UTF-8" });
  }
}
