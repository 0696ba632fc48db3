// The command line as a split bundle: a start reads a few files instead of hundreds. What library users import stays as
// the compiler wrote it. Packages that only the command line uses are taken in, with their licences, and so need not be
// installed beside it.
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dist/cli");
const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const outside = Object.keys({ ...dependencies, ...peerDependencies });

/** Small packages that the library has as dependencies too: a few files less to find on every start. */
const TAKEN_IN = /^(?:@noble\/hashes\/|@scure\/base$|@noble\/secp256k1$|undici\/lib\/dispatcher\/agent\.js$)/;

const TOML_PATCH = "@decimalturn/toml-patch";

const bundle = await rolldown({
  cwd: root,
  // The second is for scripts/docs-pages.mjs, the third is a process of its own beside every zeph launch.
  input: { main: "src/cli/main.ts", program: "src/cli/program.ts", "agent-guard": "src/cli/launch/agent-guard.ts" },
  platform: "node",
  external: (id) => !TAKEN_IN.test(id) && outside.some((name) => id === name || id.startsWith(`${name}/`)),
  plugins: [sandboxBeside(), whenUsed(), { name: "quoted-imports", generateBundle: quoteImports }],
  transform: { target: "node20.19" },
});
const { output } = await bundle.write({
  dir: folder,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
  // What many commands need is one file.
  codeSplitting: {
    groups: [
      // Two words that are asked before anything else is loaded.
      { name: "version", test: /src\/version\.ts$/, priority: 1 },
      // What only signed requests need.
      { name: "signing", test: /node_modules\/@noble\/|src\/wire\/secp256k1\.ts$|src\/signer\//, priority: 1 },
      { name: "shared", minShareCount: 9 },
    ],
  },
  minify: true,
  comments: false,
});
await bundle.close();
const parser = await rolldown({ cwd: root, input: { "toml-patch": TOML_PATCH }, platform: "node" });
const { output: parserOutput } = await parser.write({
  dir: folder,
  format: "cjs",
  entryFileNames: "[name].cjs",
  minify: true,
  comments: false,
});
await parser.close();
chmodSync(join(folder, "main.js"), 0o755);
writeFileSync(
  join(folder, "licenses.js"),
  licenses([...output, ...parserOutput].flatMap((chunk) => chunk.moduleIds ?? [])),
);

/** The sandbox is shipped already, for zeph/testing: its command loads it from there. */
function sandboxBeside() {
  const home = join(root, "src/sandbox/");
  return {
    name: "sandbox-beside",
    resolveId(id, importer) {
      const path = importer === undefined ? "" : resolve(dirname(importer), id);
      if (!id.startsWith(".") || !path.startsWith(home) || importer.startsWith(home)) return null;
      return { id: `../sandbox/${path.slice(home.length).replace(/\.ts$/, ".js")}`, external: true };
    },
  };
}

/**
 * The parser that edits configs is a third of what every command would read, and few of them need it: it is a file of its
 * own, read at the first call. Commander wants to start programs, which zeph lets nobody ask of it.
 */
function whenUsed() {
  const names = ["parse", "parseDocument", "patch"];
  return {
    name: "when-used",
    resolveId: (id, importer) => (id === TOML_PATCH && importer !== undefined ? "\0toml-patch" : null),
    load: (id) =>
      id === "\0toml-patch"
        ? `import { createRequire } from "node:module";
let loaded;
const load = () => (loaded ??= createRequire(import.meta.url)("./toml-patch.cjs"));
${names.map((name) => `export const ${name} = (...given) => load().${name}(...given);`).join("\n")}`
        : null,
    transform: (code, id) =>
      id.endsWith("/commander/lib/command.js")
        ? code.replace(
            "const childProcess = require('node:child_process');",
            "const childProcess = { get spawn() { return require('node:child_process').spawn; } };",
          )
        : null,
  };
}

/** Whoever looks for imports in code looks for quotes; the minifier writes backticks. */
function quoteImports(_options, chunks) {
  for (const chunk of Object.values(chunks)) {
    if (chunk.type === "chunk") chunk.code = chunk.code.replace(/\bimport\(`([\w@/.-]+)`\)/g, 'import("$1")');
  }
}

/** A module without code: the notices of the packages that were taken in. */
function licenses(moduleIds) {
  const homes = new Set(moduleIds.flatMap((id) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id) ?? []));
  const notices = [...homes].sort().map((home) => {
    const { name, version, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    const file = readdirSync(home).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined || !existsSync(join(home, file)) ? "" : readFileSync(join(home, file), "utf8");
    return `${name} ${version} (${license})\n\n${text.trim()}`;
  });
  const body = notices.join(`\n\n${"-".repeat(80)}\n\n`).replaceAll("*/", "* /");
  return `/*\nThe files in this folder contain code of the following packages.\n\n${body}\n*/\nexport {};\n`;
}
