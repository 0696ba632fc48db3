import { type AtomicWrite, writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { faultsError } from "./fault.ts";
import { isFault, readFileLayer } from "./file-layer.ts";

/**
 * Writes a config file: readable by its owner only, in one step, the previous content kept beside it as
 * `config.toml.TIME.bak`. Nothing is written when the text is not TOML, and no backup is made when nothing changes.
 * Throws `config_invalid`, `file_unwritable`.
 */
export async function writeConfig(
  path: string,
  text: string,
  options: { readonly previous?: string | undefined; readonly clock: Pick<Clock, "nowMs"> },
): Promise<AtomicWrite> {
  const layer = readFileLayer(path, text);
  if (isFault(layer)) throw faultsError([layer]);
  const backup = options.previous === text ? "none" : "timestamped";
  return writeFileAtomic(path, text, { mode: 0o600, backup, clock: options.clock });
}
