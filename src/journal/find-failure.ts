import type { FailureEntry } from "./failure-entry.ts";

/** The newest failure, or the newest one with this id: ours, the server's, or the beginning of either. */
export function findFailure(entries: readonly FailureEntry[], id: string | undefined): FailureEntry | undefined {
  if (id === undefined) return entries.at(-1);
  const wanted = id.trim().toLowerCase();
  if (wanted === "") return undefined;
  const idsOf = ({ id: own, requestId, attempts }: FailureEntry) =>
    [own, requestId, ...attempts.map((attempt) => attempt.requestId)]
      .filter((each) => each !== undefined)
      .map((each) => each.toLowerCase());
  return (
    entries.findLast((entry) => idsOf(entry).includes(wanted)) ??
    entries.findLast((entry) => idsOf(entry).some((each) => each.startsWith(wanted)))
  );
}
