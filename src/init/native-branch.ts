import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { BranchOutcome } from "./branch-outcome.ts";
import type { InitSession } from "./init-session.ts";
export async function nativeBranch(
  _session: InitSession,
  _start: { readonly pasted?: Secret },
): Promise<BranchOutcome> {
  throw new ZephError("internal");
}
