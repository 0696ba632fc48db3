import { ZephError } from "../../src/errors.ts";

/** The `ZephError` a call throws; any other outcome fails the test. */
export function thrownBy(call: () => unknown): ZephError {
  try {
    call();
  } catch (error) {
    if (error instanceof ZephError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Everything an error could show somewhere: its words, its JSON, its stack. */
export function shownBy(error: ZephError): string {
  return [error.message, error.hint, JSON.stringify(error), error.stack, String(error.cause)].join("\n");
}
