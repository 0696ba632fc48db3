import type { Secret } from "../internal/secret.ts";
import type { SetupWorld } from "../provider/setup.ts";

/** What all checks of one run share. */
export interface DoctorFacts {
  readonly world: SetupWorld;
  /** Times that servers told, for the comparison of clocks. */
  readonly times: ServerTime[];
  /** Every secret that was looked up; none of them may be in any word the doctor says. */
  readonly secrets: Secret[];
}

/** What a server's `Date` header said. */
export interface ServerTime {
  readonly source: string;
  /** Server's clock minus this computer's, milliseconds; half a second uncertain. */
  readonly skewMs: number;
}

export function newFacts(world: SetupWorld): DoctorFacts {
  return { world, times: [], secrets: [] };
}

/** Remembers a server's `Date`. Headers know whole seconds only, so on average half of one has passed since. */
export function noteServerTime(facts: DoctorFacts, source: string, serverDateMs: number | undefined): void {
  if (serverDateMs === undefined || Number.isNaN(serverDateMs)) return;
  facts.times.push({ source, skewMs: serverDateMs + 500 - facts.world.clock.nowMs() });
}
