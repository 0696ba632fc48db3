/** Structured debug events. The default is silence; the CLI prints them with --verbose. */
export interface Logger {
  debug(event: string, fields?: Readonly<Record<string, string | number | boolean | undefined>>): void;
}

export const silentLogger: Logger = { debug: () => {} };
