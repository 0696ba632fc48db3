import { ZephError } from "../errors/zeph-error.ts";
import { untilAborted } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import { type Endpoint, endpointLabel } from "../protocol/endpoint.ts";
import { isClassicInferenceRetired, type NodeVersions, parseVersions } from "../protocol/versions.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { readNode } from "./read-node.ts";

/** How long a node's version is believed. */
const VERSION_TTL_MS = 10 * 60_000;
/** A node that does not tell its version quickly is asked by the request itself. */
const VERSION_TIMEOUT_MS = 3_000;

/**
 * Keeps prompts away from nodes that would only answer 410: asks `GET /v1/versions` once in a while and throws
 * `native_closed` from v0.2.14 on. A node that does not tell is admitted; its own answer then decides.
 */
export function versionGate(
  fetch: FetchFunction,
  clock: Clock,
): (endpoint: Endpoint, signal: AbortSignal) => Promise<void> {
  const known = new Map<string, { readonly versions: Promise<NodeVersions | undefined>; readonly readAtMs: number }>();
  return async (endpoint, signal) => {
    let entry = known.get(endpoint.baseURL);
    if (entry === undefined || clock.nowMs() - entry.readAtMs > VERSION_TTL_MS) {
      entry = { versions: readVersions(endpoint.baseURL, fetch, clock), readAtMs: clock.nowMs() };
      // Networks change their nodes; those that are gone are asked for no more.
      for (const [baseURL, { readAtMs }] of known) if (clock.nowMs() - readAtMs > VERSION_TTL_MS) known.delete(baseURL);
      known.set(endpoint.baseURL, entry);
    }
    const versions = await untilAborted(entry.versions, signal);
    if (!isClassicInferenceRetired(versions?.apiVersion)) return;
    throw new ZephError("native_closed", {
      detail: `${endpointLabel(endpoint)} runs ${versions?.apiVersionText ?? "a newer version"}; nothing was sent to it`,
    });
  };
}

/** Shared by the requests that wait for it, so it follows no single caller's signal. */
async function readVersions(baseURL: string, fetch: FetchFunction, clock: Clock): Promise<NodeVersions | undefined> {
  try {
    const { json } = await readNode(`${baseURL}/versions`, { fetch, clock, timeoutMs: VERSION_TIMEOUT_MS });
    return parseVersions(json);
  } catch {
    // No readable answer says nothing about signed requests: older nodes have no such route.
    return undefined;
  }
}
