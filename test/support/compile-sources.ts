import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import ts from "typescript";

const ROOT = join(import.meta.dirname, "../..");

export interface CompiledSources {
  /** Holds what `dist` would hold. */
  readonly folder: string;
  remove(): Promise<void>;
}

/**
 * Some sources, and all they import, as plain JavaScript, for tests that need a process of their own: Node 20 runs no
 * TypeScript, and `dist` may be older than the sources. Lies below node_modules so that packages are found.
 *
 * @param entries paths below `src`, such as `cli/commands/ask.ts`
 */
export async function compileSources(entries: readonly string[]): Promise<CompiledSources> {
  await mkdir(join(ROOT, "node_modules/.cache"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, "node_modules/.cache/zeph-sources-"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  const names = new Set(entries.map((entry) => normalize(entry)));
  // A set can grow while it is walked: what is imported comes after what imports it.
  for (const name of names) {
    const source = await readFile(join(ROOT, "src", name), "utf8");
    for (const [, path = ""] of source.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+\.ts)"/g)) {
      names.add(join(dirname(name), path));
    }
    const target = join(folder, name.replace(/\.ts$/, ".js"));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, toJavaScript(source));
  }
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

function toJavaScript(source: string): string {
  return ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  }).outputText;
}
