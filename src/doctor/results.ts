import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import type { CheckResult } from "./check.ts";

type Extras = Pick<CheckResult, "hint" | "code" | "data" | "fix">;

export function passed(detail: string, extras: Extras = {}): CheckResult {
  return { status: "ok", detail, ...extras };
}

export function warned(detail: string, extras: Extras = {}): CheckResult {
  return { status: "warn", detail, ...extras };
}

export function skipped(detail: string, extras: Extras = {}): CheckResult {
  return { status: "skip", detail, ...extras };
}

/** A failure in the words of its error. Whatever is not a `ZephError` is a fault of the doctor itself. */
export function failed(thrown: unknown, extras: Extras = {}): CheckResult {
  const error = toError(thrown);
  return { status: "fail", detail: error.message, hint: error.hint, code: error.code, ...extras };
}

function toError(thrown: unknown): ZephError {
  if (ZephError.is(thrown)) return thrown;
  const detail = scrub(thrown instanceof Error ? thrown.message : String(thrown));
  return new ZephError("internal", { detail, cause: thrown });
}
