import { isZephErrorCode, type ZephErrorCode } from "../errors/catalogue.ts";
import type { AttemptRecord, Charged, ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";

/** What is remembered of a failed request: no prompt, no answer, no header, no key. */
export interface FailureEntry {
  /** Ours; short enough to type. */
  readonly id: string;
  readonly atMs: number;
  /** Name of the provider that was asked. */
  readonly provider: string;
  readonly model?: string;
  readonly code: ZephErrorCode;
  /** The server's own words, scrubbed. */
  readonly detail?: string;
  readonly hint: string;
  readonly status?: number;
  readonly requestId?: string;
  readonly charged: Charged;
  readonly retryAfterMs?: number;
  readonly attempts: readonly AttemptRecord[];
}

export interface FailureContext {
  readonly provider: string;
  readonly model?: string | undefined;
}

export function toFailureEntry(
  error: ZephError,
  { provider, model }: FailureContext,
  mark: { readonly id: string; readonly atMs: number },
): FailureEntry {
  const { code, detail, hint, status, requestId, charged, retryAfterMs, attempts } = error;
  return {
    ...mark,
    provider,
    ...(model === undefined ? {} : { model }),
    code,
    ...(detail === undefined ? {} : { detail: scrub(detail) }),
    hint: scrub(hint),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    charged,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    attempts: attempts.map((attempt) =>
      attempt.detail === undefined ? attempt : { ...attempt, detail: scrub(attempt.detail) },
    ),
  };
}

/** One line of the journal; undefined for what another version, or another program, has written there. */
export function parseFailureEntry(line: string): FailureEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // A line that a crash cut off is no entry.
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { id, atMs, provider, code, hint, attempts } = value as Partial<FailureEntry>;
  const isEntry =
    typeof id === "string" &&
    typeof atMs === "number" &&
    typeof provider === "string" &&
    isZephErrorCode(code) &&
    typeof hint === "string" &&
    Array.isArray(attempts);
  return isEntry ? (value as FailureEntry) : undefined;
}
