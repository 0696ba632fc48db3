import { asObject, type JsonObject, parseForeignJson } from "../../base/json.ts";
import type { KeptTexts } from "../../base/kept-texts.ts";
import { asList } from "./dialect.ts";
import { type KeptResponse, ownItems, type ResponseMemory, responseMemory } from "./responses.ts";

/** A request may name many items; those of a long conversation come from few answers. */
const MOST_LOOKUPS = 64;

/**
 * The memory that one request is read with: what it refers to is fetched first, so that reading it waits for nothing.
 * What comes of the request is put into the store.
 */
export async function sharedMemory(store: KeptTexts, body: JsonObject): Promise<ResponseMemory> {
  const fetched = responseMemory();
  const take = (text: string | undefined) => {
    const response = parseKept(text);
    if (response !== undefined) fetched.keep(response);
  };
  const { previous_response_id: previousId } = body;
  if (typeof previousId === "string") take(await store.get(previousId));
  let lookups = 0;
  for (const value of asList(body.input)) {
    const { type, role, id } = asObject(value) ?? {};
    const isReference = type === "item_reference" || (type === undefined && role === undefined);
    if (!isReference || typeof id !== "string" || fetched.item(id) !== undefined) continue;
    lookups += 1;
    if (lookups > MOST_LOOKUPS) break;
    take(await store.find(id));
  }
  return {
    ...fetched,
    keep(response) {
      const ids = ownItems(response).flatMap(({ id }) => (typeof id === "string" ? [id] : []));
      store.put({ id: response.id, names: [...new Set(ids)], text: JSON.stringify(response) });
    },
  };
}

/** A kept answer's own document, for GET. */
export async function storedDocument(store: KeptTexts, id: string): Promise<JsonObject | undefined> {
  return parseKept(await store.get(id))?.document;
}

/** What another version, or another program, has put there counts as absent. */
function parseKept(text: string | undefined): KeptResponse | undefined {
  if (text === undefined) return undefined;
  try {
    const { id, input, document } = asObject(parseForeignJson(text)) ?? {};
    const items = asList(input)
      .map(asObject)
      .filter((item) => item !== undefined);
    const known = asObject(document);
    const isWhole = typeof id === "string" && known !== undefined && Array.isArray(known.output);
    return isWhole ? { id, input: items, document: known } : undefined;
  } catch {
    return undefined;
  }
}
