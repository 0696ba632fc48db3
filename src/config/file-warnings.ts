import { effectiveName, PROVIDERS } from "./check-layer.ts";
import type { ConfigWarning, Fault } from "./fault.ts";
import type { ConfigFile } from "./find-config-files.ts";
import { isTable, type Layer, tablesAt } from "./layer.ts";

/** Fields that decide who gets prompts and keys. */
const DECIDING_FIELDS: readonly string[] = ["base_url", "gonka_nodes", "gonka_source_url", "api_key_env"];

/** What the user should know about a file as a whole. */
export function fileWarnings(file: ConfigFile, layer: Layer): readonly ConfigWarning[] {
  return [...legacyForm(layer), ...(file.role === "project" ? projectEndpoints(file, layer) : [])];
}

/** A file in the old form alone configures nothing. */
export function legacyFaults(layer: Layer): readonly Fault[] {
  return legacyForm(layer).map(({ origin }) => ({
    origin,
    place: "[llm]",
    message: "is in the form of old Zeph versions",
  }));
}

function legacyForm(layer: Layer): readonly ConfigWarning[] {
  const { llm } = layer.values;
  if (!isTable(llm)) return [];
  const field = ["provider", "compatible"].find((name) => llm[name] !== undefined);
  if (field === undefined) return [];
  const next =
    llm.providers === undefined ? "`zeph config migrate --in-place` brings it up to date" : "delete that part of it";
  const message = `[llm] ${field} is the form of old Zeph versions, which is not read; ${next}`;
  return [{ kind: "legacy_form", message, origin: layer.originOf(["llm", field]) }];
}

/** A project file comes with whatever was checked out, and could send somebody's key to another host. */
function projectEndpoints(file: ConfigFile, layer: Layer): readonly ConfigWarning[] {
  return tablesAt(layer, PROVIDERS).flatMap(({ values, address }) => {
    const field = DECIDING_FIELDS.find((name) => values[name] !== undefined);
    if (field === undefined) return [];
    const message = `the project file ${file.path} decides where provider "${effectiveName(values)}" sends its requests`;
    return [{ kind: "project_endpoint", message, origin: layer.originOf([...address, field]) }];
  });
}
