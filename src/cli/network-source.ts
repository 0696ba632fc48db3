import type { ReadNodeOptions } from "../client/read-node.ts";
import type { GonkaProvider } from "../config/provider.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { DEFAULT_PREFIX, parsePrefix } from "../protocol/address.ts";
import { normalizeBaseURL } from "../protocol/endpoint.ts";
import type { Setup } from "../provider/setup.ts";
import type { CliContext } from "./context.ts";
import { setupOf } from "./setup.ts";

/** Flags of every command that looks at a network. */
export interface NetworkFlags {
  /** `--source-url URL`: the node to ask; default the configured provider's. */
  readonly sourceUrl?: string;
  readonly provider?: string;
}

/** A node to ask about its network. */
export interface NetworkSource {
  /** Ends in `/v1`. */
  readonly source: string;
  readonly prefix: string;
  /** What its list of nodes must follow from, where the config pins something. */
  readonly trust: GonkaProvider["trust"];
  readonly reading: ReadNodeOptions;
}

/**
 * The node that `--source-url` names, else the configured native provider's source or first node. There is no default
 * host. Throws `missing_input`, `wrong_url`, and what a broken configuration throws.
 */
export async function networkSource(
  context: CliContext,
  { sourceUrl, provider }: NetworkFlags,
): Promise<NetworkSource> {
  const { fetch, clock, signal } = context;
  const reading = { fetch, clock, signal };
  if (sourceUrl !== undefined) {
    const setup = await setupOf(context).catch(() => undefined);
    const prefix =
      setup === undefined ? DEFAULT_PREFIX : (nativeProvider(setup, provider)?.chainPrefix ?? DEFAULT_PREFIX);
    return { source: normalizeBaseURL(sourceUrl), prefix: parsePrefix(prefix), trust: {}, reading };
  }
  const config = nativeProvider(await setupOf(context), provider);
  const configured = config?.sourceUrl ?? config?.nodes[0]?.url;
  if (config === undefined || configured === undefined) {
    throw new ZephError("missing_input", {
      detail: "no native provider is configured, so there is no node to ask",
      hint: "Name one with --source-url URL, for example a node of the network, or run `zeph init`.",
    });
  }
  return { source: normalizeBaseURL(configured), prefix: config.chainPrefix, trust: config.trust, reading };
}

/** The native provider of this name, else the default one, else the first. Throws `provider_not_found`. */
export function nativeProvider({ loaded }: Setup, name: string | undefined): GonkaProvider | undefined {
  const native = loaded.config.providers.filter((config) => config.type === "gonka");
  if (name === undefined) return native.find(({ isDefault }) => isDefault) ?? native[0];
  const found = native.find((config) => config.name === name);
  if (found !== undefined) return found;
  const names = native.map((config) => config.name).join(", ");
  throw new ZephError("provider_not_found", {
    detail: `"${name}" is no native provider${names === "" ? "" : `; there are: ${names}`}`,
  });
}
