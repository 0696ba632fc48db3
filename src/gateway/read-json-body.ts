import { setImmediate } from "node:timers/promises";
import { ZephError } from "../errors/zeph-error.ts";
import { excessWords, type JsonExcess, type JsonLimits, jsonScanner } from "../internal/scan-json.ts";
import { asObject } from "../protocol/json/measure-json.ts";
import type { JsonObject } from "../protocol/json/read-value.ts";
import { MAX_ENTRIES, tooMany } from "./clean-up/invalid.ts";
import type { GatewayRequest } from "./gateway-request.ts";

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

/**
 * What a request may hold, far beyond what programs send. It is counted while the bytes arrive, so that a request that
 * goes beyond costs nothing but these bytes.
 */
const REQUEST_LIMITS: JsonLimits = {
  maxDepth: 512,
  maxFields: 100_000,
  maxFieldsOfOne: 10_000,
  maxContainers: 100_000,
  // Embeddings take lists of tokens: 300,000 in one request.
  maxValues: 500_000,
  maxEntries: MAX_ENTRIES,
};

/** Bodies beyond this are worked on in turns, so that other requests go on in between. */
const LARGE_BODY_CHARS = 64 * 1024;

/** Lets everything else of the process have its turn, when the body at hand is a large one. */
export async function takeTurns(text: string): Promise<void> {
  if (text.length > LARGE_BODY_CHARS) await setImmediate();
}

/** Reads a JSON object. Throws `request_too_large`, `invalid_request`, and what `reserve` throws. */
export async function readJsonBody(request: GatewayRequest, limits: BodyLimits): Promise<JsonBody> {
  const text = decode(await readBytes(request, limits));
  await takeTurns(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own words would repeat a piece of the body.
    throw new ZephError("invalid_request", { detail: "the body is not valid JSON" });
  }
  const object = asObject(value);
  if (object === undefined) throw new ZephError("invalid_request", { detail: "the body must be a JSON object" });
  await takeTurns(text);
  return { text, value: object };
}

async function readBytes(request: GatewayRequest, { maxBytes, reserve }: BodyLimits): Promise<Uint8Array> {
  const scanner = jsonScanner(REQUEST_LIMITS);
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    reserve(Number(announced));
    // A server lets no more bytes pass than were announced, so the fast way of reading them is safe.
    const bytes = Buffer.from(await request.arrayBuffer());
    if (bytes.byteLength > maxBytes) throw tooLarge(maxBytes);
    refuseExcess(scanner.push(bytes));
    return bytes;
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    reserve(chunk.byteLength);
    refuseExcess(scanner.push(chunk));
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuseExcess(excess: JsonExcess | undefined): void {
  if (excess === undefined) return;
  const { list } = excess;
  if (list === "messages" || list === "tools" || list === "functions") throw tooMany(list);
  throw new ZephError("request_too_large", {
    detail: `more than ${excessWords(excess)}`,
    hint: "Leave out what the model does not need; long texts may stay.",
  });
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
