import { recordPlace } from "./check-layer.ts";
import type { ConfigWarning } from "./fault.ts";
import { isTable, type LayeredTable } from "./layer.ts";
import type { MergedRecord } from "./merge-records.ts";
import { isIrrelevantField, recordKind } from "./schema.ts";

/** As the network takes them; Zeph's own values are among them. */
const REASONING_EFFORTS: readonly string[] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/** What is odd about a record without keeping it from being used. */
export function recordWarnings(
  { table }: MergedRecord,
  index: number,
  insecureFields: readonly string[],
): readonly ConfigWarning[] {
  const kind = recordKind(table.values.type);
  const place = recordPlace(table.values, index);
  const warn = (warning: ConfigWarning["kind"], field: string, words: string): ConfigWarning => ({
    kind: warning,
    message: `${place}, ${field} ${words}`,
    origin: table.originOf([field]) ?? table.origin,
  });
  const warnings: ConfigWarning[] = [];
  const inlineKey = table.values.api_key;
  if (kind === "compatible" && typeof inlineKey === "string" && inlineKey.trim() !== "") {
    const store = "move it into the vault with `zeph vault import`";
    warnings.push(warn("inline_key", "api_key", `holds a key in plain text; ${store}`));
  }
  const effort = table.values.reasoning_effort;
  if (kind !== "other" && typeof effort === "string" && !REASONING_EFFORTS.includes(effort.trim().toLowerCase())) {
    const words = `is none of ${REASONING_EFFORTS.join(", ")}; it is not sent`;
    if (effort.trim() !== "") warnings.push(warn("irrelevant_field", "reasoning_effort", words));
  }
  for (const [field, more] of Object.entries(UNUSED_FIELDS)) {
    if (kind === "other" || table.values[field] === undefined || isIrrelevantField(kind, field)) continue;
    warnings.push(warn("irrelevant_field", field, `is kept and not used by zeph${more}`));
  }
  for (const field of Object.keys(table.values).filter((each) => isIrrelevantField(kind, each))) {
    warnings.push(warn("irrelevant_field", field, `means nothing for type ${kind}; it is kept and not used`));
  }
  return [...warnings, ...insecureFields.map((field) => warn("insecure_url", field, INSECURE_WORDS[kind]))];
}

/** Roles and overrides that Zeph knows, and what zeph knew before. */
const UNUSED_FIELDS: Readonly<Record<string, string>> = {
  embed: "",
  vision: "",
  gonka_signing_phase: "; requests are signed as networks since v0.2.6 take them",
};

const INSECURE_WORDS = {
  compatible: "is plain http to another computer: zeph does not send the key there; use https",
  gonka: "has plain http addresses: prompts and answers travel in clear; prefer https",
  other: "",
} as const;

/** The fields with an address to which a key or a prompt would travel in clear. */
export function insecureUrlFields(table: LayeredTable, isLoopback: (url: string) => boolean): readonly string[] {
  const { values } = table;
  const isInsecure = (url: unknown) =>
    typeof url === "string" && /^http:/i.test(url) && URL.canParse(url) && !isLoopback(url);
  switch (recordKind(values.type)) {
    case "compatible":
      return isInsecure(values.base_url) ? ["base_url"] : [];
    case "gonka": {
      const nodes = Array.isArray(values.gonka_nodes) ? values.gonka_nodes : [];
      return nodes.some((node: unknown) => isTable(node) && isInsecure(node.url)) ? ["gonka_nodes"] : [];
    }
    case "other":
      return [];
  }
}
