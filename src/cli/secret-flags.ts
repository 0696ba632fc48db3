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

/**
 * Refuses a secret given as an argument, before any parser can repeat it in a message. Throws
 * `secret_on_command_line` naming the flag, never the value.
 */
export function refuseSecretArguments(argv: readonly string[]): void {
  for (const argument of argv) {
    const flag = SECRET_FLAGS.find((name) => argument === name || argument.startsWith(`${name}=`));
    if (flag !== undefined) throw new ZephError("secret_on_command_line", { detail: `${flag} is not a flag of zeph` });
    if (SECRET_SHAPE.test(argument)) {
      throw new ZephError("secret_on_command_line", { detail: "an argument looks like a key" });
    }
  }
}
