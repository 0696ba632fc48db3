/** Ids of tool calls in the order of a conversation, and which calls still wait for their result. */
export interface CallIds {
  /** Begins the calls of one assistant turn. Within it no id may come twice. */
  turn(): { idFor(given: unknown, functionName: string): string };
  /** The id a result belongs to: of the first open call with its id, or, for a result without one, of the first open call. */
  answer(given: unknown): string | undefined;
}

interface OpenCall {
  readonly given: string;
  readonly id: string;
}

/**
 * Calls with an id that their turn has already, or with none, get `functions.<name>:<number in the conversation>`, the
 * form Kimi itself uses. Nothing is left out: two calls with one id may both have real results, and those are handed out
 * in order.
 * @param usedIds every id the conversation names, so that a new one is new
 */
export function callIds(usedIds: ReadonlySet<string>): CallIds {
  /** In the order of the conversation; and the same by the id that was given, as a search per result would take long. */
  const open = new Set<OpenCall>();
  const openByGiven = new Map<string, Set<OpenCall>>();
  const answered = new Set<string>();
  let count = 0;

  /** Where the search for a free number goes on, so that a conversation of taken ones is walked through once. */
  const nextNumbers = new Map<string, number>();
  function freshId(functionName: string): string {
    let number = Math.max(count, nextNumbers.get(functionName) ?? 0);
    while (usedIds.has(`functions.${functionName}:${number}`)) number += 1;
    nextNumbers.set(functionName, number + 1);
    return `functions.${functionName}:${number}`;
  }
  return {
    turn() {
      const inTurn = new Set<string>();
      return {
        idFor(given, functionName) {
          const isUsable = typeof given === "string" && given.trim() !== "" && !inTurn.has(given);
          const id = isUsable ? given : freshId(functionName);
          inTurn.add(id);
          const call = { given: typeof given === "string" ? given : "", id };
          open.add(call);
          const alike = openByGiven.get(call.given);
          if (alike === undefined) openByGiven.set(call.given, new Set([call]));
          else alike.add(call);
          count += 1;
          return id;
        },
      };
    },
    answer(given) {
      const wanted = typeof given === "string" && given.trim() !== "" ? given : undefined;
      const candidates = wanted === undefined ? open : openByGiven.get(wanted);
      const call: OpenCall | undefined = candidates?.values().next().value;
      if (call !== undefined) {
        open.delete(call);
        openByGiven.get(call.given)?.delete(call);
        answered.add(call.id);
        return call.id;
      }
      // A second result of the same call is unusual, but the network takes it.
      return wanted !== undefined && answered.has(wanted) ? wanted : undefined;
    },
  };
}
