import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";

const ENTRY_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;

/**
 * Refuses a name that no secret should have. The name is not repeated: in `zeph vault set gp-…` it is the secret that
 * was typed in its place. Throws `usage`, or `secret_on_command_line` when it looks like a secret.
 */
export function assertEntryName(name: string): void {
  if (scrub(name) === "[redacted]") {
    throw new ZephError("secret_on_command_line", { detail: "what was given as the name looks like a secret" });
  }
  if (!ENTRY_NAME.test(name)) {
    throw new ZephError("usage", {
      detail: "this is not a name for a secret",
      hint: "A name has letters, digits, _, . and -, begins with a letter or _, and has at most 128 characters, such as ZEPH_SECRET_GITHUB.",
    });
  }
}
