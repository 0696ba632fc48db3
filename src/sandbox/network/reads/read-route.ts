import { errorAnswer, type StaticAnswer } from "../faults/static-answers.ts";
import type { NodeSetting } from "../server/node-setting.ts";

export interface ReadContext {
  readonly setting: NodeSetting;
  /** What the groups of the pattern matched, percent-decoded. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
}

export interface ReadRoute {
  readonly pattern: RegExp;
  readonly answer: (context: ReadContext) => StaticAnswer | Promise<StaticAnswer>;
}

/** A 200 with a JSON body, as Go's encoder ends it. */
export function json(value: unknown, headers?: Readonly<Record<string, string>>): StaticAnswer {
  const answer = { status: 200, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
  return headers === undefined ? answer : { ...answer, headers };
}

export function notFound(text: string): StaticAnswer {
  return errorAnswer(404, text);
}
