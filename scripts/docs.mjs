// `npm run docs`: writes the pages that the program itself knows, and builds the site from all pages into docs/site.
// With --check no page is written: it fails when one differs from what the program says, when a link leads nowhere, or when
// the reference names something it does not show. --pages leaves the site out.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { generatedPages } from "./docs-pages.mjs";

const [mode] = process.argv.slice(2);
let stale = 0;
for (const [path, text] of Object.entries(generatedPages())) {
  const url = new URL(`../${path}`, import.meta.url);
  if (mode !== "--check") writeFileSync(url, text);
  else if (readOrEmpty(url) !== text) {
    stale += 1;
    console.error(`${path} is not up to date; run: npm run docs`);
  }
}
process.exitCode = stale === 0 ? 0 : 1;

if (mode !== "--pages") {
  const { buildSite } = await import("./docs-site.mjs");
  const { pages, warnings } = await buildSite();
  console.log(`${pages} pages: ${fileURLToPath(new URL("../docs/site/index.html", import.meta.url))}`);
  if (warnings > 0) process.exitCode = 1;
}

function readOrEmpty(url) {
  try {
    return readFileSync(url, "utf8");
  } catch {
    // A page that is not there yet is as stale as one can be.
    return "";
  }
}
