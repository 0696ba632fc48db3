import { ZephError } from "../errors/zeph-error.ts";

const SECRET_FLAGS = [
  "--api-key",
  "--key",
  "--private-key",
  "--token",
  "--passphrase",
  "--password",
  "--secret",
  "--mnemonic",
];
const SECRET_SHAPE = /^(?:gp|gpm|gnk-sk|jg|obk)-\S{6,}$|^(?:0x)?[0-9a-f]{64}$|^AGE-SECRET-KEY-1/i;
/** Flags that name something: what they are given is shown, stored, or asked for as a host. */
const NAME_FLAGS = new Set(
  `--account-address --alias --allow-host --base-url --broker --config --cors --endpoint-account --engine --expect-address
  --host --key-env --key-name --keyring-backend --keyring-home --model -m --name --node --output -o --path --prefix
  --provider -p --source-url --vault --vault-key --vault-path`.split(/\s+/),
);

/**
 * Refuses a secret given as an argument, before any parser can repeat it in a message. Throws
 * `secret_on_command_line` naming the flag, never the value.
 */
export async function refuseSecretArguments(argv: readonly string[]): Promise<void> {
  for (const argument of argv) {
    const flag = SECRET_FLAGS.find((name) => argument === name || argument.startsWith(`${name}=`));
    if (flag !== undefined) throw new ZephError("secret_on_command_line", { detail: `${flag} is not a flag of zeph` });
    if (SECRET_SHAPE.test(argument)) {
      throw new ZephError("secret_on_command_line", { detail: "an argument looks like a key" });
    }
  }
  const named = [...namedValues(argv)];
  // Most command lines name nothing; the brokers' records need not be loaded for them.
  if (named.length === 0) return;
  const { containsKey } = await import("../brokers/contains-key.ts");
  for (const { name, value } of named) {
    if (!containsKey(value)) continue;
    throw new ZephError("secret_on_command_line", { detail: `what is given to ${name} looks like a key` });
  }
}

/** What flags that name something, and `config set`, are given. */
function* namedValues(argv: readonly string[]): Generator<{ readonly name: string; readonly value: string }> {
  for (const [index, argument] of argv.entries()) {
    const [name = "", ...rest] = argument.split("=");
    if (NAME_FLAGS.has(name)) yield { name, value: rest.length > 0 ? rest.join("=") : (argv[index + 1] ?? "") };
    if (argument !== "set" || argv[index - 1] !== "config") continue;
    for (const value of argv.slice(index + 1)) yield { name: "config set", value };
  }
}
