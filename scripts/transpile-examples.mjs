// The examples as JavaScript: Node 20 runs no TypeScript (Node 22.18 and newer do, and need none of this).
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Writes every example into a new folder, for the caller to remove. The folder is inside the package, because only there
 * does `import "zeph"` mean this package.
 */
export function transpileExamples() {
  const folder = mkdtempSync(join(root, ".zeph-examples-"));
  for (const name of readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
    const target = join(folder, name.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, toJavaScript(readFileSync(join(root, "examples", name), "utf8")));
  }
  return folder;
}

function toJavaScript(source) {
  return ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  }).outputText;
}
