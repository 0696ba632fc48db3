import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import ts from "typescript";

const ROOT = join(import.meta.dirname, "../..");

export interface CompiledVault {
  /** Path of the compiled `vault/index.js`. */
  readonly entry: string;
  remove(): Promise<void>;
}

/**
 * The vault as plain JavaScript, for tests that need processes of their own: Node 20 runs no TypeScript, and `dist` may
 * be older than the sources. It lies below node_modules so that its packages are found.
 */
export async function compileVault(): Promise<CompiledVault> {
  await mkdir(join(ROOT, "node_modules/.cache"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, "node_modules/.cache/zeph-vault-"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  for (const area of ["errors", "internal", "vault"]) {
    await mkdir(join(folder, area));
    for (const name of await readdir(join(ROOT, "src", area))) {
      if (!name.endsWith(".ts") || name.includes(".test.")) continue;
      const source = await readFile(join(ROOT, "src", area, name), "utf8");
      await writeFile(join(folder, area, name.replace(/\.ts$/, ".js")), toJavaScript(source));
    }
  }
  return { entry: join(folder, "vault/index.js"), remove: () => rm(folder, { recursive: true, force: true }) };
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
