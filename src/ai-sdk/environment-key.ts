import { ZephError } from "../errors/zeph-error.ts";

/** Where a runtime may keep its environment; edge runtimes may have no `process` at all. */
interface RuntimeGlobals {
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
}

/** The first of these variables that is set. Throws `secret_missing` naming them all; no value is ever shown. */
export function readEnvironmentKey(variables: readonly string[], runtime: RuntimeGlobals = globalThis): string {
  for (const name of variables) {
    const value = runtime.process?.env?.[name]?.trim();
    if (value !== undefined && value !== "") return value;
  }
  throw new ZephError("secret_missing", {
    detail: `no API key was given, and ${variables.join(", ")} ${variables.length === 1 ? "is" : "are"} not set`,
    hint: `Set ${variables[0] ?? "the key's variable"}, or call createGonka({ apiKey }).`,
  });
}
