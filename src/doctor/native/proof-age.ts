/** What a list of nodes tells about its proof. */
export interface ProvenList {
  readonly provenAtMs?: number | undefined;
}

/** How old the block is that proves a list, as an aside such as `, from a block 3 h old`; empty without a proof. */
export function proofAge({ provenAtMs }: ProvenList, nowMs: number): string {
  return provenAtMs === undefined ? "" : `, from a block ${ageWords(Math.max(0, nowMs - provenAtMs))} old`;
}

/** The time of that block for `--json`. */
export function provenAt({ provenAtMs }: ProvenList): string | null {
  return provenAtMs === undefined ? null : new Date(provenAtMs).toISOString();
}

function ageWords(ageMs: number): string {
  const minutes = Math.floor(ageMs / 60_000);
  if (minutes < 2) return `${Math.floor(ageMs / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
