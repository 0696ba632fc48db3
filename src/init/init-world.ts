import type { Readable, Writable } from "node:stream";
import type { Clock } from "../internal/clock.ts";
import type { Secret } from "../internal/secret.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import type { AskPassphrase, VaultPaths } from "../vault/index.ts";

/** What set-up needs of the outside world. A command's context has all of it but the last three. */
export interface InitWorld {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** Questions, progress and notices. */
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly clock: Clock;
  readonly random: () => number;
  readonly fetch: FetchFunction;
  readonly signal: AbortSignal;
  /** May questions be asked? */
  readonly interactive: boolean;
  readonly paths: {
    readonly config?: string;
    readonly vaultKey?: string;
    readonly vaultFile?: string;
    readonly vaultBackend?: string;
  };
  readonly vaultPaths: VaultPaths;
  /** Asked when the vault that is there has a passphrase. */
  readonly askPassphrase: AskPassphrase;
  /** The secret piped in for `--key-stdin`. */
  readonly readStdinSecret: () => Promise<Secret>;
}
