import { asObject, jsonDepth } from "../json/measure-json.ts";
import type { JsonObject } from "../json/read-value.ts";
import { compilesInGo } from "./go-pattern.ts";
import { CHILD_KEYWORDS, PLAIN_VALUES, REFERENCE_KEYWORDS } from "./keywords.ts";
import type { PlacedLimits } from "./schema-problem.ts";
import { cleanType } from "./type-names.ts";

/** How much of what is not structure stays: a schema that is too large loses its prose before its meaning. */
export type Detail = "full" | "short" | "bare";

const SHORT_DESCRIPTION_CHARS = 120;
const ORNAMENTS: ReadonlySet<string> = new Set(["title", "examples", "default", "deprecated", "readOnly", "writeOnly"]);

/** Told what a schema says in vain: a keyword, or a word for it. */
export type OnDrop = (what: string) => void;

/** References whose goal depends on who asks; they are not followed. */
const DYNAMIC_REFERENCES: ReadonlySet<string> = new Set(["$dynamicRef", "$recursiveRef"]);

/** Sets what of a node is not a schema itself, brought into the bounds. `levels` is how deep JSON may still go. */
export function cleanKeywords(
  node: JsonObject,
  into: Record<string, unknown>,
  {
    limits,
    detail,
    levels,
    onDrop,
  }: {
    readonly limits: PlacedLimits;
    readonly detail: Detail;
    readonly levels: number;
    readonly onDrop: OnDrop;
  },
): void {
  for (const [keyword, value] of Object.entries(node)) {
    if (DYNAMIC_REFERENCES.has(keyword)) onDrop(keyword);
    if (CHILD_KEYWORDS.has(keyword) || REFERENCE_KEYWORDS.has(keyword)) continue;
    const kept = keywordValue(keyword, value, { limits, detail });
    const isKept = kept !== undefined && jsonDepth(kept, levels + 1) <= levels;
    if (isKept) into[keyword] = kept;
    if (!isKept || isLess(keyword, kept, value)) onDrop(keyword);
  }
}

/** A type in another word is no less, and neither is a list of one. */
function isLess(keyword: string, kept: unknown, given: unknown): boolean {
  if (keyword !== "type") return kept !== given;
  return Array.isArray(given) && new Set(given).size > (Array.isArray(kept) ? kept.length : 1);
}

function keywordValue(
  keyword: string,
  value: unknown,
  { limits, detail }: { readonly limits: PlacedLimits; readonly detail: Detail },
): unknown {
  if (detail !== "full" && ORNAMENTS.has(keyword)) return undefined;
  switch (keyword) {
    case "type":
      return cleanType(value, limits.nullUnions);
    case "pattern":
      return compilesInGo(value, limits.maxPatternBytes) ? value : undefined;
    case "enum":
      // Part of a list would forbid the rest of it; without it the model may still choose rightly.
      return Array.isArray(value) && value.length <= limits.maxEnumValues ? value : undefined;
    case "description":
      return descriptionFor(value, detail);
    case "__proto__":
      return undefined;
    default:
      // The network walks into unknown objects as if they were schemas; they carry nothing a model reads.
      return PLAIN_VALUES.has(keyword) || !holdsObject(value) ? value : undefined;
  }
}

function descriptionFor(value: unknown, detail: Detail): unknown {
  if (typeof value !== "string" || detail === "full") return value;
  return detail === "short" ? value.slice(0, SHORT_DESCRIPTION_CHARS) : undefined;
}

function holdsObject(value: unknown): boolean {
  return Array.isArray(value) ? value.some((each) => asObject(each) !== undefined) : asObject(value) !== undefined;
}
