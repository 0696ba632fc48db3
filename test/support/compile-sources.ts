import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";

const ROOT = join(import.meta.dirname, "../..");

export interface CompiledSources {
  /** Holds each entry where `dist` would hold it. */
  readonly folder: string;
  remove(): Promise<void>;
}

/**
 * Some sources, with all they import, as a few files of JavaScript, for tests that need processes of their own: Node 20
 * runs no TypeScript, `dist` may be older than the sources, and hundreds of files would be found anew by every process.
 * Lies below node_modules so that packages that are not taken in are found.
 *
 * @param entries paths below `src`, such as `cli/commands/ask.ts`, and where they come to lie if not there. What they
 *   share comes to lie beside the first.
 * @param isFaithful a file for each source, as in `src`; to see which of them run
 */
export async function compileSources(
  entries: readonly (string | readonly [from: string, to: string])[],
  { isFaithful = false } = {},
): Promise<CompiledSources> {
  await mkdir(join(ROOT, "node_modules/.cache"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, "node_modules/.cache/zeph-sources-"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  const places = entries.map((entry) => (typeof entry === "string" ? ([entry, entry] as const) : entry));
  const bundle = await rolldown({
    cwd: ROOT,
    input: Object.fromEntries(places.map(([from, to]) => [to.replace(/\.ts$/, ""), join("src", from)])),
    platform: "node",
    // It looks for its WebAssembly beside itself.
    external: /^tiny-secp256k1/,
    transform: { target: "node20.19" },
    checks: { ineffectiveDynamicImport: false },
  });
  const chunkFileNames = join(dirname(places[0]?.[1] ?? ""), "[name]-[hash].js");
  const names = { entryFileNames: "[name].js", chunkFileNames };
  const modules = { preserveModules: true, preserveModulesRoot: "src" };
  await bundle.write({ dir: folder, format: "esm", ...(isFaithful ? modules : names) });
  await bundle.close();
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
