import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import type { BrokerRefusal } from "./broker-refusal.ts";

export type JsonBody =
  | { readonly kind: "body"; readonly value: unknown }
  | { readonly kind: "refused"; readonly refusal: BrokerRefusal };

/** Reads a JSON body of at most 10 MiB. A larger one is read to its end, so that the client hears why it was refused. */
export async function readJsonBody(request: Request): Promise<JsonBody> {
  const bytes = await readUpTo(request.body, NETWORK_LIMITS.maxBodyBytes);
  if (bytes === undefined) return { kind: "refused", refusal: { status: 413, message: "request body too large" } };
  try {
    return { kind: "body", value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) };
  } catch {
    return { kind: "refused", refusal: { status: 400, code: "invalid_request", message: "Invalid JSON body." } };
  }
}

async function readUpTo(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length <= maxBytes) chunks.push(chunk);
  }
  return length > maxBytes ? undefined : Buffer.concat(chunks);
}
