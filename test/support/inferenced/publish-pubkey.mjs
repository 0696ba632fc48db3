import { createHash } from "node:crypto";
import { openKeyring } from "./keyring.mjs";
import { ask } from "./prompts.mjs";

/** Prints what a broadcast transaction prints. Nothing is sent: the test tells the sandbox chain itself. */
export async function publishPubkey(_, flags) {
  for (const name of ["from", "node", "chain-id"]) {
    if (flags[name] === undefined) throw new Error(`required flag(s) "${name}" not set`);
  }
  const record = (await openKeyring(flags)).find(flags.from);
  if (record === undefined) throw new Error(`${flags.from}.info: key not found`);
  if (flags.yes !== true && !(await ask("confirm transaction before signing and broadcasting"))) {
    throw new Error("cancelled transaction");
  }
  const hash = createHash("sha256").update(record.pubkey).digest("hex").toUpperCase();
  process.stdout.write(`code: 0\ncodespace: ""\nheight: "0"\nraw_log: ""\ntxhash: ${hash}\n`);
}
