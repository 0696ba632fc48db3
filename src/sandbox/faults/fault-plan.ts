import { appliesTo, type Fault } from "./fault.ts";

/** What a test sets before it sends requests. */
export interface FaultControl {
  /** Plays a fault on the next request it applies to, `times` times. Several wait in line, in order. */
  next(fault: Fault, times?: number): void;
  /** Plays a fault on every request it applies to, until `clear`. Those from `next` come first. */
  always(fault: Fault): void;
  /** Forgets all of them. */
  clear(): void;
  /** Faults from `next` that have not been played. */
  readonly waiting: number;
}

export interface FaultPlan extends FaultControl {
  /** The fault for a request to `path`; one from `next` is used up. */
  take(path: string): Fault | undefined;
}

export function faultPlan(): FaultPlan {
  let queue: Fault[] = [];
  let standing: Fault[] = [];
  return {
    next(fault, times = 1) {
      queue.push(...Array.from({ length: times }, () => fault));
    },
    always(fault) {
      standing.push(fault);
    },
    clear() {
      queue = [];
      standing = [];
    },
    get waiting() {
      return queue.length;
    },
    take(path) {
      const index = queue.findIndex((fault) => appliesTo(fault, path));
      if (index >= 0) return queue.splice(index, 1)[0];
      return standing.findLast((fault) => appliesTo(fault, path));
    },
  };
}
