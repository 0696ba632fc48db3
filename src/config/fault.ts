import { ZephError } from "../errors/zeph-error.ts";
import { describeOrigin, type Origin } from "./origin.ts";

/** One thing that is wrong in a configuration. Never holds the value itself: it might be a key. */
export interface Fault {
  readonly origin: Origin;
  /** What it belongs to, in words: `provider "gonkagate"`, `[timeouts]`; empty for the file as a whole. */
  readonly place: string;
  readonly field?: string;
  /** Continues a sentence that begins with the field: "must be text in quotes". */
  readonly message: string;
}

/** Something worth a line that does not keep the configuration from being used. */
export interface ConfigWarning {
  readonly kind:
    | "inline_key"
    | "insecure_url"
    | "irrelevant_field"
    | "project_endpoint"
    | "legacy_form"
    | "untrusted_file";
  readonly message: string;
  readonly origin: Origin;
}

export function describeFault({ origin, place, field, message }: Fault): string {
  const what = [place, field].filter((part) => part !== undefined && part !== "").join(", ");
  return `${describeOrigin(origin).replace(/^file /, "")}: ${what === "" ? message : `${what} ${message}`}`;
}

/**
 * All faults as one `config_invalid`, in the order of the files and lines, each on its own line.
 *
 * @param hint what mends them all, where one command does
 */
export function faultsError(faults: readonly Fault[], hint?: string): ZephError {
  const lines = [...new Set([...faults].sort(byPlace).map(describeFault))];
  const detail = lines.length === 1 ? (lines[0] ?? "") : `${lines.length} faults\n  ${lines.join("\n  ")}`;
  return new ZephError("config_invalid", { detail, ...(hint === undefined ? {} : { hint }) });
}

function byPlace(a: Fault, b: Fault): number {
  if (a.origin.kind !== "file" || b.origin.kind !== "file" || a.origin.path !== b.origin.path) return 0;
  return (a.origin.line ?? 0) - (b.origin.line ?? 0);
}
