export const CHAT_PATH = "/v1/chat/completions";
export const COMPLETIONS_PATH = "/v1/completions";

/** One request for inference as it came over the wire. */
export interface IncomingCall {
  readonly path: typeof CHAT_PATH | typeof COMPLETIONS_PATH;
  /** The first value of a header, as Go's `Header.Get` gives it. */
  header(name: string): string | undefined;
  /** The bytes received, never re-serialised: they are what was signed. */
  readonly body: Buffer;
}
