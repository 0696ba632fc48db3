// What the page takes from other packages, copied to page/lib with their licences: they are served from there and need
// not be installed beside zeph.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "page/lib");

/** Name in page/lib → file in node_modules. */
const FILES = {
  "preact.js": "preact/dist/preact.mjs",
  "preact-hooks.js": "preact/hooks/dist/hooks.mjs",
  "htm.js": "htm/dist/htm.module.js",
  "marked.js": "marked/lib/marked.esm.js",
  "highlight.js": "@speed-highlight/core/dist/tokenize.js",
};
const LANGUAGES = "@speed-highlight/core/dist/languages";

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "languages"), { recursive: true });
for (const [name, source] of Object.entries(FILES)) copy(source, name);
for (const name of readdirSync(join(root, "node_modules", LANGUAGES))) {
  if (/^[a-z0-9]+\.js$/i.test(name)) copy(`${LANGUAGES}/${name}`, `languages/${name}`);
}
const packages = new Set(Object.values(FILES).map((file) => /^(?:@[^/]+\/)?[^/]+/.exec(file)[0]));
writeFileSync(join(target, "LICENSES.txt"), [...packages].map(licence).join(`\n${"-".repeat(80)}\n\n`));

function copy(source, name) {
  const path = join(root, "node_modules", source);
  // Nothing points at a map that is not shipped.
  const text = readFileSync(path, "utf8").replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, "\n");
  mkdirSync(dirname(join(target, name)), { recursive: true });
  writeFileSync(join(target, name), text);
}

function licence(name) {
  const home = join(root, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  const file = readdirSync(home).find((each) => /^licen[cs]e/i.test(each));
  const text = file === undefined ? "" : readFileSync(join(home, file), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}
