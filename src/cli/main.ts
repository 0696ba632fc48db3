#!/usr/bin/env node
import nodeModule from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { VERSION } from "../version.ts";

// The two words people and scripts ask most, and a shell that waits for a key, are answered before anything else is loaded.
const [, , first, ...rest] = process.argv;
if ((first === "--version" || first === "-V") && rest.length === 0) {
  process.stdout.write(`${VERSION}\n`);
} else if (first === "completion" && rest[0] === "--") {
  keepCompiledCode();
  const [{ completeWords }, { systemWorld }] = await Promise.all([import("./completion.ts"), import("./world.ts")]);
  await completeWords(systemWorld(), rest.slice(1));
} else {
  keepCompiledCode();
  const { runCli } = await import("./program.ts");
  const { systemWorld } = await import("./world.ts");
  process.exitCode = await runCli(process.argv.slice(2), systemWorld());
}

/**
 * Node 22.8 and newer keep compiled code between runs. In the user's own folder: by itself Node would take one below the
 * temporary folder, where others could leave code of theirs.
 */
function keepCompiledCode(): void {
  const given = process.env.XDG_CACHE_HOME ?? "";
  const folder = join(isAbsolute(given) ? given : join(homedir(), ".cache"), "zeph", "code");
  if (!isAbsolute(folder) || !("enableCompileCache" in nodeModule)) return;
  if (typeof nodeModule.enableCompileCache === "function") nodeModule.enableCompileCache(folder);
}
