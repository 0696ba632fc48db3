/** What a typed model name means against a live list. */
export type ModelMatch =
  | { readonly kind: "exact"; readonly id: string }
  /** Letter case differs, or only the part after the last slash was typed. */
  | { readonly kind: "loose"; readonly id: string }
  | { readonly kind: "none"; readonly nearest: readonly string[] };

/** Finds a model by its exact id, then without letter case, then by its short name; else names the nearest three. */
export function matchModel(typed: string, ids: readonly string[]): ModelMatch {
  if (ids.includes(typed)) return { kind: "exact", id: typed };
  const wanted = typed.toLowerCase();
  const sameLetters = ids.filter((id) => id.toLowerCase() === wanted);
  const sameShortName = ids.filter((id) => shortName(id) === shortName(typed));
  const candidate = sameLetters[0] ?? (sameShortName.length === 1 ? sameShortName[0] : undefined);
  return candidate === undefined ? { kind: "none", nearest: nearest(typed, ids, 3) } : { kind: "loose", id: candidate };
}

/** The `count` most similar words, most similar first. Used for models, commands and providers. */
export function nearest(word: string, words: readonly string[], count: number): readonly string[] {
  const wanted = word.toLowerCase();
  return words
    .map((each) => ({
      each,
      distance: Math.min(editDistance(wanted, each.toLowerCase()), editDistance(wanted, shortName(each))),
    }))
    .sort((a, b) => a.distance - b.distance || a.each.localeCompare(b.each))
    .slice(0, count)
    .map(({ each }) => each);
}

function shortName(id: string): string {
  return id.toLowerCase().slice(id.lastIndexOf("/") + 1);
}

/** Levenshtein distance, one row at a time. Inputs are bounded so that a hostile list cannot cost much. */
function editDistance(a: string, b: string): number {
  const left = a.slice(0, 128);
  const right = b.slice(0, 128);
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
