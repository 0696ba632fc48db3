import { ZephError } from "../errors/zeph-error.ts";
import { type AtomicWrite, writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { changingFile } from "../internal/lock-file.ts";
import { faultsError } from "./fault.ts";
import { isFault, readFileLayer } from "./file-layer.ts";
import { readTextFile } from "./read-text-file.ts";

/** A config file that was written. */
export interface WrittenConfig extends AtomicWrite {
  /** What it said before; `undefined` when there was no file. */
  readonly previous: string | undefined;
  readonly text: string;
}

interface WriteOptions {
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * Writes a config file: readable by its owner only, in one step, the previous content kept beside it as
 * `config.toml.TIME.bak`. Nothing is written when the text is not TOML, or when the file says something else by now than
 * `previous`; no backup is made when nothing changes. Throws `config_invalid`, `file_unwritable`.
 */
export async function writeConfig(
  path: string,
  text: string,
  { previous, clock }: WriteOptions & { readonly previous?: string | undefined },
): Promise<WrittenConfig> {
  const layer = readFileLayer(path, text);
  if (isFault(layer)) throw faultsError([layer]);
  return changeConfig(
    path,
    (now) => {
      if (now === previous) return text;
      const hint = "Nothing was written. Run the command again.";
      throw new ZephError("file_unwritable", { detail: `${path} was changed by somebody else meanwhile`, hint });
    },
    { clock },
  );
}

/** As {@link writeConfig}, for a change that fits whatever the file says by now: of two at once, both are kept. */
export async function changeConfig(
  path: string,
  change: (previous: string | undefined) => string,
  { clock }: WriteOptions,
): Promise<WrittenConfig> {
  return changingFile(path, async (lock) => {
    const previous = await readTextFile(path);
    const text = change(previous);
    const layer = readFileLayer(path, text);
    if (isFault(layer)) throw faultsError([layer]);
    await lock.assertHeld();
    const backup = previous === text ? "none" : "timestamped";
    return { ...(await writeFileAtomic(path, text, { mode: 0o600, backup, clock })), previous, text };
  });
}
