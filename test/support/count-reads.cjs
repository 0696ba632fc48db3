// Loaded before a command, with --require: writes down how often each file below the home folder was read, and how often
// something was decrypted with a key of the vault's form (each file key costs one agreement).
const crypto = require("node:crypto");
const fs = require("node:fs");
const { syncBuiltinESMExports } = require("node:module");

const { HOME, ZEPH_COUNTS } = process.env;
const counts = { reads: {}, decryptions: 0 };

for (const module of [fs, fs.promises]) {
  for (const name of ["open", "openSync", "readFile", "readFileSync"]) {
    const real = module[name];
    if (real === undefined) continue;
    module[name] = (path, ...rest) => {
      if (typeof path === "string" && path.startsWith(HOME)) {
        const short = path.slice(HOME.length + 1);
        counts.reads[short] = (counts.reads[short] ?? 0) + 1;
      }
      return real.call(module, path, ...rest);
    };
  }
}

const agree = crypto.diffieHellman;
crypto.diffieHellman = (...given) => {
  counts.decryptions += 1;
  return agree(...given);
};

syncBuiltinESMExports();
process.on("exit", () => fs.writeFileSync(ZEPH_COUNTS, JSON.stringify(counts)));
