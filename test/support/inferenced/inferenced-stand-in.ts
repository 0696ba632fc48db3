import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";

export interface StandInOptions {
  /** What `inferenced version` prints. Default `v0.2.13`. */
  readonly version?: string;
  readonly prefix?: string;
  /** Commands that never end, such as `keys export`. */
  readonly hang?: readonly string[];
  /** Locks the backends `file` and `os`. */
  readonly passphrase?: string;
  /** `discreet`: secrets go to an alternate screen unless `--indiscreet` is given. Default `direct`. */
  readonly secrets?: "direct" | "discreet";
  /** Default `stdout`. */
  readonly keyStream?: "stdout" | "stderr";
  /** Whether `keys export` knows `-y`. Default `yes`. */
  readonly exportYes?: "yes" | "no";
}

/** The folder that holds the stand-in: `inferenced`, and `inferenced.cmd` for Windows. */
export const INFERENCED_FOLDER = fileURLToPath(new URL("./", import.meta.url));

/**
 * Environment variables with which a child finds the stand-in as `inferenced`.
 *
 * @param home becomes HOME, so that the default keyring is `<home>/.inference`
 * @example spawn("inferenced", ["version"], { env: inferencedEnvironment(home, { version: "v0.2.9" }) })
 */
export function inferencedEnvironment(home: string, options: StandInOptions = {}): Record<string, string> {
  const chosen: Record<string, string | undefined> = {
    STANDIN_INFERENCED_VERSION: options.version,
    STANDIN_INFERENCED_PREFIX: options.prefix,
    STANDIN_INFERENCED_HANG: options.hang?.join(","),
    STANDIN_INFERENCED_PASSPHRASE: options.passphrase,
    STANDIN_INFERENCED_SECRETS: options.secrets,
    STANDIN_INFERENCED_KEY_STREAM: options.keyStream,
    STANDIN_INFERENCED_EXPORT_YES: options.exportYes,
  };
  const set = Object.entries(chosen).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    // Windows finds neither node nor the command interpreter without these.
    ...(process.env.SystemRoot === undefined ? {} : { SystemRoot: process.env.SystemRoot, PATHEXT: ".EXE;.CMD" }),
    PATH: `${INFERENCED_FOLDER}${delimiter}${process.env.PATH ?? ""}`,
    HOME: home,
    USERPROFILE: home,
    ...Object.fromEntries(set),
  };
}
