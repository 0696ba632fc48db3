#!/usr/bin/env node
import { VERSION } from "../version.ts";

// The two words people and scripts ask most are answered before anything else is loaded.
const [, , first, ...rest] = process.argv;
if ((first === "--version" || first === "-V") && rest.length === 0) {
  process.stdout.write(`${VERSION}\n`);
} else {
  const { runCli } = await import("./run.ts");
  const { systemWorld } = await import("./system-world.ts");
  process.exitCode = await runCli(process.argv.slice(2), systemWorld());
}
