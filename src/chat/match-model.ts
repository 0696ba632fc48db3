/** How well a typed name fits the ids an endpoint offers. */
export type ModelMatch =
  | { readonly type: "one"; readonly id: string }
  | { readonly type: "several"; readonly ids: readonly string[] }
  | { readonly type: "none"; readonly nearest: readonly string[] };

/**
 * Finds the id that is meant: exactly, then in any letter case, then as a part of one id. Ids are spelled differently
 * from broker to broker, so nobody should have to remember the owner's name or the case.
 */
export function matchModel(typed: string, ids: readonly string[]): ModelMatch {
  const wanted = typed.trim().toLowerCase();
  if (ids.includes(typed.trim())) return { type: "one", id: typed.trim() };
  const sameButCase = ids.filter((id) => id.toLowerCase() === wanted);
  const named = ids.filter((id) => id.toLowerCase().split("/").at(-1) === wanted);
  const containing = ids.filter((id) => id.toLowerCase().includes(wanted));
  for (const found of [sameButCase, named, containing]) {
    const [first] = found;
    if (first !== undefined && found.length === 1) return { type: "one", id: first };
    if (found.length > 1) return { type: "several", ids: found };
  }
  return { type: "none", nearest: nearestIds(wanted, ids) };
}

/** The three ids that share most pairs of letters with what was typed. */
export function nearestIds(typed: string, ids: readonly string[], count = 3): readonly string[] {
  const wanted = letterPairs(typed.toLowerCase());
  const score = (id: string) => {
    const pairs = letterPairs(id.toLowerCase());
    return (2 * [...pairs].filter((pair) => wanted.has(pair)).length) / (pairs.size + wanted.size || 1);
  };
  return [...ids].sort((left, right) => score(right) - score(left)).slice(0, count);
}

function letterPairs(text: string): Set<string> {
  return new Set(Array.from({ length: Math.max(text.length - 1, 0) }, (_, index) => text.slice(index, index + 2)));
}
