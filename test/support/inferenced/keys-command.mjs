import { keyRecord, newWords, privateKeyOfWords } from "./derive.mjs";
import { openKeyring } from "./keyring.mjs";
import { ask, readLine } from "./prompts.mjs";
import { settings } from "./settings.mjs";

const EXPORT_WARNING =
  "WARNING: The private key will be exported as an unarmored hexadecimal string. USE AT YOUR OWN RISK. Continue?";
const MNEMONIC_WARNING =
  "\n**Important** write this mnemonic phrase in a safe place.\n" +
  "It is the only way to recover your account if you ever forget your password.\n\n";

const COMMANDS = { add, list, show, export: exportKey, "import-hex": importHex };

export async function keysCommand([command = "", ...words], flags) {
  const run = COMMANDS[command];
  if (run === undefined) throw new Error(`unknown command "${command}" for "inferenced keys"`);
  refuseUnknownFlags(command, flags);
  await run(words, flags);
}

/** Flags that only some lines of the SDK know. */
function refuseUnknownFlags(command, flags) {
  if (flags.indiscreet === true && settings.secrets === "direct") throw new Error("unknown flag: --indiscreet");
  if (command === "export" && flags.yes === true && settings.exportYes === "no") {
    throw new Error("unknown shorthand flag: 'y' in -y");
  }
}

async function add([name], flags) {
  if (name === undefined) throw new Error("accepts 1 arg(s), received 0");
  const keyring = await openKeyring(flags);
  if (flags.recover === true) process.stderr.write("> Enter your bip39 mnemonic\n");
  const words = flags.recover === true ? (await readLine()).trim() : newWords();
  const record = keyRecord(name, privateKeyOfWords(words));
  await keyring.add(record);
  const mnemonic = flags.recover === true ? {} : { mnemonic: words };
  if (flags.output === "json") {
    process.stdout.write(`${JSON.stringify({ ...shown(record), ...mnemonic })}\n`);
    return;
  }
  process.stdout.write(`\n${yaml(record)}\n`);
  if (flags.recover !== true) await printSecret(process.stderr, MNEMONIC_WARNING, `${words}\n`, flags);
}

async function importHex([name, hex], flags) {
  if (name === undefined || hex === undefined) throw new Error("accepts 2 arg(s)");
  const keyring = await openKeyring(flags);
  await keyring.add(keyRecord(name, hex.toLowerCase()));
}

async function list(_, flags) {
  let records = [];
  try {
    records = (await openKeyring(flags)).list();
  } catch (error) {
    if (!error.message.includes("passphrase")) throw error;
    // The SDK says so on standard error only: the list is empty and the exit code 0.
    process.stderr.write(`${error.message}\n`);
  }
  if (flags["list-names"] === true) {
    process.stdout.write(records.map(({ name }) => `${name}\n`).join(""));
  } else if (flags.output === "json") {
    process.stdout.write(`${JSON.stringify(records.map(shown))}\n`);
  } else if (records.length === 0) {
    process.stdout.write("No records were found in keyring\n");
  } else {
    process.stdout.write(`${records.map(yaml).join("")}\n`);
  }
}

async function show([name], flags) {
  const record = findKey(await openKeyring(flags), name);
  if (flags.address === true) process.stdout.write(`${record.address}\n`);
  else if (flags.pubkey === true) process.stdout.write(`${record.pubkey}\n`);
  else process.stdout.write(flags.output === "json" ? `${JSON.stringify(shown(record))}\n` : `${yaml(record)}\n`);
}

async function exportKey([name], flags) {
  const isBare = flags["unarmored-hex"] === true && flags.unsafe === true;
  if (!isBare && (flags["unarmored-hex"] === true || flags.unsafe === true)) {
    throw new Error("the flags unsafe and unarmored-hex must be used together");
  }
  if (!isBare) throw new Error("the stand-in exports bare hex only");
  if (flags.yes !== true && !(await ask(EXPORT_WARNING))) return;
  const record = findKey(await openKeyring(flags), name);
  const stream = settings.keyStream === "stderr" ? process.stderr : process.stdout;
  const isScreen = await printSecret(
    stream,
    "**Important** Do not share this private key.\n",
    `${record.privateKeyHex}\n`,
    {
      ...flags,
      isBare: true,
    },
  );
  if (isScreen) process.stdout.write("Export private key successfully\n");
}

/** Prints a secret, or shows it on an alternate screen until Enter. @returns whether it was the screen */
async function printSecret(stream, heading, secret, flags) {
  if (settings.secrets === "direct" || flags.indiscreet === true) {
    stream.write(flags.isBare === true ? secret : heading + secret);
    return false;
  }
  process.stderr.write(`\u001b[?1049h${heading}\n${secret}\nPress 'Enter' key to continue.`);
  await readLine().catch(() => {});
  process.stderr.write("\u001b[?1049l");
  return true;
}

function findKey(keyring, name) {
  if (name === undefined) throw new Error("accepts 1 arg(s), received 0");
  const record = keyring.find(name);
  if (record !== undefined) return record;
  throw new Error(`${name} is not a valid name or address: ${name}.info: key not found`);
}

function shown({ name, type, address, pubkey }) {
  return { name, type, address, pubkey };
}

function yaml({ name, type, address, pubkey }) {
  return `- address: ${address}\n  name: ${name}\n  pubkey: '${pubkey}'\n  type: ${type}\n`;
}
