import type { Secret } from "../internal/secret.ts";

export interface Choice<Value> {
  readonly value: Value;
  readonly label: string;
  readonly hint?: string;
}

/** What is wrong with an input, in words; `undefined` when nothing is. Asked again in place until then. */
type Check<Value> = (value: Value) => string | undefined;

/** Questions to the person at the terminal. Every one throws `cancelled` for Ctrl-C. */
export interface Ask {
  select<Value>(question: {
    readonly message: string;
    readonly choices: readonly Choice<Value>[];
    /** The choice that plain Enter takes; default the first. */
    readonly initial?: Value;
  }): Promise<Value>;
  /** Input that is not shown. `check` must not repeat the value. */
  hidden(question: { readonly message: string; readonly check?: Check<Secret> }): Promise<Secret>;
  text(question: {
    readonly message: string;
    readonly initial?: string;
    readonly placeholder?: string;
    readonly check?: Check<string>;
  }): Promise<string>;
  /** `initial` is what plain Enter means; default no. */
  confirm(question: { readonly message: string; readonly initial?: boolean }): Promise<boolean>;
}
