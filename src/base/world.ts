import type { Readable, Writable } from "node:stream";
import type { Secret } from "./secret.ts";
import type { Clock } from "./time.ts";

/** What only `cli/main` knows to fill in: the outside world. Tests bring their own. */
export interface World {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  /** The answer, and nothing else. */
  readonly stdout: TerminalStream;
  /** Questions, progress, notices, errors. */
  readonly stderr: TerminalStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly clock: Clock;
  readonly random: () => number;
  readonly fetch: FetchFunction;
  /** For `zeph serve`: as `fetch`, with less work per request. Absent: `fetch` itself. */
  readonly openServerFetch?: () => Promise<FetchFunction>;
  /** For `zeph launch`: how an agent is run. Absent: on this terminal. */
  readonly runAgent?: RunAgent;
  /** How the passphrase of the vault is found in a worker of `zeph serve`. Absent: a file or a question. */
  readonly passphraseOfFirst?: (() => Promise<Secret | undefined>) | undefined;
  /** For `zeph open`: hands a file to the desktop, and tells whether it was taken. Absent: the system's own way. */
  readonly openFile?: (path: string) => Promise<boolean>;
  /** Aborted by the first Ctrl-C (SIGINT) or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Everything a command may touch: the world, and the flags every command takes. */
export interface CliContext extends World {
  /** May questions be asked: stdin and stderr are terminals, and neither CI nor --yes says otherwise. */
  readonly interactive: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  /** Global flags that choose config and vault files, as given. */
  readonly paths: {
    readonly config?: string | undefined;
    readonly vaultKey?: string | undefined;
    readonly vaultFile?: string | undefined;
    readonly vaultBackend?: string | undefined;
  };
}

export type TerminalStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** A command's work: gets the context and its own parsed flags, returns the exit code, throws `ZephError`. */
export type RunCommand<Flags> = (context: CliContext, flags: Flags) => Promise<number>;

/** A coding agent that is about to be run. */
interface AgentProgram {
  /** Absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The private folder of the run, which goes with it. */
  readonly folder: string;
}

/** How the agent is run; in tests another way than `cli/launch/run-agent.ts`. */
export type RunAgent = (program: AgentProgram) => Promise<number>;

/** The one seam of zeph: what a client calls, and what a server is. Same shape as the global `fetch`. */
export type FetchFunction = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
