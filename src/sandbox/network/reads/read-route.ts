import type { StaticAnswer } from "../faults/static-answers.ts";
import type { NodeSetting } from "../server/node-setting.ts";

export interface ReadContext {
  readonly setting: NodeSetting;
  /** What the groups of the pattern matched, percent-decoded. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
}

export interface ReadRoute {
  readonly pattern: RegExp;
  /** JSON for a 200, or a whole answer. */
  readonly answer: (context: ReadContext) => ReadAnswer | Promise<ReadAnswer>;
}

export type ReadAnswer = StaticAnswer | { readonly json: unknown };
