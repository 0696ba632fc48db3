// How long the CLI takes to start, against an empty Node start, alternating in one run. Prints medians and ratios.
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, table } from "./measure.mjs";

const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zeph-bench-"));
const empty = join(folder, "empty.mjs");
writeFileSync(empty, "");

const cases = {
  "empty Node start": [empty],
  "zeph --version": [cli, "--version"],
  "zeph --help": [cli, "--help"],
  "zeph vault --help": [cli, "vault", "--help"],
};
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
for (let round = 0; round < 15; round += 1) {
  for (const [name, args] of Object.entries(cases)) {
    const started = process.hrtime.bigint();
    const { status } = spawnSync(process.execPath, args, { stdio: "ignore", env: { ...process.env, HOME: folder } });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    times[name].push(Number(process.hrtime.bigint() - started) / 1e6);
  }
}
const base = median(times["empty Node start"]);
table(
  ["", "median ms", "over an empty start"],
  Object.entries(times).map(([name, list]) => [
    name,
    median(list).toFixed(1),
    `+${(median(list) - base).toFixed(1)} ms (${(median(list) / base).toFixed(2)}x)`,
  ]),
);
