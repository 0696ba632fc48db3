import type { ZephErrorCode } from "../errors/catalogue.ts";
import type { DoctorFacts } from "./facts.ts";

/** `skip`: could not be looked at, because something it needs is broken or not offered. */
export type CheckStatus = "ok" | "warn" | "fail" | "skip";

/** What a check found, as data. Words are scrubbed by the runner before anybody sees them. */
export interface CheckResult {
  readonly status: CheckStatus;
  /** What was found, one sentence. */
  readonly detail: string;
  /** What to type or do next. */
  readonly hint?: string;
  /** The error a chat would meet; gives the exit code of a failed check. */
  readonly code?: ZephErrorCode;
  /** Figures and names for `--json`. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** A change that would mend it, made only after a yes. */
  readonly fix?: Fix;
}

export interface Fix {
  /** Continues the sentence "Shall I …?" */
  readonly question: string;
  /** Makes the change and says what was done. */
  readonly apply: () => Promise<string>;
}

/** One thing the doctor looks at. It changes nothing and prints nothing. */
export interface Check {
  /** Stable, for scripts: requirements 2.7. */
  readonly name: string;
  /** Checks that must not have failed; otherwise this one is skipped. */
  readonly dependsOn?: readonly string[];
  /** Checks that must be over, however they ended. */
  readonly after?: readonly string[];
  /** The provider it belongs to. A failure matters as far as a chat needs that provider. */
  readonly provider?: string;
  /** One success in this group is enough for a chat. */
  readonly oneOf?: string;
  /** Its failure matters only when it shows in a provider's own checks as well. */
  readonly isIndirect?: boolean;
  /** Waits for a person or for slow mathematics, so no deadline applies. */
  readonly isUntimed?: boolean;
  /** Throws a `ZephError` for what it finds broken, or returns a result. */
  run(facts: DoctorFacts, signal: AbortSignal): Promise<CheckResult>;
}

/** A check that is over. */
export interface CheckReport extends CheckResult {
  readonly name: string;
  readonly elapsedMs: number;
}
