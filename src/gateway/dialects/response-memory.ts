import { asText, type JsonObject } from "./dialect.ts";

/** A response that later requests may refer to. */
export interface KeptResponse {
  readonly id: string;
  /** Everything the model was shown, as items; without the instructions, which belong to one request only. */
  readonly input: readonly JsonObject[];
  readonly document: JsonObject;
}

/** Where responses with `store` are kept for `previous_response_id` and `item_reference`. */
export interface ResponseMemory {
  keep(response: KeptResponse): void;
  find(id: string): KeptResponse | undefined;
  /** An item of a kept response by its id. */
  item(id: string): JsonObject | undefined;
  forget(id: string): boolean;
}

/**
 * Keeps the latest responses in memory: nothing reaches the disk, and all are gone when the program ends. The oldest go
 * first. A conversation of many turns counts in full for each of them.
 */
export function responseMemory({ maxResponses = 256, maxBytes = 64 * 1024 * 1024 } = {}): ResponseMemory {
  const kept = new Map<string, { readonly response: KeptResponse; readonly bytes: number }>();
  const items = new Map<string, { readonly item: JsonObject; readonly owner: string }>();
  let bytes = 0;

  function forget(id: string): boolean {
    const entry = kept.get(id);
    if (entry === undefined) return false;
    kept.delete(id);
    bytes -= entry.bytes;
    for (const item of ownItems(entry.response)) {
      if (items.get(String(item.id))?.owner === id) items.delete(String(item.id));
    }
    return true;
  }

  return {
    keep(response) {
      forget(response.id);
      const size = Buffer.byteLength(JSON.stringify([response.input, response.document]));
      if (size > maxBytes) return;
      kept.set(response.id, { response, bytes: size });
      bytes += size;
      for (const item of ownItems(response)) {
        const id = asText(item.id);
        if (id !== undefined) items.set(id, { item, owner: response.id });
      }
      for (const oldest of kept.keys()) {
        if (kept.size <= maxResponses && bytes <= maxBytes) break;
        forget(oldest);
      }
    },
    find: (id) => kept.get(id)?.response,
    item: (id) => items.get(id)?.item,
    forget,
  };
}

/** What the caller sent and what came back: both can be referred to. */
function ownItems({ input, document }: KeptResponse): readonly JsonObject[] {
  return [...input, ...(document.output as readonly JsonObject[])];
}
