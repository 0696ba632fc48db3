import { CATALOGUE, type CatalogueEntry, isZephErrorCode, type ZephErrorCode } from "./catalogue.ts";

/** Whether the network or broker may already have charged for the failed request. */
export type Charged = "no" | "maybe" | "yes";

/** One try at one endpoint, as it ended. Times are milliseconds. Holds no prompt, header or key. */
export interface AttemptRecord {
  readonly endpoint: string;
  readonly status?: number;
  readonly code: ZephErrorCode | "ok";
  readonly detail?: string;
  readonly elapsedMs: number;
  readonly charged: Charged;
  readonly requestId?: string;
}

export interface ZephErrorOptions {
  /** What exactly happened here: the server's own words (scrubbed), a path, a name. Never a secret. */
  readonly detail?: string;
  /** Replaces the catalogue's hint where the place knows better, such as a top-up page or the nearest model ids. */
  readonly hint?: string | undefined;
  /** HTTP status received, where there was one. */
  readonly status?: number;
  readonly requestId?: string;
  /** Every try that was made, in order. */
  readonly attempts?: readonly AttemptRecord[];
  readonly charged?: Charged;
  /** How long the server asked to wait. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * The one error class of zeph. Match on {@link ZephError.code}; the words come from the catalogue
 * (`docs/errors.md`).
 *
 * @example
 * ```ts
 * try { await gonka(url); } catch (error) {
 *   if (ZephError.is(error) && error.code === "insufficient_quota") console.error(error.hint);
 * }
 * ```
 */
export class ZephError extends Error {
  override readonly name = "ZephError";
  readonly code: ZephErrorCode;
  readonly summary: string;
  readonly detail: string | undefined;
  readonly hint: string;
  readonly exitCode: number;
  readonly httpStatus: number;
  readonly retryable: boolean;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly attempts: readonly AttemptRecord[];
  readonly charged: Charged;
  readonly retryAfterMs: number | undefined;

  constructor(code: ZephErrorCode, options: ZephErrorOptions = {}) {
    const entry: CatalogueEntry = CATALOGUE[code];
    super(
      options.detail === undefined ? entry.summary : `${entry.summary}: ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.summary = entry.summary;
    this.detail = options.detail;
    this.hint = options.hint ?? entry.hint;
    this.exitCode = entry.exitCode;
    this.httpStatus = entry.httpStatus;
    this.retryable = entry.retryable;
    this.status = options.status;
    this.requestId = options.requestId;
    this.attempts = options.attempts ?? [];
    this.charged = options.charged ?? "no";
    this.retryAfterMs = options.retryAfterMs;
  }

  /** True for any ZephError, also one made by another copy of this package. */
  static is(value: unknown): value is ZephError {
    return value instanceof Error && value.name === "ZephError" && "code" in value && isZephErrorCode(value.code);
  }

  /** The page that explains this code. */
  get docs(): string {
    return `docs/errors.md#${this.code}`;
  }

  /** Plain data for `--json` and logs: no stack, no cause, no secret. */
  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.summary,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      hint: this.hint,
      exitCode: this.exitCode,
      retryable: this.retryable,
      ...(this.status === undefined ? {} : { status: this.status }),
      ...(this.requestId === undefined ? {} : { requestId: this.requestId }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...(this.charged === "no" ? {} : { charged: this.charged }),
      ...(this.attempts.length === 0 ? {} : { attempts: this.attempts }),
    };
  }
}
