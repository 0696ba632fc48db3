import type { ProviderConfig } from "../config/provider.ts";
import type { Setup } from "../provider/setup.ts";

/**
 * The same set-up, its providers asked once only: the doctor tells how things are now, and a server's wish to wait would
 * use up the deadline that its own words should fill.
 */
export function singleAttempt(setup: Setup): Setup {
  const { loaded } = setup;
  const once = (provider: ProviderConfig): ProviderConfig =>
    provider.type === "other" ? provider : { ...provider, maxAttempts: 1, maxConcurrent: undefined };
  return {
    ...setup,
    loaded: { ...loaded, config: { ...loaded.config, providers: loaded.config.providers.map(once) } },
  };
}
