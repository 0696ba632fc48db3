const SHORT = { a: "address", p: "pubkey", y: "yes", n: "list-names", o: "output" };
const SWITCHES = new Set([
  "address",
  "pubkey",
  "yes",
  "list-names",
  "long",
  "recover",
  "unarmored-hex",
  "unsafe",
  "indiscreet",
]);

/** Splits a command line as cobra does: `--name value`, `--name=value`, switches, and words. */
export function parseArguments(argv) {
  const words = [];
  const flags = {};
  for (let at = 0; at < argv.length; at += 1) {
    const argument = argv[at];
    const match = /^(?:--([a-z0-9-]+)|-([a-z]))(?:=(.*))?$/s.exec(argument);
    if (match === null) {
      words.push(argument);
      continue;
    }
    const name = match[1] ?? SHORT[match[2]];
    if (name === undefined) throw new Error(`unknown shorthand flag: '${match[2]}' in -${match[2]}`);
    if (match[3] !== undefined) flags[name] = match[3];
    else if (SWITCHES.has(name)) flags[name] = true;
    else {
      at += 1;
      if (at >= argv.length) throw new Error(`flag needs an argument: --${name}`);
      flags[name] = argv[at];
    }
  }
  return { words, flags };
}
