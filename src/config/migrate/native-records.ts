import { upsertProvider } from "../edit.ts";
import { isTable, type Table } from "../layer.ts";
import { applySplices, indentOf } from "../splice.ts";
import { outlineToml } from "../toml-outline.ts";
import type { MigratedText } from "./migration.ts";
import { commentOut, noteAbove } from "./note-above.ts";
import { entryOf, type PlacedRecord, parseConfigText, placedRecords } from "./records.ts";

/** Native records that Zeph's wizard wrote without a name: the name it would give them is written down (B25). */
export function missingName(text: string): MigratedText | undefined {
  const records = placedRecords(text);
  const record = records.find(({ values }) => values.type === "gonka" && values.name === undefined);
  if (record === undefined) return undefined;
  const taken = new Set(records.map(({ values }) => values.name));
  const name = ["gonka", "gonka-2", "gonka-3", "gonka-4"].find((each) => !taken.has(each)) ?? "gonka-native";
  const { headerLine } = record.block;
  const line = entryOf(record.block, "type")?.span.endLine ?? headerLine;
  const field = `${indentOf(text, line)}name = "${name}"`;
  return {
    rule: "missing_name",
    message: `a native record had no name; it is called "${name}" now`,
    text: applySplices(text, [{ kind: "insert-lines", after: line, lines: field }]),
  };
}

/**
 * Node addresses that were invented by Zeph (B5). Their URLs were real ones, so the nodes make room for discovery:
 * `gonka_source_url` finds the true addresses.
 */
export function placeholderNodes(text: string): MigratedText | undefined {
  for (const record of placedRecords(text)) {
    const nodes = nodesOf(record.values);
    if (record.values.type !== "gonka" || !nodes.some(isPlaceholder)) continue;
    const url = nodes.find((node) => typeof node.url === "string")?.url;
    const silenced = silenceNodes(text, record);
    if (silenced === undefined || typeof url !== "string") continue;
    const hasSource = record.values.gonka_source_url !== undefined;
    const name = record.name ?? "gonka";
    return {
      rule: "placeholder_nodes",
      message: `"${name}" had invented node addresses; its nodes are found from ${url} now`,
      text: hasSource ? silenced : upsertProvider(silenced, { type: "gonka", name, gonka_source_url: url }),
    };
  }
  return undefined;
}

function nodesOf({ gonka_nodes: nodes }: Table): readonly Table[] {
  return Array.isArray(nodes) ? nodes.filter(isTable) : [];
}

function isPlaceholder({ address }: Table): boolean {
  return typeof address === "string" && /placeholder/i.test(address);
}

/** All nodes of the record become comments, with the reason above the first. */
function silenceNodes(text: string, { block }: PlacedRecord): string | undefined {
  const inline = entryOf(block, "gonka_nodes");
  const depth = block.address.length;
  const blocks = outlineToml(text).filter(
    ({ address }) =>
      address.length > depth &&
      block.address.every((part, index) => part === address[index]) &&
      address[depth] === "gonka_nodes",
  );
  const spans =
    inline === undefined
      ? blocks.map(({ headerLine, lastLine }) => [headerLine, lastLine] as const)
      : [[inline.span.startLine, inline.span.endLine] as const];
  const [first] = spans;
  if (first === undefined) return undefined;
  const commented = spans.reduce((result, [from, to]) => commentOut(result, from, to), text);
  return (
    noteAbove(commented, first[0], "these addresses were invented by older versions; `zeph init` writes real ones") ??
    commented
  );
}

/** `[[llm.gonka_nodes]]` with `weight`, a form that only a README ever knew (B45). */
export function looseNodes(text: string): MigratedText | undefined {
  const { llm } = parseConfigText(text);
  const loose = isTable(llm) && Array.isArray(llm.gonka_nodes) ? llm.gonka_nodes.filter(isTable) : [];
  const blocks = outlineToml(text).filter(({ path }) => path[0] === "llm" && path[1] === "gonka_nodes");
  const [first] = blocks;
  if (loose.length === 0 || first === undefined) return undefined;
  const commented = blocks.reduce((result, { headerLine, lastLine }) => commentOut(result, headerLine, lastLine), text);
  const noted =
    noteAbove(
      commented,
      first.headerLine,
      "nobody reads this form; nodes stand below their provider as [[llm.providers.gonka_nodes]]",
    ) ?? commented;
  const record = placedRecords(noted).find(({ values }) => values.type === "gonka" && values.gonka_nodes === undefined);
  const result = {
    rule: "loose_nodes",
    message: "[[llm.gonka_nodes]] is read by nobody; its nodes moved to their provider",
  };
  if (record?.name === undefined) {
    return {
      ...result,
      message: "[[llm.gonka_nodes]] is read by nobody and became a comment; `zeph init` sets up a native provider",
      text: noted,
    };
  }
  return {
    ...result,
    text: upsertProvider(noted, { type: "gonka", name: record.name, ...placesOf(loose, record.values) }),
  };
}

/** Nodes with an address as they are; of those without one the first becomes the place to find them. */
function placesOf(loose: readonly Table[], record: Table): Table {
  const complete = loose.flatMap(({ url, address }) =>
    typeof url === "string" && typeof address === "string" && !/placeholder/i.test(address) ? [{ url, address }] : [],
  );
  if (complete.length > 0) return { gonka_nodes: complete };
  const url = loose.find((node) => typeof node.url === "string")?.url;
  return record.gonka_source_url === undefined && url !== undefined ? { gonka_source_url: url } : {};
}
