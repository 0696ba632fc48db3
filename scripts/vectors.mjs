// Checks files of devshard vectors against the built package: npm run vectors -- FILE…
import { readFileSync } from "node:fs";
import { checkVectors } from "../dist/wire/devshard/vectors/check.js";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("Name the files to check: npm run vectors -- vectors/devshard.json");
  process.exit(2);
}
let values = 0;
let agreed = 0;
for (const file of files) {
  const report = checkVectors(JSON.parse(readFileSync(file, "utf8")));
  values += report.values;
  agreed += report.agreed;
  for (const path of report.unknown) console.log(`${file}: no rule checks ${path}`);
  if (report.first === undefined) continue;
  const { path, expected, got } = report.first;
  console.log(`${file}: the first value that differs is ${path}\n  the file says ${expected}\n  zeph computes ${got}`);
}
console.log(`${agreed} of ${values} values agree`);
process.exitCode = agreed === values && values > 0 ? 0 : 1;
