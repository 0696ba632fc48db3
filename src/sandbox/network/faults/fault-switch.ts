import type { NodeFault, NodeFaultKind } from "./node-fault.ts";

/** What a plan knows when it decides. */
export interface FaultOccasion {
  readonly method: string;
  readonly path: string;
  /** Requests this switch has seen before, from 0. */
  readonly index: number;
}

export type NodeFaultPlan = (occasion: FaultOccasion) => NodeFault | NodeFaultKind | undefined;

/** Decides what goes wrong with the next requests of one node. Order: `next`, then `plan`, then `always`. */
export class FaultSwitch {
  readonly #queue: NodeFault[] = [];
  #constant: NodeFault | undefined;
  #plan: NodeFaultPlan | undefined;
  #seen = 0;

  /** Every request from now on, until another call; undefined: none. */
  always(fault: NodeFault | NodeFaultKind | undefined): void {
    this.#constant = toFault(fault);
  }

  /** One request each, in order. */
  next(...faults: readonly (NodeFault | NodeFaultKind)[]): void {
    for (const fault of faults) this.#queue.push(typeof fault === "string" ? { kind: fault } : fault);
  }

  /** Asks `plan` about each request. */
  plan(plan: NodeFaultPlan | undefined): void {
    this.#plan = plan;
  }

  /** Back to a healthy node. */
  clear(): void {
    this.#queue.length = 0;
    this.#constant = undefined;
    this.#plan = undefined;
  }

  /** For the node: the fault of this request. */
  take(method: string, path: string): NodeFault | undefined {
    const index = this.#seen;
    this.#seen += 1;
    return this.#queue.shift() ?? toFault(this.#plan?.({ method, path, index })) ?? this.#constant;
  }
}

/**
 * A plan that lets chance decide.
 * @param weights how likely each fault is, 0 to 1; what is left over is no fault
 * @example node.faults.plan(randomFaults(random, { drop: 0.1, capacity: 0.2, cut: 0.05 }))
 */
export function randomFaults(random: () => number, weights: Partial<Record<NodeFaultKind, number>>): NodeFaultPlan {
  return () => {
    let left = random();
    for (const [kind, weight] of Object.entries(weights)) {
      left -= weight;
      if (left < 0) return kind as NodeFaultKind;
    }
    return undefined;
  };
}

function toFault(fault: NodeFault | NodeFaultKind | undefined): NodeFault | undefined {
  return typeof fault === "string" ? { kind: fault } : fault;
}
