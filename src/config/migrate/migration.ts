/** One thing a migration did, or found, for the user to read. */
export interface MigrationChange {
  /** Which rule: `legacy_form`, `missing_name` … */
  readonly rule: string;
  /** What was done and why, one sentence. */
  readonly message: string;
}

/** A rule looks for the first place it applies to and gives the text with that place mended; undefined when there is none. */
export type MigrationRule = (text: string) => MigratedText | undefined;

export interface MigratedText extends MigrationChange {
  readonly text: string;
}
