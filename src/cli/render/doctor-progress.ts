import type { CheckReport } from "../../doctor/check.ts";
import type { CliContext } from "../context.ts";

export interface DoctorProgress {
  readonly onReport: (report: CheckReport) => void;
  /** Takes the line away. */
  readonly clear: () => void;
  /** No line while this goes on: somebody is being asked something. */
  readonly hush: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Below this nobody wonders. */
const PATIENCE_MS = 200;

/** One line on standard error that says which check ended last; only on a terminal, and only when it takes a while. */
export function doctorProgress({ stderr, clock, json }: CliContext): DoctorProgress {
  const startedAtMs = clock.nowMs();
  let done = 0;
  let shown = false;
  let hushed = false;
  const clear = () => {
    if (shown) stderr.write("\r\u001b[K");
    shown = false;
  };
  return {
    onReport({ name }) {
      done += 1;
      if (json || hushed || stderr.isTTY !== true || clock.nowMs() - startedAtMs < PATIENCE_MS) return;
      shown = true;
      stderr.write(`\r\u001b[KLooking … ${done} done, ${name}`);
    },
    clear,
    async hush(work) {
      hushed = true;
      clear();
      try {
        return await work();
      } finally {
        hushed = false;
      }
    },
  };
}
