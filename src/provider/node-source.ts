import { createHash } from "node:crypto";
import { join } from "node:path";
import { discoverEndpoints } from "../client/discover-endpoints.ts";
import { type CachedEndpoints, type EndpointCache, endpointSource } from "../client/endpoint-source.ts";
import { zephFolders } from "../config/paths.ts";
import type { GonkaProvider } from "../config/provider.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { readRegularText } from "../internal/regular-file.ts";
import { isAddress } from "../protocol/address.ts";
import type { Setup } from "./setup.ts";

/** Larger ones were not written by us. */
const MAX_BYTES = 4 * 1024 * 1024;

/** The nodes of a provider that names only a source: discovered, and remembered between runs for a few minutes. */
export function nodeSource(
  { world }: Setup,
  config: GonkaProvider,
): { readonly discover?: ReturnType<typeof endpointSource> } {
  const { sourceUrl, chainPrefix, model, trust } = config;
  if (sourceUrl === undefined) return {};
  const { fetch, clock, random } = world;
  const name = createHash("sha256")
    .update(JSON.stringify([sourceUrl, chainPrefix, model, trust]))
    .digest("hex")
    .slice(0, 16);
  return {
    discover: endpointSource({
      discover: () =>
        discoverEndpoints({
          sourceUrl,
          prefix: chainPrefix,
          trust,
          fetch,
          clock,
          random,
          ...(model === undefined ? {} : { model }),
        }),
      cache: fileCache(join(zephFolders(world).cache, `nodes-${name}.json`), chainPrefix),
      clock,
    }),
  };
}

/** A cache is a convenience: what cannot be read or written is as good as not there. */
function fileCache(path: string, prefix: string): EndpointCache {
  return {
    async load() {
      try {
        return parseCache(JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? ""), prefix);
      } catch {
        // Missing, unreadable or damaged: discovery will be asked instead.
        return undefined;
      }
    },
    async save(cached) {
      await writeFileAtomic(path, `${JSON.stringify(cached)}\n`).catch(() => {
        // A full or read-only disk must not keep a chat from going on.
      });
    },
  };
}

function parseCache(value: unknown, prefix: string): CachedEndpoints | undefined {
  if (typeof value !== "object" || value === null || !("readAtMs" in value) || !("endpoints" in value))
    return undefined;
  const { readAtMs, endpoints } = value;
  if (typeof readAtMs !== "number" || !Array.isArray(endpoints)) return undefined;
  const usable = endpoints.filter(
    (endpoint): endpoint is { baseURL: string; address: string } =>
      typeof endpoint?.baseURL === "string" &&
      URL.canParse(endpoint.baseURL) &&
      isAddress(endpoint?.address, { prefix }),
  );
  const epochId = "epochId" in value && /^\d{1,20}$/.test(String(value.epochId)) ? String(value.epochId) : undefined;
  return { readAtMs, endpoints: usable.map(({ baseURL, address }) => ({ baseURL, address })), epochId };
}
