import { ZephError } from "../../errors/zeph-error.ts";

/** The field's path stands first: the answer's `param` is taken from there. */
export function invalid(at: string, problem: string): ZephError {
  return new ZephError("invalid_request", { detail: `${at}: ${problem}` });
}
