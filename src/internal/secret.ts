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
