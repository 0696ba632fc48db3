import { matchModel } from "../../protocol/match-model.ts";

/** What a typed name stands for in a list of models. */
export type FoundModel =
  | { readonly type: "one"; readonly id: string }
  | { readonly type: "several"; readonly ids: readonly string[] }
  | { readonly type: "none"; readonly nearest: readonly string[] };

/** As {@link matchModel}, and also by any part of the id: `/model kimi` should be enough. */
export function findModel(typed: string, ids: readonly string[]): FoundModel {
  const match = matchModel(typed, ids);
  if (match.kind !== "none") return { type: "one", id: match.id };
  const containing = ids.filter((id) => id.toLowerCase().includes(typed.toLowerCase()));
  const [first] = containing;
  if (first === undefined) return { type: "none", nearest: match.nearest };
  return containing.length === 1 ? { type: "one", id: first } : { type: "several", ids: containing };
}
