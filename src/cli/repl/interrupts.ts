/** What Ctrl-C means at each moment. */
export interface Interrupts {
  /** Ctrl-C was pressed. */
  press(): void;
  /** An answer begins; the signal ends it. */
  startAnswer(): AbortSignal;
  endAnswer(): void;
  /** The user goes on: the next Ctrl-C is a first one again. */
  reset(): void;
  readonly isAnswering: boolean;
}

export interface InterruptsOptions {
  /** Tells that the next Ctrl-C leaves. */
  readonly warn: () => void;
  readonly leave: () => void;
  /** Aborted when the user leaves in another way; ends the answer too. */
  readonly leaving: AbortSignal;
}

/** The first Ctrl-C stops the answer, or warns at an empty prompt; the one after it leaves. */
export function watchInterrupts({ warn, leave, leaving }: InterruptsOptions): Interrupts {
  let answer: AbortController | undefined;
  let leavesNext = false;
  leaving.addEventListener("abort", () => answer?.abort(), { once: true });
  return {
    press() {
      if (leavesNext) leave();
      else if (answer === undefined) warn();
      else answer.abort();
      leavesNext = true;
    },
    startAnswer() {
      answer = new AbortController();
      if (leaving.aborted) answer.abort();
      return answer.signal;
    },
    endAnswer() {
      answer = undefined;
    },
    reset() {
      leavesNext = false;
    },
    get isAnswering() {
      return answer !== undefined;
    },
  };
}
