/**
 * A scripted stand-in for the `inferenced` CLI of gonka-ai/gonka: the commands zeph uses, in the words and on the streams
 * of the real one. Keys live as JSON in the given home folder. What it does oddly is chosen by STANDIN_ variables, see
 * settings.mjs.
 */
import { keysCommand } from "./keys-command.mjs";
import { parseArguments } from "./parse-arguments.mjs";
import { publishPubkey } from "./publish-pubkey.mjs";
import { settings } from "./settings.mjs";
import { signatureCommand } from "./signature-command.mjs";
import { versionCommand } from "./version-command.mjs";

const COMMANDS = {
  version: versionCommand,
  keys: keysCommand,
  "publish-pubkey": publishPubkey,
  signature: signatureCommand,
};

const USAGE = `Usage:
  inferenced keys export <name> [flags]

Flags:
  -h, --help            help for export
      --unarmored-hex   Export unarmored hex privkey. Requires --unsafe.
      --unsafe          Enable unsafe operations.

`;

async function main(argv) {
  const parsed = parseArguments(argv);
  const [command = "help", ...words] = parsed.words;
  const asked = parsed.words.slice(0, 2).join(" ");
  if (settings.hang.some((one) => asked.startsWith(one))) {
    // Until somebody ends the process.
    setInterval(() => {}, 1_000_000);
    return;
  }
  const run = COMMANDS[command];
  if (run === undefined) throw new Error(`unknown command "${command}" for "inferenced"`);
  await run(words, parsed.flags);
}

main(process.argv.slice(2)).catch((error) => {
  // A wrong flag costs the reader the whole usage text first.
  if (/^unknown (?:shorthand )?flag/.test(error.message)) process.stderr.write(USAGE);
  process.stderr.write(`Error: ${error.message}\n`);
  process.exitCode = 1;
});
