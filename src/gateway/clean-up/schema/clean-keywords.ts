import { asObject, type JsonObject, jsonDepth } from "../json.ts";
import { compilesInGo } from "./go-pattern.ts";
import { CHILD_KEYWORDS, PLAIN_VALUES, REFERENCE_KEYWORDS } from "./keywords.ts";
import type { PlacedLimits } from "./schema-problem.ts";
import { cleanType } from "./type-names.ts";

/** How much of what is not structure stays: a schema that is too large loses its prose before its meaning. */
export type Detail = "full" | "short" | "bare";

const SHORT_DESCRIPTION_CHARS = 120;
const ORNAMENTS: ReadonlySet<string> = new Set(["title", "examples", "default", "deprecated", "readOnly", "writeOnly"]);

/** Sets what of a node is not a schema itself, brought into the bounds. `levels` is how deep JSON may still go. */
export function cleanKeywords(
  node: JsonObject,
  into: Record<string, unknown>,
  { limits, detail, levels }: { readonly limits: PlacedLimits; readonly detail: Detail; readonly levels: number },
): void {
  for (const [keyword, value] of Object.entries(node)) {
    if (CHILD_KEYWORDS.has(keyword) || REFERENCE_KEYWORDS.has(keyword)) continue;
    const kept = keywordValue(keyword, value, { limits, detail });
    if (kept !== undefined && jsonDepth(kept, levels + 1) <= levels) into[keyword] = kept;
  }
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
