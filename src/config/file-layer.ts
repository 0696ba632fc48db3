import { parse, TomlError } from "smol-toml";
import type { Fault } from "./fault.ts";
import type { Layer, Table } from "./layer.ts";
import type { Origin } from "./origin.ts";
import { lineOf, type OutlineBlock, outlineToml } from "./toml-outline.ts";

/** The values of one file, with the line of each. Nothing is checked but the syntax. */
export function readFileLayer(path: string, text: string): Layer | Fault {
  let values: Table;
  try {
    // Zeph files may hold 64-bit integers; only those that need it become bigint.
    values = parse(text, { integersAsBigInt: "asNeeded" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of the message shows the line itself, which may hold a key.
    const [reason = "not valid TOML"] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    return { origin: { kind: "file", path, line: error.line }, place: "", message: `is not valid TOML: ${reason}` };
  }
  // Dotted keys nest as deep as a file is long; whoever walks or shows such values would run out of stack.
  if (nestsBeyond(values, MAX_DEPTH)) {
    return { origin: { kind: "file", path }, place: "", message: `nests more than ${MAX_DEPTH} levels` };
  }
  let outline: readonly OutlineBlock[] | undefined;
  const originOf = (address: readonly PropertyKey[]): Origin => {
    outline ??= outlineOrNothing(text);
    const line = lineOf(outline, address);
    return line === undefined ? { kind: "file", path } : { kind: "file", path, line };
  };
  return { values, originOf };
}

/** Far more than any program's config has. */
const MAX_DEPTH = 64;

function nestsBeyond(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((each) => nestsBeyond(each, depth - 1));
}

/** The two parsers agree on all TOML that we know of; should they not, messages lose their line numbers and no more. */
function outlineOrNothing(text: string): readonly OutlineBlock[] {
  try {
    return outlineToml(text);
  } catch {
    return [];
  }
}

export function isFault(result: Layer | Fault): result is Fault {
  return "message" in result;
}
