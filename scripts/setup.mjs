// Puts the `zeph` command of this checkout on the PATH, as `npm install -g .` does; needs what ensure.mjs has built.
import { spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const isWindows = process.platform === "win32";
const npm = (...args) => spawnSync("npm", args, { cwd: root, encoding: "utf8", shell: isWindows, timeout: 300_000 });

const installed = npm("install", "-g", ".", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error");
if (installed.status !== 0) {
  process.stderr.write(installed.stderr);
  console.error(`\nnpm could not put \`zeph\` into its folder for commands. zeph itself is ready all the same:

  node ${join(root, "dist/cli/main.js")} init

If the folder is not yours, give npm one that is, and run this again:

  npm config set prefix ~/.local`);
  process.exit(1);
}

const prefix = npm("prefix", "-g").stdout.trim();
const folder = isWindows ? prefix : join(prefix, "bin");
console.log("zeph is installed; it runs from this checkout. Next: zeph init");
if (!(process.env.PATH ?? "").split(delimiter).includes(folder)) {
  console.log(`Your shell does not look into ${folder} yet. Add it to PATH, or type ${join(folder, "zeph")} init`);
}
