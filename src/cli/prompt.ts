import type { CANCEL_SYMBOL } from "@clack/prompts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { CliContext } from "./context.ts";

export interface PromptHiddenOptions {
  /** What is wrong with the input, in words that do not repeat it; it is then asked again in place. */
  readonly validate?: (value: Secret) => string | undefined;
}

export interface PromptTextOptions {
  readonly initial?: string;
  readonly placeholder?: string;
  /** What is wrong with the input; it is then asked again in place. */
  readonly validate?: (value: string) => string | undefined;
}

export interface PromptConfirmOptions {
  /** What plain Enter means. Default false. */
  readonly initial?: boolean;
}

/**
 * Asks for a secret on the terminal without showing it. An empty input is asked again. Throws `not_interactive` without
 * a terminal and `cancelled` for Ctrl-C.
 */
export async function promptHidden(
  context: CliContext,
  message: string,
  { validate }: PromptHiddenOptions = {},
): Promise<Secret> {
  const { password } = await loadClack(context);
  const check = (value = "") => (value === "" ? "Nothing was typed." : validate?.(new Secret(value)));
  return new Secret(unlessCancelled(await password({ ...streams(context), message, validate: check })));
}

/** Asks for a line of text. Throws as {@link promptHidden} does. */
export async function promptText(
  context: CliContext,
  message: string,
  { validate, initial, placeholder }: PromptTextOptions = {},
): Promise<string> {
  const { text } = await loadClack(context);
  const answer = await text({
    ...streams(context),
    message,
    validate: (value = "") => validate?.(value),
    ...(initial === undefined ? {} : { initialValue: initial }),
    ...(placeholder === undefined ? {} : { placeholder }),
  });
  // clack gives undefined for an input that was left empty.
  return unlessCancelled<string | undefined>(answer) ?? "";
}

/** Asks for yes or no. Throws as {@link promptHidden} does. */
export async function promptConfirm(
  context: CliContext,
  message: string,
  { initial = false }: PromptConfirmOptions = {},
): Promise<boolean> {
  const { confirm } = await loadClack(context);
  return unlessCancelled(await confirm({ ...streams(context), message, initialValue: initial }));
}

/** Lets the user choose one of several. Throws as {@link promptHidden} does. */
export async function promptSelect<Value>(
  context: CliContext,
  message: string,
  choices: readonly { readonly value: Value; readonly label: string; readonly hint?: string | undefined }[],
): Promise<Value> {
  const { select } = await loadClack(context);
  // Numbers stand for the values: clack's own types tell values apart by what they are made of.
  const options = choices.map(({ label, hint }, value) => ({ value, label, ...(hint === undefined ? {} : { hint }) }));
  const chosen = choices[unlessCancelled(await select({ ...streams(context), message, options }))];
  if (chosen === undefined) throw new ZephError("cancelled");
  return chosen.value;
}

/** Loaded only when something is asked: most runs of most commands ask nothing. */
async function loadClack(context: CliContext): Promise<typeof import("@clack/prompts")> {
  if (!context.interactive) throw new ZephError("not_interactive");
  return import("@clack/prompts");
}

function streams({ stdin, stderr, signal }: CliContext) {
  return { input: stdin, output: stderr, signal };
}

/** clack answers Ctrl-C with a symbol in the place of the value; here it becomes an error, once. */
function unlessCancelled<T>(answer: T | typeof CANCEL_SYMBOL): T {
  if (typeof answer === "symbol") throw new ZephError("cancelled");
  return answer;
}
