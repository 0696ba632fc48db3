import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ask, askPassphrase } from "./prompts.mjs";
import { settings } from "./settings.mjs";

const BACKENDS = ["os", "file", "kwallet", "pass", "test", "memory"];
const LOCKED = ["file", "os"];

/** Opens the keyring that the flags name; locked backends ask for the passphrase first. */
export async function openKeyring(flags) {
  const backend = flags["keyring-backend"] ?? "test";
  if (!BACKENDS.includes(backend)) throw new Error(`unknown keyring backend ${backend}`);
  const folder = flags["keyring-dir"] ?? flags.home ?? join(homedir(), ".inference");
  const file = join(folder, `keyring-${backend}.json`);
  const records = readRecords(file);
  if (settings.passphrase !== undefined && LOCKED.includes(backend)) await unlock(records === undefined);
  const keys = records ?? [];
  return {
    list: () => [...keys].sort((one, other) => (one.name < other.name ? -1 : 1)),
    find: (nameOrAddress) => keys.find((key) => key.name === nameOrAddress || key.address === nameOrAddress),
    async add(key) {
      const at = keys.findIndex(({ name }) => name === key.name);
      if (at >= 0 && !(await ask(`override the existing name ${key.name}`))) throw new Error("aborted");
      keys.splice(at >= 0 ? at : keys.length, at >= 0 ? 1 : 0, key);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(`${file}.new`, JSON.stringify(keys, null, 2), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

function readRecords(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

const ATTEMPTS = 3;

async function unlock(isNew) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const given = await askPassphrase(`Enter keyring passphrase (attempt ${attempt}/${ATTEMPTS}):`);
    if (isNew) await askPassphrase("Re-enter keyring passphrase:");
    if (given === settings.passphrase) return;
    process.stderr.write("incorrect passphrase\n");
  }
  throw new Error("too many failed passphrase attempts");
}
