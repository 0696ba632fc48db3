const MASK = "[redacted]";

/**
 * A string that does not print. `String(secret)`, `JSON.stringify`, template literals and `util.inspect` give a mask;
 * only {@link Secret.reveal} gives the value, so that every use of it can be found by searching for that word.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Accepts either form, for options that callers may give as a plain string. */
  static from(value: string | Secret): Secret {
    return value instanceof Secret ? value : new Secret(value);
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  /** Node's `util.inspect` asks for this symbol; naming it through the registry keeps Node out of the import graph. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return MASK;
  }
}

/** Headers whose values may appear in logs, errors and journals. Everything else is shown as `[redacted]`. */
const LOGGABLE_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "cf-ray",
  "content-length",
  "content-type",
  "date",
  "deprecation",
  "link",
  "request-id",
  "retry-after",
  "server",
  "user-agent",
  "x-correlation-id",
  "x-devshard-id",
  "x-gonkagate-request-id",
  "x-request-id",
  "x-requestid",
  "x-should-retry",
]);

/** Headers as a loggable object: values outside the allow-list are masked. */
export function redactHeaders(headers: Headers): Record<string, string> {
  const shown: Record<string, string> = {};
  for (const [name, value] of headers) shown[name] = LOGGABLE_HEADERS.has(name) ? value : "[redacted]";
  return shown;
}

/**
 * Shapes of secrets that must not travel further when a server repeats them: broker keys, bearer words, age
 * identities, 64 hex digits (a private key) and 88-character signatures.
 */
const SECRET_SHAPES: readonly RegExp[] = [
  /\bBearer\s+\S+/gi,
  /\b(?:gp|gpm|gnk-sk|jg|obk|sk)-[A-Za-z0-9_-]{6,}/g,
  /AGE-SECRET-KEY-1[0-9A-Z]+/gi,
  /\b(?:0x)?[0-9a-fA-F]{64}\b/g,
  /[A-Za-z0-9+/]{86}==/g,
];

/** A text of any length, with `[redacted]` where something has the shape of a secret. */
export function maskSecretShapes(text: string): string {
  return SECRET_SHAPES.reduce((masked, shape) => masked.replace(shape, "[redacted]"), text);
}

/** Longest piece of a server's own words that is shown. */
const MAX_DETAIL_CHARS = 300;

/** A server's words made fit to show: one line, bounded, without control characters and without secrets. */
export function scrub(text: string, secrets: readonly string[] = []): string {
  let clean = text.slice(0, 4 * MAX_DETAIL_CHARS);
  for (const secret of secrets) if (secret.length >= 6) clean = clean.replaceAll(secret, "[redacted]");
  for (const shape of SECRET_SHAPES) clean = clean.replace(shape, "[redacted]");
  // Control characters could move the cursor or colour the terminal of whoever reads the message.
  clean = clean
    .replace(/[\p{Cc}\p{Cf}]+/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
  return clean.length > MAX_DETAIL_CHARS ? `${clean.slice(0, MAX_DETAIL_CHARS - 1)}…` : clean;
}

/** An address fit to show: without user, password, query and fragment. */
export function redactUrl(url: string | URL): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  } catch {
    // Not an absolute URL: nothing of it can be trusted to be free of credentials.
    return "[invalid url]";
  }
}
