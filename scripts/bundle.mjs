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
const TAKEN_IN = /^(?:@noble\/hashes\/|@scure\/base$|@noble\/secp256k1$)/;

const bundle = await rolldown({
  cwd: root,
  // The second is for scripts/docs-pages.mjs, the third is a process of its own beside every zeph launch.
  input: { main: "src/cli/main.ts", program: "src/cli/program.ts", "agent-guard": "src/cli/launch/agent-guard.ts" },
  platform: "node",
  external: (id) => !TAKEN_IN.test(id) && outside.some((name) => id === name || id.startsWith(`${name}/`)),
  plugins: [sandboxBeside(), { name: "quoted-imports", generateBundle: quoteImports }],
  transform: { target: "node20.19" },
});
const { output } = await bundle.write({
  dir: folder,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name]-[hash].js",
  // What many commands need is one file.
  codeSplitting: { groups: [{ name: "shared", minShareCount: 9 }] },
  minify: true,
  comments: false,
});
await bundle.close();
chmodSync(join(folder, "main.js"), 0o755);
writeFileSync(join(folder, "licenses.js"), licenses(output.flatMap((chunk) => chunk.moduleIds ?? [])));

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
