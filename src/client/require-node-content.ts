import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import { mediaParts } from "../protocol/media-parts.ts";
import { parseNodeModels } from "../protocol/node-models.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import type { OutgoingRequest } from "../transport/outgoing.ts";
import { readNode } from "./read-node.ts";

/** Most requests hold none of these words, and are not parsed. */
const MAY_HOLD_MEDIA = /"type"\s*:\s*"[^"]*(?:image|video|audio|file|document|media)/i;
/** What a model takes changes with an epoch at most. */
const LIST_TTL_MS = 10 * 60_000;
const LIST_TIMEOUT_MS = 4_000;
/** So many nodes are asked, one after the other, before the request goes out without the list's word. */
const MAX_ASKED = 3;

/**
 * Keeps images, sound and files away from models that do not take them, before anything is signed: throws
 * `unsupported_capability` where the network's model list (`input_modalities` of `GET /v1/models`) leaves the kind out. Nodes
 * themselves take content parts of any type (gonka-ai/gonka decentralized-api/completionapi/request_validation.go,
 * v0.2.13) and charge for the model server's refusal. A list that does not tell, or cannot be read, keeps nothing back.
 */
export function nodeContentCheck(fetch: FetchFunction, clock: Clock) {
  let list: { readonly models: ReadonlyMap<string, readonly string[]>; readonly readAtMs: number } | undefined;

  async function modalitiesOf(model: string, endpoints: readonly Endpoint[], signal: AbortSignal) {
    if (list === undefined || clock.nowMs() - list.readAtMs > LIST_TTL_MS) {
      const models = await readModalities(endpoints.slice(0, MAX_ASKED), { fetch, clock, signal });
      if (models === undefined) return [];
      list = { models, readAtMs: clock.nowMs() };
    }
    return list.models.get(model) ?? [];
  }

  return async (
    { path, body }: Pick<OutgoingRequest, "path" | "body">,
    endpoints: readonly Endpoint[],
    signal: AbortSignal,
  ): Promise<void> => {
    if (body === undefined || !path.startsWith("/chat/completions")) return;
    const request = parseIfMedia(new TextDecoder().decode(body));
    const { model, parts } = mediaParts(request);
    if (model === undefined || parts.length === 0) return;
    const taken = await modalitiesOf(model, endpoints, signal);
    const refused = taken.length === 0 ? undefined : parts.find(({ modality }) => !taken.includes(modality));
    if (refused === undefined) return;
    throw new ZephError("unsupported_capability", {
      detail: `${refused.at}: ${refused.type}; the network lists ${model} as a model that takes ${taken.join(", ")} (input_modalities)`,
      hint: `Leave it out and describe it, or choose a model that takes ${refused.modality}: \`zeph gonka models\`.`,
    });
  };
}

function parseIfMedia(text: string): unknown {
  if (!MAY_HOLD_MEDIA.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is the node's to refuse, in its own words.
    return undefined;
  }
}

async function readModalities(
  endpoints: readonly Endpoint[],
  reading: { readonly fetch: FetchFunction; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
  for (const { baseURL } of endpoints) {
    try {
      const { json } = await readNode(`${baseURL}/models`, { ...reading, timeoutMs: LIST_TIMEOUT_MS });
      return new Map(parseNodeModels(json).map(({ id, inputModalities }) => [id, inputModalities]));
    } catch (thrown) {
      if (reading.signal.aborted || !ZephError.is(thrown)) throw thrown;
      // The next one may tell; the request itself will say what is wrong with this one.
    }
  }
  return undefined;
}
