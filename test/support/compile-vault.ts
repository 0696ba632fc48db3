import { join } from "node:path";
import { compileSources } from "./compile-sources.ts";

export interface CompiledVault {
  /** Path of the compiled `vault/index.js`. */
  readonly entry: string;
  remove(): Promise<void>;
}

/** The vault as plain JavaScript, for tests that need processes of their own. */
export async function compileVault(): Promise<CompiledVault> {
  const { folder, remove } = await compileSources(["vault/index.ts"]);
  return { entry: join(folder, "vault/index.js"), remove };
}
